//! Reads what is known of a deployment that failed: its description, its update, its logs.

mod aws;

use std::path::{Path, PathBuf};

use super::console::say;
use super::failure::Failure;
use super::flags::On;
use super::headings::WHAT;
use super::input::{folder_of, read_compose, read_env, read_text};
use super::logs::Log;
use crate::diagnose::explain::seen;
use crate::diagnose::log::Line;
use crate::diagnose::pointed::pointed_at;
use crate::model::Service;
use crate::model::deployment::{Deployment, Seen};
use crate::model::service::Upstream;
use crate::scenario::compose::Compose;
use crate::scenario::import::operations::{self, Operation};
use crate::scenario::import::revision::{self, File, Told};
use crate::scenario::{apprunner, service};

/// The files of a deployment.
#[derive(clap::Args, Default)]
pub(crate) struct Files {
    /// Service file, or `aws apprunner describe-service` JSON
    ///
    /// It has the port, the environment, the start command and the health check. Without it, the platform's defaults hold.
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub(crate) service: Option<PathBuf>,
    /// Env file with more variables (NAME=VALUE lines)
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    pub(crate) env_file: Option<PathBuf>,
    /// Compose file whose services with an image run beside every case
    #[arg(long, value_name = "FILE", help_heading = WHAT, hide_short_help = true)]
    pub(crate) compose: Option<PathBuf>,
    /// Input of the `aws apprunner update-service` that failed, or its CloudTrail event
    #[arg(long, value_name = "FILE", help_heading = WHAT, hide_short_help = true)]
    pub(crate) update: Option<PathBuf>,
}

/// The evidence of a deployment that failed.
#[derive(clap::Args)]
pub(crate) struct Evidence {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Log of the failed deployment; may be repeated
    #[arg(long, value_name = "FILE", help_heading = WHAT)]
    log: Vec<PathBuf>,
    /// `aws apprunner list-operations` output
    #[arg(long, value_name = "FILE", help_heading = WHAT, hide_short_help = true)]
    operations: Option<PathBuf>,
    /// Fetch all of these with your `aws` command
    ///
    /// Nothing is changed in the account.
    #[arg(long, value_name = "ARN", help_heading = WHAT, conflicts_with_all = ["log", "operations", "service"])]
    arn: Option<String>,
    /// Profile for the `aws` command
    #[arg(long, value_name = "NAME", requires = "arn", help_heading = WHAT, hide_short_help = true)]
    profile: Option<String>,
}

/// A text and the name of its file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    /// The folder that its paths start from.
    pub(crate) folder: PathBuf,
}

/// The texts of a deployment.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) service: Option<Source>,
    pub(crate) update: Option<Source>,
    pub(crate) operations: Option<Source>,
    pub(crate) logs: Vec<Log>,
    /// The image with the digest that its registry has.
    pub(crate) pushed: Option<String>,
    /// What could not be fetched.
    pub(crate) notes: Vec<String>,
}

/// What the files say.
pub(crate) struct Read {
    /// The configuration to run.
    pub(crate) service: Service,
    /// The image that failed, or the service's.
    pub(crate) image: Option<String>,
    /// What is known of the deployment.
    pub(crate) deployment: Deployment,
}

impl Source {
    pub(crate) fn of_file(path: &Path) -> Result<Self, Failure> {
        Ok(Self { name: path.display().to_string(), text: read_text(path)?, folder: folder_of(path) })
    }

    fn file(&self) -> File<'_> {
        File { name: &self.name, text: &self.text, folder: &self.folder }
    }
}

impl Evidence {
    /// Reads the files, or fetches them. Errors in the files are added to `refusals`.
    ///
    /// # Errors
    /// A file that cannot be read; `aws` cannot be run.
    pub(crate) fn read(&self, on: &On, refusals: &mut Vec<String>) -> Result<Read, Failure> {
        let mut sources = self.files.sources()?;
        match &self.arn {
            Some(arn) => {
                let fetched = aws::fetch(arn, self.profile.as_deref())?;
                sources = Sources { update: sources.update.or(fetched.update), ..fetched };
            }
            None => {
                sources.operations = optional(self.operations.as_deref())?;
                sources.logs = self.log.iter().map(|path| Log::of_file(path)).collect::<Result<_, _>>()?;
            }
        }
        read(&sources, &self.files, on, refusals)
    }

