//! `exitone explain LOGFILE`: what a log of the platform says of a failed deployment. Asks no engine.

use std::path::PathBuf;

use super::console::print;
use super::failure::Failure;
use super::flags::{Form, Format};
use super::input::read_or_stdin;
use crate::diagnose::explain::explain;
use crate::report::explain::text;
use crate::scenario::{apprunner, service};

/// What `exitone explain --help` says.
pub const ABOUT: &str = "Name the failure in a log of App Runner: its class, the first true failure line, what was mostly behind it

FILE is the service's or the application's log, or both in one: as text, or the JSON of `aws logs get-log-events` and \
`filter-log-events`. Lines that look like the failure and are not (`Invalid Access Role …` during a rollback) are told \
apart. What the application wrote is read by the same rules as in a run. What no local run can show is said, with what to \
rule out. Values that look like credentials are not shown.

Exit code: 1 the log has a failure, 0 its last deployment succeeded, 5 no line of it is known.";

/// Arguments of `explain`.
#[derive(clap::Args)]
pub struct Args {
    /// The log; `-`: standard input
    #[arg(value_name = "LOGFILE")]
    file: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Explains it.
///
/// # Errors
/// The file.
pub fn execute(args: &Args) -> Result<u8, Failure> {
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
