//! The command line: arguments in, exit code out; one file per command.

mod bisect;
mod builder;
mod causes;
mod clean;
mod console;
mod demo;
mod deployment;
mod doctor;
mod explain;
mod failure;
mod flags;
mod gate;
mod headings;
mod help;
mod images;
mod import;
mod input;
mod internal;
mod kept;
mod logs;
mod output;
mod own;
mod plan;
mod plant;
mod report;
mod repro;
mod run;
mod scenarios;
mod schema;
mod serve;
mod session;
mod shell;
mod signals;
mod why;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use failure::Failure;
use flags::Common;

use crate::report::style;

/// Finds the condition that makes a container image exit with code 1 on AWS App Runner.
///
/// Runs images on the local Docker engine under simulated App Runner conditions: blocked egress, failing DNS, missing
/// variables, the health check and more. Nothing that an image sends leaves the machine.
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
    /// Run the bundled example end to end
    Demo(demo::Args),
    /// Find what breaks an image, why, and what fixes it
    ///
    /// Finds every minimal set of conditions under which the image fails, and says of each what the cause is and what to do.
    /// With the description, the update or the logs of a deployment, it says what broke that deployment.
    Why(why::Args),
    /// Explain the failure in an App Runner log
    #[command(long_about = explain::ABOUT)]
    Explain(explain::Args),
    /// List, search or explain the known causes of failures
    #[command(long_about = causes::ABOUT)]
    Causes(causes::Args),
    /// Find the first bad image of an ordered list
    #[command(long_about = bisect::ABOUT)]
    Bisect(bisect::Args),
    /// Run images under conditions and report each case
    Run(run::Args),
    /// List the cases that `run` would run, as text or as a matrix for CI
    Plan(plan::Args),
    /// Render a finished run, or merge its shards, in any format
    Report(report::Args),
    /// Check the engine, and prove which conditions it can impose
    Doctor(doctor::Args),
    /// Test the commit about to be pushed (git pre-push hook)
    #[command(long_about = gate::ABOUT)]
    Gate(gate::Args),
    /// Print a shell script that reproduces a case with docker alone
    Repro(repro::Args),
    /// Turn describe-service JSON, apprunner.yaml or .env into a scenario
    #[command(long_about = import::ABOUT)]
    Import(import::Args),
    /// Serve a local App Runner that AWS clients deploy to
    #[command(long_about = serve::ABOUT)]
    Serve(serve::Args),
    /// Build the bundled example images
    Images(images::Args),
    /// Print the JSON Schema of scenario files, events or results
    Schema(schema::Args),
    /// Remove everything that exitone ever left on this engine
    Clean(clean::Args),
    /// Print shell completions
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write all of them to a folder
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
    Relay,
    #[command(hide = true)]
    Keeper,
    #[command(hide = true)]
    Watchdog(internal::WatchdogArgs),
}

/// Parses this process's command line and executes it.
#[must_use]
pub fn start() -> ExitCode {
    let for_git = bisect::is_for_git(std::env::args_os());
    if std::env::args_os().len() < 2 {
        console::say(help::FIRST_STEPS);
        return ExitCode::from(failure::USAGE);
    }
    match help::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) if for_git => bisect::for_git(|| cli.execute()),
        Ok(cli) => cli.execute(),
        Err(error) if for_git => bisect::refused(&error),
        Err(error) => error.exit(),
    }
}

impl Cli {
    /// Executes the command.
    #[must_use]
    pub(crate) fn execute(self) -> ExitCode {
        let internal = matches!(
            self.command,
            Command::Holder | Command::Relay | Command::Keeper | Command::Plant { .. } | Command::Watchdog(_)
        );
        let _trace = match self.common.start_tracing(!internal) {
            Ok(guard) => guard,
            Err(failure) => return failure.report(),
        };
        if let Some((terminal_size::Width(columns), _)) = terminal_size::terminal_size_of(std::io::stdout()) {
            style::fit(usize::from(columns));
        }
        match &self.command {
            Command::Holder => return internal::holder(),
            Command::Relay => return internal::relay(),
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
                Command::Serve(args) => serve::execute(&self.common, args).await,
                Command::Images(args) => images::execute(&self.common, args).await,
                Command::Clean(args) => clean::execute(&self.common, &args).await,
                Command::Watchdog(args) => internal::watchdog(&args).await,
                Command::Completions(args) => shell::completions(&args),
                Command::Man(args) => shell::man(&args),
                Command::Plan(args) => plan::execute(&args),
                Command::Report(args) => report::execute(&args),
                Command::Causes(args) => causes::execute(&args),
                Command::Explain(args) => explain::execute(&args),
                Command::Gate(args) => gate::execute(&self.common, args).await,
                Command::Repro(args) => repro::execute(&args),
                Command::Import(args) => import::execute(&self.common, &args),
                Command::Schema(args) => schema::execute(&args),
                Command::Doctor(args) => doctor::execute(&self.common, &args).await,
                Command::Holder | Command::Relay | Command::Keeper | Command::Plant { .. } => Ok(0),
            }
        });
        // A blocked read of standard input must not hold up the process.
        runtime.shutdown_background();
        match code {
            Ok(code) => ExitCode::from(code),
            Err(failure) => failure.report(),
        }
    }
}