    /// The flags with which `run` reads the same; `None` if it was fetched.
    pub(crate) fn flags(&self) -> Option<Vec<String>> {
        self.arn.is_none().then(|| self.files.flags())
    }
}

impl Files {
    /// Reads the files without a log. Errors in them are added to `refusals`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn read(&self, on: &On, refusals: &mut Vec<String>) -> Result<Read, Failure> {
        read(&self.sources()?, self, on, refusals)
    }

    fn sources(&self) -> Result<Sources, Failure> {
        let (service, update) = (optional(self.service.as_deref())?, optional(self.update.as_deref())?);
        Ok(Sources { service, update, ..Sources::default() })
    }

    /// The flags with which another command reads the same.
    pub(crate) fn flags(&self) -> Vec<String> {
        self.given().flat_map(|(flag, path)| [flag.to_owned(), path.display().to_string()]).collect()
    }

    /// The flags that were given, and the file of each.
    pub(crate) fn given(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = [
            ("--service", &self.service),
            ("--update", &self.update),
            ("--env-file", &self.env_file),
            ("--compose", &self.compose),
        ];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }
}

fn optional(path: Option<&Path>) -> Result<Option<Source>, Failure> {
    path.map(Source::of_file).transpose()
}

fn read(sources: &Sources, files: &Files, on: &On, refusals: &mut Vec<String>) -> Result<Read, Failure> {
    let profile = on.platform.clone().unwrap_or_else(apprunner);
    let defaults = service::defaults(&profile);
    let mut wrong: Vec<String> = Vec::new();
    let operations = sources.operations.as_ref().map(|of| operations::read(&of.name, &of.text));
    let operations = operations.transpose().map_err(|refused| wrong.push(refused.to_string())).ok().flatten();
    let mut logs: Vec<(String, Vec<Line>)> = Vec::new();
    for log in &sources.logs {
        match log.lines() {
            Ok(lines) => logs.push((log.name.clone(), lines)),
            Err(problem) => wrong.push(problem),
        }
    }
    let seen = if logs.is_empty() { Ok(None) } else { seen(logs, &defaults).map(Some) };
    let seen = seen.map_err(|problems| wrong.extend(problems)).ok().flatten();
    let last = operations.as_ref().and_then(|all| all.iter().find(|operation| operation.failed()));
    let logged = seen.as_ref().is_some_and(|seen| seen.failure.is_some());
    let rolled_back = (logged || last.is_some()) && last.is_none_or(Operation::had_earlier_version);
    let (file, update) = (sources.service.as_ref().map(Source::file), sources.update.as_ref().map(Source::file));
    let told = revision::told(file, update, rolled_back, &profile);
    let told = told.map_err(|problems| wrong.extend(problems.iter().map(ToString::to_string))).ok();
    if let Some(told) = &told {
        wrong.extend(strangers(sources, told, operations.as_deref(), seen.as_ref()));
    }
    let env = files.env_file.as_deref().map(read_env).transpose().unwrap_or_else(|failure| {
        wrong.push(failure.message().to_owned());
        None
    });
    let beside = files.compose.as_deref().map(read_compose).transpose().unwrap_or_else(|failure| {
        wrong.push(failure.message().to_owned());
        None
    });
    let Some(mut told) = told.filter(|_| wrong.is_empty()) else {
        refusals.extend(wrong);
        return Ok(Read { service: defaults, image: None, deployment: Deployment::default() });
    };
    if let Some(env) = env {
        told.placeholders.retain(|name| !env.contains_key(name));
        told.service.env.extend(env);
    }
    if let Some(Compose { upstreams, notes }) = beside {
        // What the service file says of a host holds.
        let known = told.service.upstreams.clone();
        let is_new = |new: &Upstream| known.iter().all(|old| (&old.host, old.port) != (&new.host, new.port));
        told.service.upstreams.extend(upstreams.into_iter().filter(is_new));
        told.notes.extend(notes);
    }
    if !told.placeholders.is_empty() {
        let names = told.placeholders.join(", ");
        told.notes.push(format!(
            "no file has the values of {names}: placeholders stand for them; pass values with --env-file"
        ));
    }
    told.notes.extend(outdated(sources, &told, seen.as_ref()));
    told.details.iter().for_each(|detail| tracing::info!("{detail}"));
    let of_logs = seen.iter().flat_map(|seen| &seen.notes);
    let notes: Vec<String> = told.notes.iter().chain(&sources.notes).chain(of_logs).cloned().collect();
    notes.iter().for_each(|note| say(&format!("note: {note}")));
    let is_told = told.described || seen.is_some() || operations.is_some();
    let image = image(&told, seen.as_ref(), rolled_back);
    let pointed = seen.iter().flat_map(|seen| pointed_at(seen, &told.service)).collect();
    let deployment = Deployment {
        revision: told.revision,
        seen,
        pushed: sources.pushed.clone(),
        pointed,
        placeholders: told.placeholders,
        notes,
        is_told,
    };
    Ok(Read { service: told.service, image, deployment })
}

