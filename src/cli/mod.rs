//! The command line: arguments in, exit code out; one file a command.

mod bisect;
mod clean;
mod common;
mod demo;
mod doctor;
mod images;
mod internal;
mod plant;
mod repro;
mod run;
mod schema;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use common::{Common, Failure};

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
    /// Find the first bad image of an ordered list
    #[command(long_about = bisect::ABOUT)]
    Bisect(bisect::Args),
    /// Run images under conditions and report each case
    Run(run::Args),
    /// Which engine this is, and which conditions this host can impose, proved by planted candidates
    Doctor(doctor::Args),
    /// A shell script, with docker and standard tools only, that re-creates a case that was run
    Repro(repro::Args),
    /// The bundled candidates
    Images(images::Args),
    /// JSON Schema of a scenario file, for editors
    Schema(schema::Args),
    /// Remove everything that exitone ever left on this engine
    Clean(clean::Args),
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
                Command::Repro(args) => repro::execute(&args),
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
