//! Everything about a platform that may make an image fail there, for one service.

use std::collections::BTreeSet;

use super::Profile;
use crate::model::condition::{EnvChange, EnvValue, UpstreamFault};
use crate::model::{Condition, Service};

/// Variables that switch a framework to production, and what they are set to on a laptop.
const MODES: [&str; 12] = [
    "ENV",
    "ENVIRONMENT",
    "APP_ENV",
    "NODE_ENV",
    "RAILS_ENV",
    "RACK_ENV",
    "FLASK_ENV",
    "DJANGO_ENV",
    "PYTHON_ENV",
    "GO_ENV",
    "STAGE",
    "ASPNETCORE_ENVIRONMENT",
];

/// What a search looks among.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Battery {
    /// No two of them exclude each other.
    pub conditions: Vec<Condition>,
    /// Other forms, looked at afterwards.
    pub forms: Vec<Condition>,
}

/// The platform's conditions for a service.
#[must_use]
pub fn battery(profile: &Profile, service: &Service) -> Battery {
    let all = |texts: &[String]| texts.iter().flat_map(|text| expand(text, service)).collect::<Vec<Condition>>();
    let mut battery = Battery::default();
    // A variable may decide the same as another condition (HOSTNAME): then it is one of the other forms.
    for condition in all(&profile.battery) {
        let with = battery.conditions.iter().cloned().chain([condition.clone()]);
        let fits = crate::model::ConditionSet::new(with).is_ok();
        if fits { &mut battery.conditions } else { &mut battery.forms }.push(condition);
    }
    battery.forms.extend(all(&profile.forms));
    battery
}

/// One line of the profile as conditions of the service.
fn expand(text: &str, service: &Service) -> Vec<Condition> {
    let variables = |names: Vec<&String>, change: EnvChange| -> Vec<Condition> {
        names.into_iter().map(|name| Condition::Env(name.clone(), change.clone())).collect()
    };
    let every = || service.env.keys().collect::<Vec<_>>();
    let secret = || service.env.keys().filter(|name| service.secrets.contains(*name)).collect::<Vec<_>>();
    let upstreams = |fault: UpstreamFault| -> Vec<Condition> {
        let hosts: BTreeSet<_> = service.upstreams.iter().map(|u| u.host.clone()).collect();
        hosts.into_iter().map(|host| Condition::Upstream(fault, host)).collect()
    };
    match text {
        "env.unset:*" => variables(every(), EnvChange::Unset),
        "env.empty:*" => variables(every(), EnvChange::Empty),
        "env.json:*" => variables(secret(), EnvChange::Json),
        "env.newline:*" => variables(secret(), EnvChange::Newline),
        "env.set:*=production" => modes(service),
        "memory.limit:*" => vec![Condition::MemoryLimit(service.memory)],
        "cpu.limit:*" => vec![Condition::CpuLimit(service.cpu_milli)],
        "upstream.denied:*" => upstreams(UpstreamFault::Denied),
        "upstream.refused:*" => upstreams(UpstreamFault::Refused),
        // A test reads every line of the embedded profiles.
        plain => plain.parse().into_iter().collect(),
    }
}

/// Production mode, for variables that say another mode.
fn modes(service: &Service) -> Vec<Condition> {
    let other = |name: &&&str| service.env.get(**name).is_some_and(|v| !v.to_ascii_lowercase().starts_with("prod"));
    let set = |name: &&str| {
        let text = if *name == "ASPNETCORE_ENVIRONMENT" { "Production" } else { "production" }.to_owned();
        Condition::Env((*name).to_owned(), EnvChange::Set(EnvValue { text, secret: false }))
    };
    MODES.iter().filter(other).map(set).collect()
}
