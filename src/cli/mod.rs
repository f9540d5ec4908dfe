//! The command line: arguments in, exit code out; one file a command.

mod bisect;
mod builder;
mod clean;
mod console;
mod demo;
mod doctor;
mod explain;
mod failure;
mod flags;
mod gate;
mod images;
mod import;
mod input;
mod internal;
mod kept;
mod output;
mod plan;
mod plant;
mod report;
mod repro;
mod run;
mod scenarios;
mod schema;
mod session;
mod shell;
mod signals;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use flags::Common;

/// Finds the condition that makes a container image exit with code 1 on AWS App Runner.
///
/// Images are run on the local Docker engine under simulated App Runner conditions: blocked egress, failing DNS,
/// missing variables, the health check, and what else differs there. Nothing that an image sends leaves the machine.
#[derive(Parser)]
#[command(name = "exitone", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the bundled candidates, run the incident over them, name the conditions and the first bad version
    Demo(demo::Args),
    /// Name all smallest sets of conditions that make an image fail, with cause, fix and evidence
    Why(why::Args),
    /// Name the failure in a log of App Runner: its class, the first true line, what was mostly behind it
    #[command(long_about = explain::ABOUT)]
    Explain(explain::Args),
    /// Find the first bad image of an ordered list
    #[command(long_about = bisect::ABOUT)]
    Bisect(bisect::Args),
    /// Run images under conditions and report each case
    Run(run::Args),
    /// The cases that `run` would run, with ids and an estimate; as a matrix for a CI job
    Plan(plan::Args),
    /// A run's folder, or the shards of a run, in any form
    Report(report::Args),
    /// Which engine this is, and which conditions this host can impose, proved by planted candidates
    Doctor(doctor::Args),
    /// The pre-push gate: is what is about to be pushed good? Also puts itself into git's hooks
    #[command(long_about = gate::ABOUT)]
    Gate(gate::Args),
    /// A shell script, with docker and standard tools only, that re-creates a case that was run
    Repro(repro::Args),
    /// Make a scenario of `aws apprunner describe-service` output, an apprunner.yaml or an env file
    #[command(long_about = import::ABOUT)]
    Import(import::Args),
    /// The bundled candidates
    Images(images::Args),
    /// JSON Schema of scenario files, of a run's events, and of what `--format json` writes
    Schema(schema::Args),
    /// Remove everything that exitone ever left on this engine
    Clean(clean::Args),
    /// Completions for a shell
    Completions(shell::CompletionsArgs),
    /// The manual page, or a folder of all of them
    Man(shell::ManArgs),
    #[command(hide = true)]
    Holder,
    #[command(hide = true)]
    Plant {
        /// What the planted candidate does
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    #[command(hide = true)]
    Keeper,
    #[command(hide = true)]
    Watchdog(internal::WatchdogArgs),
}

/// Reads this process's command line and carries it out.
#[must_use]
pub fn start() -> ExitCode {
    let for_git = bisect::is_for_git(std::env::args_os());
    match Cli::try_parse() {
        Ok(cli) if for_git => bisect::for_git(|| cli.execute()),
        Ok(cli) => cli.execute(),
        Err(error) if for_git => bisect::refused(&error),
        Err(error) => error.exit(),
    }
}

impl Cli {
    /// Carries the command out.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        self.common.start_tracing();
        match &self.command {
            Command::Holder => return internal::holder(),
            Command::Keeper => return internal::keeper(),
            Command::Plant { words } => return plant::run(words),
            _ => {}
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => return Failure::internal(format!("starting the runtime: {e}")).report(),
        };
        let code = runtime.block_on(async {
            match self.command {
                Command::Demo(args) => demo::execute(&self.common, args).await,
                Command::Why(args) => why::execute(&self.common, args).await,
                Command::Bisect(args) => bisect::execute(&self.common, args).await,
                Command::Run(args) => run::execute(&self.common, args).await,
                Command::Images(args) => images::execute(&self.common, args).await,
                Command::Clean(args) => clean::execute(&self.common, &args).await,
                Command::Watchdog(args) => internal::watchdog(&args).await,
                Command::Completions(args) => shell::completions(&args),
                Command::Man(args) => shell::man(&args),
                Command::Plan(args) => plan::execute(&args),
                Command::Report(args) => report::execute(&args),
                Command::Explain(args) => explain::execute(&args),
                Command::Gate(args) => gate::execute(&self.common, args).await,
                Command::Repro(args) => repro::execute(&args),
                Command::Import(args) => import::execute(&self.common, &args),
                Command::Schema(args) => schema::execute(&args),
                Command::Doctor(args) => doctor::execute(&self.common, &args).await,
                Command::Holder | Command::Keeper | Command::Plant { .. } => Ok(0),
            }
        });
        // A blocked read of standard input must not hold the process.
        runtime.shutdown_background();
        match code {
            Ok(code) => ExitCode::from(code),
            Err(failure) => failure.report(),
        }
    }
}
