//! Fetches what AWS knows of a deployment, with the user's own `aws` command. Nothing is changed in the account.

use super::super::logs::Log;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{Source, Sources};
use crate::cli::console::say;
use crate::cli::failure::Failure;
use crate::scenario::import::operations;

/// The number of log streams of the application that are read: one for each instance.
const STREAMS: usize = 4;

/// The `aws` command for one service.
struct Aws<'a> {
    region: &'a str,
    profile: Option<&'a str>,
    sources: Sources,
}

/// Fetches the description, the operations, the logs of the last failed deployment, the digest of the image, and the
/// last update.
///
/// # Errors
/// The ARN is none, `aws` cannot be run, or it does not describe the service.
pub(crate) fn fetch(arn: &str, profile: Option<&str>) -> Result<Sources, Failure> {
    // arn:aws:apprunner:REGION:ACCOUNT:service/NAME/ID
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let name = match parts.as_slice() {
        [_, _, "apprunner", _, _, resource] => resource.strip_prefix("service/"),
        _ => None,
    };
    let Some(name) = name else {
        return Err(Failure::usage(format!(
            "--arn: `{arn}` is not the ARN of a service: arn:aws:apprunner:REGION:ACCOUNT:service/NAME/ID"
        )));
    };
    let mut aws = Aws { region: parts[3], profile, sources: Sources::default() };
    let described = aws.run(&["apprunner", "describe-service", "--service-arn", arn]).map_err(Failure::usage)?;
    let image = serde_json::from_str(&described).ok().and_then(|document: Value| {
        let at = "/Service/SourceConfiguration/ImageRepository/ImageIdentifier";
        Some(document.pointer(at)?.as_str()?.to_owned())
    });
    aws.sources.service = Some(source("describe-service", described));
    let mut failed = None;
    if let Some(text) = aws.try_run(&["apprunner", "list-operations", "--service-arn", arn]) {
        let all = operations::read("list-operations", &text)?;
        failed = all.into_iter().find(operations::Operation::failed);
        aws.sources.operations = Some(source("list-operations", text));
    }
    if let Some(failed) = &failed {
        let group = format!("/aws/apprunner/{name}");
        let stream = format!("deployment/{}", failed.id.replace('-', ""));
        aws.log("service log", &format!("{group}/service"), &stream, failed.started_ms());
        aws.application_logs(&format!("{group}/application"), failed.started_ms());
        aws.last_update(arn, failed.started_ms());
    }
    let image = aws.image_of_log().or(image);
    aws.digest(image.as_deref());
    Ok(aws.sources)
}

fn source(name: &str, text: String) -> Source {
    Source { name: name.to_owned(), text, folder: PathBuf::from(".") }
}

