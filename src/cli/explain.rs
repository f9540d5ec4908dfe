//! `exitone explain LOGFILE`: explains the failure in a log of the platform, without an engine.

use std::path::PathBuf;

use super::console::print;
use super::failure::Failure;
use super::flags::{Form, Format};
use super::input::read_or_stdin;
use crate::diagnose::explain::explain;
use crate::report::explain::text;
use crate::scenario::{apprunner, service};

/// What `exitone explain --help` says.
pub(crate) const ABOUT: &str =
    "Explain the failure in an App Runner log: its class, the first line that shows it, and the likely cause

LOGFILE is the service log, the application log, or both in one file, as text or as the JSON of `aws logs \
get-log-events` and `filter-log-events`. Misleading lines (`Invalid Access Role …` during a rollback) are recognized. \
Causes that no local run can show are listed with what to rule out. Values that look like credentials are not shown.

Exit code: 1 if the log has a failure, 0 if its last deployment succeeded, 5 if no line is recognized.";

/// Arguments of `explain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Log to read; `-` for standard input
    #[arg(value_name = "LOGFILE")]
    file: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read or is not a log.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    let (name, log) = read_or_stdin(&args.file)?;
    let defaults = service::defaults(&apprunner());
    let explanation = explain(&log, &defaults).map_err(|e| Failure::file(format!("{name}: {e}")))?;
    match args.form.format {
        Format::Json => {
            let document = serde_json::to_string_pretty(&explanation)
                .map_err(|e| Failure::internal(format!("writing the explanation: {e}")))?;
            print(&format!("{document}\n"))?;
        }
        Format::Text => print(&text(&explanation))?,
    }
    Ok(explanation.status())
}
