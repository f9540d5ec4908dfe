//! `exitone completions SHELL` and `exitone man`: made from the command line's own description.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use super::console::print;
use super::failure::Failure;

/// Arguments of `completions`.
#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// When nobody can take them.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut visible(), "exitone", &mut text);
    print(&String::from_utf8_lossy(&text)).map(|()| 0)
}

/// Arguments of `man`.
#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command to this folder [default: print the main page]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the page, or writes all of them.
///
/// # Errors
/// When they cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<u8, Failure> {
    let wrong = |path: &Path, e: std::io::Error| Failure::unwritten(format!("{}: {e}", path.display()));
    match &args.folder {
        None => print(&page(visible())?)?,
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| wrong(folder, e))?;
            clap_mangen::generate_to(visible(), folder).map_err(|e| wrong(folder, e))?;
        }
    }
    Ok(0)
}

fn page(command: Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(command).render(&mut text);
    rendered.map_err(|e| Failure::internal(format!("writing the manual page: {e}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The command line without what only exitone itself calls.
fn visible() -> Command {
    let whole = Cli::command();
    // A command cannot be taken away from a description: it is put together anew.
    let mut plain = Command::new("exitone").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    if let Some(about) = whole.get_about() {
        plain = plain.about(about.clone());
    }
    if let Some(about) = whole.get_long_about() {
        plain = plain.long_about(about.clone());
    }
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
    plain.args(whole.get_arguments().cloned()).subcommands(shown.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_there_and_no_hidden_one() {
        let names: Vec<String> = visible().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        for name in ["why", "run", "bisect", "plan", "report", "demo", "doctor"] {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
        for hidden in ["holder", "watchdog", "keeper", "plant"] {
            assert!(!names.iter().any(|known| known == hidden), "{hidden}");
        }
        visible().debug_assert();
        let page = page(visible()).expect("a page");
        assert!(page.contains(".TH exitone") && page.contains("exitone\\-why"), "{page}");
    }
}
