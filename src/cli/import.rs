//! `exitone import`: turns existing configuration into a scenario.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::console::{print, say};
use super::failure::Failure;
use super::flags::Common;
use super::input::read_or_stdin;
use crate::scenario::{apprunner, import};

/// The long help.
pub(super) const ABOUT: &str =
    "Turn `aws apprunner describe-service` output, an apprunner.yaml or an env file into a scenario

The kind of FILE is detected from its content. Comments in the scenario say where each value comes from, and what FILE \
does not say: values of secrets, what a VPC lets through, the command of the image. Values that look like credentials \
are replaced by placeholders.";

/// Arguments of `import`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// File to read; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Image for `candidates`, oldest first; may be repeated [default: the image in the file]
    #[arg(long, value_name = "IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    image: Vec<String>,
    /// Write the scenario to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long, requires = "output")]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// Errors in the file, and of writing the scenario.
pub(crate) fn execute(_: &Common, args: &Args) -> Result<u8, Failure> {
    if let Some(output) = args.output.as_deref().filter(|output| is_same(output, &args.file)) {
        return Err(Failure::usage(format!("{}: input and output are the same file", output.display())));
    }
    let (name, text) = read_or_stdin(&args.file)?;
    let imported = import::scenario(&name, &text, &args.image, &apprunner())?;
    say(&format!("{name}: read as {}", imported.kind));
    match &args.output {
        None => print(&imported.text)?,
        Some(path) => {
            write(path, &imported.text, args.force)?;
            say(&format!("wrote {}; its comments list what the file does not say", path.display()));
        }
    }
    Ok(0)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}

/// Writes a file; overwrites an existing one only if asked to.
fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    match force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        let there = e.kind() == std::io::ErrorKind::AlreadyExists;
        Failure::unwritten(match there {
            true => format!("{}: already exists; use --force to overwrite it", path.display()),
            false => format!("writing {}: {e}", path.display()),
        })
    })
}
