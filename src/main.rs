//! The command line program; everything is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    exitone::cli::Cli::parse().execute()
}
