//! `exitone report DIR…`: renders the folder of a run, or its shards, in any format.

use std::path::PathBuf;

use super::console::say;
use super::failure::Failure;
use super::output::Output;
use crate::event::run::Run;
use crate::report::folder::{FolderError, below, read};

/// Arguments of `report`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folders, or folders that contain them
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
///
/// # Errors
/// When folders are not runs or do not belong together, and when a report cannot be written.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    let mut runs: Vec<Run> = Vec::new();
    let mut wrong: Vec<String> = Vec::new();
    for path in &args.folders {
        match below(path).and_then(|folders| folders.into_iter().map(whole).collect::<Result<Vec<Run>, _>>()) {
            Ok(found) => runs.extend(found),
            Err(e) => wrong.push(e.to_string()),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::file(wrong.join("\nerror: ")));
    }
    let run = Run::merged(runs).map_err(|e| Failure::file(e.to_string()))?;
    args.output.write(&run)?;
    Ok(run.exit_code())
}

/// Loads a run from its folder; reports if it was interrupted.
fn whole(folder: PathBuf) -> Result<Run, FolderError> {
    let (run, cut) = read(&folder)?;
    if cut || run.summary.is_none() {
        say(&format!("{}: the run was interrupted", folder.display()));
    }
    Ok(run)
}
