//! Flags that commands share, and what their values may be.

use std::io::IsTerminal;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::profile::Profile;
use crate::scenario::profile;

/// Flags of every command.
#[derive(Args)]
pub struct Common {
    /// Say more on standard error; twice: everything
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
    /// Colour in the output
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true)]
    color: Colour,
    /// No live progress
    #[arg(long, global = true)]
    no_progress: bool,
    /// Fetch nothing from a registry or a package index; what is missing is named
    #[arg(long, global = true)]
    pub offline: bool,
}

impl Common {
    /// What is said on standard error beside results: `-v`, or `EXITONE_LOG` as tracing-subscriber reads it.
    pub fn start_tracing(&self) {
        match self.color {
            Colour::Auto => {}
            Colour::Always => anstream::ColorChoice::Always.write_global(),
            Colour::Never => anstream::ColorChoice::Never.write_global(),
        }
        let default = ["warn", "exitone=info", "exitone=debug"][usize::from(self.verbose.min(2))];
        let filter = EnvFilter::try_from_env("EXITONE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
        // A second start within one process (tests) keeps the first.
        let _ = subscriber.with_target(false).with_ansi(anstream::stderr().is_terminal() && coloured()).try_init();
    }

    /// True when live progress is wanted and can be seen.
    pub fn progress(&self) -> bool {
        !self.no_progress && std::io::stderr().is_terminal()
    }
}

/// True when colours are wanted on standard error.
fn coloured() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

#[derive(Clone, Copy, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

/// Flags of commands that run cases.
#[derive(Args)]
pub struct Running {
    /// Cases at a time [default: 2 × the engine's CPUs, of a search 1.5 ×, and more while some only wait]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// How long a healthy candidate is watched
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub soak: Duration,
    /// The kernel's and the platform's own times instead of shorter ones
    #[arg(long)]
    pub real_time: bool,
    /// True: nothing but verdicts is shown.
    #[arg(skip)]
    pub verdicts_only: bool,
}

/// The flag of commands that know platforms.
#[derive(Args)]
pub struct On {
    /// The platform whose rules hold: apprunner or ecs-express; it beats a scenario's own [default: apprunner]
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    pub platform: Option<Profile>,
}

/// The form of a single answer.
#[derive(Args)]
pub struct Form {
    /// The form of the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The form of the result.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// One document on standard output
    Json,
}

/// A time that a user may ask for.
pub fn duration(text: &str) -> Result<Duration, String> {
    crate::model::units::parse_duration(text)
        .and_then(|d| if d <= Duration::from_secs(3600) { Ok(d) } else { Err("more than an hour".to_owned()) })
}

/// A confidence: more than a coin, less than certain.
pub fn share(text: &str) -> Result<f64, String> {
    let value: f64 =
        text.trim_end_matches('%').parse().map_err(|_| format!("`{text}` is not a number such as 0.99"))?;
    let value = if text.ends_with('%') { value / 100.0 } else { value };
    if (0.5..1.0).contains(&value) { Ok(value) } else { Err(format!("{text} is not between 0.5 and 1")) }
}
