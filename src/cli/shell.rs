//! `exitone completions SHELL` and `exitone man`, generated from the command line's definition.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;

use super::console::print;
use super::failure::Failure;
use super::help;

/// Arguments of `completions`.
#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written.
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

/// Runs the command.
///
/// # Errors
/// When a page cannot be written.
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

/// The command line without internal commands.
fn visible() -> Command {
    let whole = help::command();
    // clap cannot remove a subcommand, so the definition is assembled anew.
    let mut plain = Command::new("exitone").version(env!("CARGO_PKG_VERSION")).subcommand_required(true);
    if let Some(examples) = whole.get_after_help() {
        plain = plain.after_help(examples.clone());
    }
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
    fn includes_every_visible_command_only() {
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
