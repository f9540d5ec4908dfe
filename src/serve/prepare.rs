//! From a service's settings to a case: the image in the engine, the configuration, what is in force for it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::service::settings::image;
use crate::diagnose::standing::to_impose;
use crate::engine::{Engine, EngineError};
use crate::model::deployment::Fact;
use crate::model::service::Upstream;
use crate::model::{Candidate, Case, ImageFacts, Service};
use crate::profile::battery;
use crate::scenario::apprunner;
use crate::scenario::import::revision::{File, told};

use super::api::shapes::Settings;

/// What a deployment runs.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The image.
    pub(crate) candidate: Candidate,
    /// The configuration, with the values of secrets.
    pub(crate) service: Service,
    /// The image under everything that is in force.
    pub(crate) case: Case,
    /// What readers should know.
    pub(crate) notes: Vec<String>,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotPrepared {
    /// The deployment fails before a container starts, as on the platform.
    #[error("{0}")]
    Refused(String),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What the services of a server find around them.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The values of variables that are stored elsewhere.
    pub(crate) secrets: BTreeMap<String, String>,
    /// Whether their VPCs have a NAT gateway; without a word about it they have none.
    pub(crate) nat: Option<bool>,
    /// Hosts that they need.
    pub(crate) upstreams: Vec<Upstream>,
}

/// Looks up the image and works out the case.
///
/// # Errors
/// When the platform would refuse it, and the engine's errors.
pub(crate) async fn prepare(
    engine: &dyn Engine,
    name: &str,
    settings: &Settings,
    world: &World,
) -> Result<Prepared, NotPrepared> {
    let secrets = &world.secrets;
    let refused = |why: String| Err(NotPrepared::Refused(why));
    let Some(identifier) = image(settings) else {
        return refused("the service is built from source: exitone runs images".to_owned());
    };
    let profile = apprunner();
    let description = json!({ "Service": description(name, settings) }).to_string();
    let file = File { name: "describe-service", text: &description, folder: Path::new(".") };
    let mut told = match told(Some(file), None, false, &profile) {
        Ok(told) => told,
        Err(problems) => {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return refused(all.join("\n"));
        }
    };
    let missing: Vec<&str> =
        told.placeholders.iter().filter(|name| !secrets.contains_key(*name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return refused(format!("the secrets {} have no value here: pass them with --env-file", missing.join(", ")));
    }
    let values = told.placeholders.iter().filter_map(|name| Some((name.clone(), secrets.get(name)?.clone())));
    told.service.env.extend(values.collect::<Vec<_>>());
    told.service.upstreams.extend(world.upstreams.iter().cloned());
    told.revision.nat = world.nat.map(|value| Fact { value, source: "--nat".to_owned(), holds: true });
    let facts = match resolved(engine, identifier).await? {
        Some(facts) => facts,
        None => {
            return refused(format!(
                "no image {identifier} on this engine: `docker tag YOUR_IMAGE {identifier}` gives it one"
            ));
        }
    };
    let mut notes = vec![format!("{identifier} is {} here", facts.id)];
    if !is_of_ecr(identifier) {
        notes.push(format!("App Runner refuses {identifier}: it takes images of ECR and ECR Public alone"));
    }
    let conditions = battery(&profile, &told.service).with(&told.revision.changed).conditions;
    let (set, assumed) = to_impose(&conditions, &told.revision, &told.service);
    notes.extend(assumed.iter().map(|condition| {
        format!("{condition} is imposed: nothing says that the VPC has a NAT gateway (`exitone serve --nat` does)")
    }));
    let case = Case::new(&facts.reference, set);
    Ok(Prepared { candidate: Candidate { facts }, service: told.service, case, notes })
}

/// The settings in the form of `describe-service`.
fn description(name: &str, settings: &Settings) -> serde_json::Value {
    let mut description = serde_json::to_value(settings).unwrap_or_default();
    description["ServiceName"] = json!(name);
    description
}

/// The image that an identifier names on this engine: under the very name, else without its registry's host, else by the
/// last part of its name and its tag.
///
/// # Errors
/// The engine's errors.
pub(crate) async fn resolved(engine: &dyn Engine, identifier: &str) -> Result<Option<ImageFacts>, EngineError> {
    for name in local_names(identifier) {
        match engine.inspect_image(&name).await {
            Ok(facts) => return Ok(Some(facts)),
            Err(EngineError::ImageNotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// Whether App Runner takes an image of this name
/// (<https://docs.aws.amazon.com/apprunner/latest/api/API_ImageRepository.html>).
fn is_of_ecr(identifier: &str) -> bool {
    let Some((host, _)) = identifier.split_once('/') else { return false };
    let (account, rest) = host.split_at_checked(12).unwrap_or_default();
    let is_account = !account.is_empty() && account.bytes().all(|c| c.is_ascii_digit());
    host == "public.ecr.aws" || (is_account && rest.starts_with(".dkr.ecr.") && rest.contains(".amazonaws.com"))
}

/// The names under which an image is looked for.
pub(crate) fn local_names(identifier: &str) -> Vec<String> {
    let mut names = vec![identifier.to_owned()];
    if let Some((host, rest)) = identifier.split_once('/')
        && host.contains(['.', ':'])
    {
        names.push(rest.to_owned());
    }
    if let Some((_, last)) = identifier.rsplit_once('/')
        && !names.iter().any(|name| name == last)
    {
        names.push(last.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_app_runner_takes() {
        for (name, is_taken) in [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1", true),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app:1", true),
            ("public.ecr.aws/docker/library/nginx:1", true),
            ("app:1", false),
            ("docker.io/library/nginx:1", false),
            ("12345678901x.dkr.ecr.us-east-1.amazonaws.com/app:1", false),
        ] {
            assert_eq!(is_of_ecr(name), is_taken, "{name}");
        }
    }

    #[test]
    fn image_is_looked_for_without_its_registry() {
        let cases = [
            ("app:1", vec!["app:1"]),
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1",
                vec!["123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1", "team/app:1", "app:1"],
            ),
            ("public.ecr.aws/app@sha256:0a", vec!["public.ecr.aws/app@sha256:0a", "app@sha256:0a"]),
        ];
        for (identifier, names) in cases {
            assert_eq!(local_names(identifier), names);
        }
    }
}
