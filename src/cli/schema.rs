//! `exitone schema`: JSON Schema, for editors and other programs.

use super::console::print;
use super::failure::Failure;
use crate::{report, scenario};

/// Arguments of `schema`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which schema
    #[arg(value_enum, default_value_t = What::Scenario)]
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// A scenario file
    Scenario,
    /// A line of a run folder's events.jsonl
    Events,
    /// What run, why and bisect write with --format json
    Result,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    let schema = match args.what {
        What::Scenario => scenario::schema::scenario(),
        What::Events => report::schema::events(),
        What::Result => report::schema::result(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(0)
}