/// The image of the failed revision: that of the update, else the one that the log names, else the service's.
fn image(told: &Told, seen: Option<&Seen>, rolled_back: bool) -> Option<String> {
    let described = told.revision.image.as_ref();
    let logged = seen.and_then(|seen| seen.image.clone()).filter(|_| rolled_back);
    described
        .filter(|image| image.holds)
        .map(|image| image.value.clone())
        .or(logged)
        .or(described.map(|i| i.value.clone()))
}

/// A description that was saved before the deployment began.
fn outdated(sources: &Sources, told: &Told, seen: Option<&Seen>) -> Option<String> {
    let updated = told.updated.as_deref()?;
    let seen = seen?;
    let (service, log) = (&sources.service.as_ref()?.name, &seen.failure.as_ref()?.source);
    let is_older = operations::millis(updated)? < seen.began_ms?;
    is_older.then(|| {
        format!(
            "{service} is older than the deployment in {log}: it was last changed at {updated}. exitone assumes \
             that it still applies; to be sure, save it again with `aws apprunner describe-service`."
        )
    })
}

/// Files of different services.
fn strangers(sources: &Sources, told: &Told, operations: Option<&[Operation]>, seen: Option<&Seen>) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = |source: &Option<Source>| source.as_ref().map_or(String::new(), |source| source.name.clone());
    let listed = name(&sources.operations);
    let log = seen.and_then(|seen| seen.failure.as_ref()).map(|shown| shown.source.clone()).unwrap_or_default();
    let target = operations.and_then(|all| all.first()?.target_arn.clone());
    if let (Some(arn), Some(target)) = (&told.arn, &target)
        && arn != target
    {
        wrong.push(format!("{listed}: these are operations of {target}, not of {arn}"));
    }
    if let (Some(all), Some(id)) = (operations, seen.and_then(|seen| seen.deployment.as_ref()))
        && !all.iter().any(|operation| operation.id.replace('-', "") == id.replace('-', ""))
    {
        wrong.push(format!("{log}: the deployment {id} is not among the operations in {listed}: another service's?"));
    }
    let of_service = told.revision.image.as_ref().map(|image| (&image.source, repository(&image.value)));
    let of_log = seen.and_then(|seen| seen.image.as_deref()).map(repository);
    if let (Some((source, described)), Some(logged)) = (of_service, of_log)
        && described != logged
    {
        wrong.push(format!("{log}: it deploys {logged}, but {source} names {described}: another service's?"));
    }
    wrong
}

/// The name of an image without its tag and its digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
mod tests;
