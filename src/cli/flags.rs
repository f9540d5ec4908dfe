//! Flags shared by commands, and their value parsers.

use super::headings::{CONDITIONS, ENGINE, OUTPUT};
use super::own::Own;
use std::fs::File;
use std::io::IsTerminal;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use tracing_chrome::{ChromeLayerBuilder, FlushGuard, TraceStyle};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::console::say;
use super::failure::Failure;
use crate::model::condition::{kind_named, kinds};
use crate::profile::Profile;
use crate::report::progress::Lines;
use crate::scenario::profile;

/// Flags of every command.
#[derive(Args)]
pub(crate) struct Common {
    /// Log more to standard error; repeat for debug output
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = OUTPUT, hide_short_help = true)]
    verbose: u8,
    /// When to use color
    #[arg(long, value_enum, default_value_t = Colour::Auto, global = true, help_heading = OUTPUT)]
    #[arg(hide_short_help = true)]
    color: Colour,
    /// Hide the live progress display
    #[arg(long, global = true, help_heading = OUTPUT, hide_short_help = true)]
    no_progress: bool,
    /// Never contact a registry or package index; name what is missing instead
    #[arg(long, global = true, help_heading = ENGINE, hide_short_help = true)]
    pub(crate) offline: bool,
}

impl Common {
    /// Starts logging to standard error: `-v`, or `EXITONE_LOG` in the syntax of tracing-subscriber.
    ///
    /// With `EXITONE_TRACE=chrome` and `traced`, every request to the engine and every case is also written to a file for a
    /// browser's trace viewer, which is complete when the guard is dropped.
    ///
    /// # Errors
    /// `EXITONE_TRACE` asks for something else.
    pub(crate) fn start_tracing(&self, traced: bool) -> Result<Option<FlushGuard>, Failure> {
        match self.color {
            Colour::Auto => {}
            Colour::Always => anstream::ColorChoice::Always.write_global(),
            Colour::Never => anstream::ColorChoice::Never.write_global(),
        }
        let (trace, guard) = if traced { trace()? } else { None }.unzip();
        let default = ["warn", "exitone=info", "exitone=debug"][usize::from(self.verbose.min(2))];
        let filter = EnvFilter::try_from_env("EXITONE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_target(false);
        let log = log.with_ansi(anstream::stderr().is_terminal() && coloured()).with_filter(filter);
        // A second start within one process (tests) keeps the first.
        let _ = tracing_subscriber::registry().with(trace).with(log).try_init();
        Ok(guard)
    }

    /// What writes progress where nothing live is visible.
    pub(crate) fn progress_lines(&self) -> Option<Lines> {
        (!self.no_progress && !std::io::stderr().is_terminal()).then(|| Box::new(say) as Lines)
    }

    /// Whether live progress is wanted and visible.
    pub(crate) fn progress(&self) -> bool {
        !self.no_progress && std::io::stderr().is_terminal()
    }
}

/// Writes spans to `exitone-trace-PID.json`, if `EXITONE_TRACE` asks for it.
fn trace() -> Result<Option<(impl Layer<Registry>, FlushGuard)>, Failure> {
    let Some(form) = std::env::var_os("EXITONE_TRACE").filter(|form| !form.is_empty()) else { return Ok(None) };
    if form != "chrome" {
        return Err(Failure::usage("EXITONE_TRACE: the only format of a trace is `chrome`"));
    }
    let path = format!("exitone-trace-{}.json", std::process::id());
    say(&format!("note: writing a trace to {path}; open it in chrome://tracing or https://ui.perfetto.dev"));
    let file = File::create(&path).map_err(|e| Failure::file(format!("{path}: {e}")))?;
    let (layer, guard) =
        ChromeLayerBuilder::new().writer(file).trace_style(TraceStyle::Async).include_args(true).build();
    // Its clients' spans say nothing of what we ask them.
    Ok(Some((layer.with_filter(Targets::new().with_target("exitone", LevelFilter::INFO)), guard)))
}

/// Whether colours are wanted on standard error.
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
pub(crate) struct Running {
    /// Cases to run in parallel [default: 2 × the engine's CPUs (1.5 × for a search), more while some only wait]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    #[arg(help_heading = ENGINE, hide_short_help = true)]
    pub(crate) jobs: Option<u16>,
    /// How long to watch a healthy image; a later failure goes unseen
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(help_heading = CONDITIONS, hide_short_help = true)]
    pub(crate) soak: Duration,
    /// Use the real timeouts of the kernel and the platform instead of shortened ones
    #[arg(long, help_heading = CONDITIONS, hide_short_help = true)]
    pub(crate) real_time: bool,
    #[command(flatten)]
    pub(crate) own: Own,
    /// Only verdicts are needed, so images are not read in full.
    #[arg(skip)]
    pub(crate) verdicts_only: bool,
    /// How long candidates may run, if not as long as usual.
    #[arg(skip)]
    pub(crate) lifetime: Option<Duration>,
}

/// The flag of commands whose cases may be skipped.
#[derive(Args)]
pub(crate) struct Require {
    /// Condition that this engine must be able to impose, such as cpu.limit; its cases are unresolved instead of skipped
    #[arg(long, value_name = "CONDITION", value_delimiter = ',', value_parser = condition_name)]
    #[arg(help_heading = ENGINE, hide_short_help = true)]
    pub(crate) require: Vec<String>,
}

/// The flag of commands that run images of the user's.
#[derive(Args)]
pub(crate) struct Fetch {
    /// Pull missing images with Docker's credentials
    ///
    /// Those of its configuration and its credential helpers.
    #[arg(long, conflicts_with = "offline", help_heading = ENGINE)]
    pub(crate) pull: bool,
}

/// The flag of commands that simulate a platform.
#[derive(Args)]
pub(crate) struct On {
    /// apprunner or ecs-express [default: apprunner]
    ///
    /// It takes precedence over the scenario's.
    #[arg(long, value_name = "PLATFORM", value_parser = profile, help_heading = CONDITIONS)]
    pub(crate) platform: Option<Profile>,
}

/// The output format of commands that print one answer.
#[derive(Args)]
pub(crate) struct Form {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = OUTPUT)]
    pub(crate) format: Format,
}

/// An output format.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Human-readable text
    Text,
    /// One JSON document on standard output
    Json,
}

/// The name of a condition, without an argument.
pub(crate) fn condition_name(text: &str) -> Result<String, String> {
    kind_named(text, kinds()).map(|kind| kind.name.to_owned()).map_err(|e| e.to_string())
}

/// A duration of at most an hour.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    crate::model::units::parse_duration(text)
        .and_then(|d| if d <= Duration::from_secs(3600) { Ok(d) } else { Err("must be at most 1h".to_owned()) })
}

/// A confidence: at least 0.5, less than 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let value: f64 =
        text.trim_end_matches('%').parse().map_err(|_| format!("`{text}` is not a number such as 0.99"))?;
    let value = if text.ends_with('%') { value / 100.0 } else { value };
    if (0.5..1.0).contains(&value) { Ok(value) } else { Err(format!("{text}: must be at least 0.5 and less than 1")) }
}
