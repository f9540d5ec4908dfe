//! Reads the scenario files on a command line.

use std::path::PathBuf;

use super::console::say;
use super::failure::{Failure, or_errors};
use super::flags::On;
use super::input::{folder_of, read_text};
use crate::diagnose::standing::to_impose;
use crate::model::deployment::Revision;
use crate::model::search;
use crate::model::{Candidate, ConditionSet, Expectation, Part, Plan, Service};
use crate::profile::{Profile, battery};
use crate::scenario::import::revision;
use crate::scenario::{Build, Scenario, apprunner, file, profile};
use crate::search::set::MOST;

/// The cases and searches of one scenario file or of a command line, before the engine is involved.
pub(crate) struct Request {
    /// The scenario's name and service.
    pub(crate) part: Part,
    /// Images, oldest first.
    pub(crate) images: Vec<String>,
    /// Image, conditions and expectation of each case.
    pub(crate) cases: Vec<(String, ConditionSet, Option<Expectation>)>,
    /// Searches for minimal failing sets.
    pub(crate) searches: Vec<search::SearchRequest>,
    /// Number of runs of each case.
    pub(crate) repeat: u32,
    /// Images to build first.
    pub(crate) builds: Vec<Build>,
}

impl Request {
    /// Its plan.
    pub(crate) fn plan(self, candidates: Vec<Candidate>) -> Plan {
        let mut plan = Plan::of_scenario(self.part, candidates, self.cases).with_searches(self.searches);
        plan.cases.iter_mut().for_each(|case| case.repeat = self.repeat);
        plan
    }
}

/// The requests of scenario files, with other images if given.
///
/// # Errors
/// Every error in them.
pub(crate) fn requests(scenarios: &[PathBuf], images: &[String], on: &On) -> Result<Vec<Request>, Failure> {
    let mut refusals = Vec::new();
    let asked = requests_or_refusals(scenarios, images, on, &mut refusals)?;
    or_errors(asked, &[], refusals)
}

/// Like [`requests`]; errors in the files are added to `refusals`.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn requests_or_refusals(
    paths: &[PathBuf],
    images: &[String],
    on: &On,
    refusals: &mut Vec<String>,
) -> Result<Vec<Request>, Failure> {
    let mut asked = Vec::new();
    for path in paths {
        let text = read_text(path).map_err(|failure| {
            let image =
                path.to_str().filter(|name| !path.exists() && !name.ends_with(".yaml") && !name.ends_with(".yml"));
            match image {
                Some(name) => failure.with_hint(format!("did you mean --image {name}?")),
                None => failure,
            }
        })?;
        match file::read(&path.display().to_string(), &text, &folder_of(path), on.platform.as_ref()) {
            Ok(scenario) => {
                let scenario = with_deployed(scenario, &path.display().to_string());
                let builds = if images.is_empty() { builds(&scenario) } else { Vec::new() };
                let images = if images.is_empty() { scenario.candidates.clone() } else { images.to_vec() };
                let (cases, searches) = (scenario.cases(&images), scenario.searches(&images));
                if !searches.is_empty() && scenario.conditions.len() > MOST {
                    let count = scenario.conditions.len();
                    refusals.push(format!(
                        "error: {}: {count} conditions are too many for one search (at most {MOST})",
                        path.display()
                    ));
                }
                let part = Part { scenario: Some(scenario.name), service: scenario.service };
                let repeat = u32::try_from(scenario.repeat).unwrap_or(1);
                asked.push(Request { part, images, cases, searches, repeat, builds });
            }
            Err(refused) => refusals.push(refused.to_string()),
        }
    }
    Ok(asked)
}

/// Adds what is in force for the service, if the scenario asks for it.
pub(crate) fn with_deployed(mut scenario: Scenario, file: &str) -> Scenario {
    if scenario.is_deployed {
        let service = &scenario.service;
        let profile = profile(&service.platform.id).unwrap_or_else(|_| apprunner());
        let revision = revision::of_service_file(service, file);
        scenario.add_deployed(in_force(&profile, service, &revision));
    }
    scenario
}

/// Everything that was in force for a revision. What is imposed because nothing excludes it is said.
pub(crate) fn in_force(profile: &Profile, service: &Service, revision: &Revision) -> ConditionSet {
    let battery = battery(profile, service).with(&revision.changed);
    let (set, assumed) = to_impose(&battery.conditions, revision, service);
    for condition in assumed {
        say(&format!("note: imposing {condition}: no file rules it out (`nat: yes` in a service file would)"));
    }
    set
}

/// The builds of a scenario's candidates.
fn builds(scenario: &file::Scenario) -> Vec<Build> {
    let mut builds = scenario.builds.clone();
    // A candidate's own build takes precedence.
    let own = scenario.build.iter().filter(|build| scenario.builds.iter().all(|known| known.image != build.image));
    builds.extend(own.filter(|build| scenario.candidates.contains(&build.image)).cloned());
    builds
}
