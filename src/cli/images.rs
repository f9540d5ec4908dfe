//! `exitone images build`.

use super::console::{print, say};
use super::failure::Failure;
use super::flags::Common;
use super::headings::{ENGINE, WHAT};
use super::session::engine;
use super::signals::Signals;
use crate::images::{Source, build};

/// Arguments of `images`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Build the bundled images that do not exist yet
    Build {
        /// Such as v19-photo-fix, or `postgres` [default: all candidates]
        ///
        /// `postgres` is a database for scenarios.
        #[arg(value_name = "NAME", help_heading = WHAT)]
        names: Vec<String>,
        #[command(flatten)]
        source: SourceArgs,
    },
}

/// Where base images come from.
#[derive(clap::Args)]
pub(crate) struct SourceArgs {
    /// Registry with python:3.12-slim and postgres:16
    ///
    /// By default they are made of Debian's packages on Debian, and taken from the engine elsewhere.
    #[arg(long, value_name = "HOST:PORT", env = "EXITONE_REGISTRY", hide_env_values = true, help_heading = ENGINE)]
    registry: Option<String>,
}

impl SourceArgs {
    /// Converts the flags to the source of base images.
    pub(crate) fn source(self, common: &Common) -> Source {
        Source { registry: self.registry, offline: common.offline }
    }
}

/// Runs the command.
///
/// # Errors
/// Engine, build.
pub(crate) async fn execute(common: &Common, args: Args) -> Result<u8, Failure> {
    let Command::Build { names, source } = args.command;
    let (engine, _) = engine().await?;
    let signals = Signals::listen();
    let (source, progress) = (source.source(common), |step: &str| say(&format!("  {step}")));
    let built = signals.unless_asked(build(engine.as_ref(), &names, &source, &progress)).await??;
    let mut text = String::new();
    for (word, names) in [("built", &built.built), ("exists", &built.present)] {
        for name in names {
            text.push_str(&format!("{word}  {name}\n"));
        }
    }
    for (name, why) in &built.skipped {
        text.push_str(&format!("skipped  {name}: {why}\n"));
    }
    print(&text)?;
    Ok(0)
}
