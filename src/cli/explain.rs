//! `exitone explain LOGFILE`: explains the failure in a log of the platform, without an engine.

use std::path::PathBuf;

use super::console::print;
use super::failure::Failure;
use super::flags::{Form, Format};
use super::logs::Log;
use super::own::Own;
use crate::diagnose::explain::explain;
use crate::diagnose::log::merged;
use crate::report::explain::text;
use crate::scenario::{apprunner, service};

/// What `exitone explain --help` says.
pub(crate) const ABOUT: &str =
    "Explain the failure in a log: its class, the first line that shows it, and the likely cause

LOGFILE is the log of a container, of a deployment, or both in one file. It may be text, as a program, `docker compose \
logs`, `kubectl logs --timestamps`, `heroku logs`, `aws logs tail` or `gcloud run services logs read` print it; lines of \
JSON; the JSON of `aws logs get-log-events`, `filter-log-events`, `aws ecs describe-tasks` or `gcloud logging read`; or \
the CSV of CloudWatch Logs Insights. Several files are merged by time. Misleading lines (`Invalid Access Role …` during a \
rollback) are recognized. Causes that no local run can show are listed with what to rule out. Values that look like \
credentials are not shown.

Exit code: 1 if the log has a failure, 0 if its last deployment succeeded, 5 if no line is recognized.";

/// Arguments of `explain`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Logs to read, merged by time; `-` for standard input
    #[arg(value_name = "LOGFILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    own: Own,
    #[command(flatten)]
    form: Form,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read or is not a log.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    args.own.install()?;
    let mut logs = Vec::new();
    let mut wrong = Vec::new();
    for file in &args.files {
        let log = Log::of_file(file)?;
        match log.lines {
            Ok(lines) => logs.push(lines),
            Err(e) => wrong.push(format!("{}: {e}", log.name)),
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::file(wrong.join("\n")));
    }
    let explanation = explain(&merged(logs), &service::defaults(&apprunner()));
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
