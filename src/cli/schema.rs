//! `exitone schema`: JSON Schema, for editors and other programs.

use super::common::{Failure, print};
use crate::scenario::schema;

/// Arguments of `schema`.
#[derive(clap::Args)]
pub struct Args {
    /// Of what
    #[arg(value_enum, default_value_t = What::Scenario)]
    what: What,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum What {
    /// A scenario file
    Scenario,
}

/// Prints it.
///
/// # Errors
/// When nobody takes it.
pub fn execute(args: &Args) -> Result<u8, Failure> {
    let schema = match args.what {
        What::Scenario => schema::scenario(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(0)
}