impl Aws<'_> {
    /// Runs `aws` and returns what it prints.
    fn run(&self, words: &[&str]) -> Result<String, String> {
        let mut all = words.to_vec();
        all.extend(["--region", self.region, "--output", "json"]);
        all.extend(self.profile.iter().flat_map(|name| ["--profile", name]));
        let line =
            crate::model::words::command_line(std::iter::once("aws").chain(all.iter().copied()).map(str::to_owned));
        say(&format!("$ {line}"));
        let output = Command::new("aws").args(&all).output().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => "`aws` is not installed, or not on the PATH; save the files and pass them \
                                             with --service, --update and --log"
                .to_owned(),
            _ => format!("aws: {e}"),
        })?;
        if output.status.success() {
            return String::from_utf8(output.stdout).map_err(|_| format!("`{line}` printed no text"));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{line}` failed: {}", said.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// The same; a failure becomes a note, for what is missing is only less evidence.
    fn try_run(&mut self, words: &[&str]) -> Option<String> {
        self.run(words).map_err(|e| self.sources.notes.push(e)).ok()
    }

    /// The events of a log stream, as a log of this name.
    fn log(&mut self, name: &str, group: &str, stream: &str, since: Option<i64>) {
        let since = since.unwrap_or_default().to_string();
        let words = [
            "logs",
            "get-log-events",
            "--log-group-name",
            group,
            "--log-stream-name",
            stream,
            "--start-time",
            &since,
            "--start-from-head",
        ];
        if let Some(text) = self.try_run(&words) {
            self.sources.logs.push(Log::of_text(name.to_owned(), &text));
        }
    }

    /// The logs of the instances that the deployment started.
    fn application_logs(&mut self, group: &str, since: Option<i64>) {
        let words = [
            "logs",
            "describe-log-streams",
            "--log-group-name",
            group,
            "--order-by",
            "LastEventTime",
            "--descending",
            "--max-items",
            "10",
        ];
        let Some(text) = self.try_run(&words) else { return };
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        let of_deployment = |stream: &&Value| {
            let first = stream.get("firstEventTimestamp").and_then(Value::as_i64);
            since.is_none_or(|since| first.is_some_and(|first| first >= since))
        };
        let streams = document.get("logStreams").and_then(Value::as_array).into_iter().flatten();
        let named = |stream: &Value| Some(stream.get("logStreamName")?.as_str()?.to_owned());
        let names: Vec<String> = streams.filter(of_deployment).filter_map(named).take(STREAMS).collect();
        for name in names {
            self.log("application log", group, &name, since);
        }
    }

    /// The last update of the service, as CloudTrail recorded it.
    fn last_update(&mut self, arn: &str, before: Option<i64>) {
        let words = [
            "cloudtrail",
            "lookup-events",
            "--lookup-attributes",
            "AttributeKey=EventName,AttributeValue=UpdateService",
        ];
        let Some(text) = self.try_run(&words) else { return };
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        let events = document.get("Events").and_then(Value::as_array).into_iter().flatten();
        let parsed = events.filter_map(|event| {
            let text = event.get("CloudTrailEvent")?.as_str()?;
            Some((text, serde_json::from_str::<Value>(text).ok()?))
        });
        // The request precedes the operation that it starts.
        let is_it = |(_, event): &(&str, Value)| {
            let time = event.get("eventTime").and_then(Value::as_str).and_then(|t| t.parse::<jiff::Timestamp>().ok());
            let early = before.zip(time).is_none_or(|(before, time)| time.as_millisecond() <= before + 60_000);
            event.pointer("/requestParameters/serviceArn").and_then(Value::as_str) == Some(arn) && early
        };
        let found = parsed.filter(is_it).max_by_key(|(_, event)| event.get("eventTime").map(ToString::to_string));
        self.sources.update = found.map(|(text, _)| source("CloudTrail's UpdateService event", text.to_owned()));
    }

    /// The image that the service log names.
    fn image_of_log(&self) -> Option<String> {
        let logs = self.sources.logs.iter().filter_map(|log| Some((log.name.clone(), log.lines().ok()?))).collect();
        let defaults = crate::scenario::service::defaults(&crate::scenario::apprunner());
        crate::diagnose::explain::seen(logs, &defaults).ok()?.image
    }

    /// The digest of the image in its registry.
    fn digest(&mut self, image: Option<&str>) {
        let Some((registry, name)) = image.and_then(|image| image.split_once('/')) else { return };
        let Some((repository, tag)) = name.rsplit_once(':').filter(|_| registry.contains(".dkr.ecr.")) else { return };
        let tag = format!("imageTag={tag}");
        let words = ["ecr", "describe-images", "--repository-name", repository, "--image-ids", &tag];
        let Some(text) = self.try_run(&words) else { return };
        let document: Value = serde_json::from_str(&text).unwrap_or_default();
        let digest = document.pointer("/imageDetails/0/imageDigest").and_then(Value::as_str);
        self.sources.pushed = digest.map(|digest| format!("{registry}/{repository}@{digest}"));
    }
}
