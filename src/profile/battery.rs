//! Everything about a platform that may make an image fail, for one service.

use std::collections::BTreeSet;

use super::Profile;
use crate::model::condition::{Each, kinds};
use crate::model::units::{show_bytes, show_cpu};
use crate::model::{Condition, ConditionSet, Service};

/// Variables that switch a framework to production, and their value on a laptop.
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

/// Whether a variable of this name selects a mode of the program.
#[must_use]
pub(crate) fn is_mode(variable: &str) -> bool {
    MODES.contains(&variable)
}

/// The conditions of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Battery {
    /// Compatible with each other.
    pub conditions: Vec<Condition>,
    /// Further forms, searched afterwards.
    pub forms: Vec<Condition>,
}

impl Battery {
    /// With these conditions, in front; what they exclude is searched afterwards.
    #[must_use]
    pub(crate) fn with(self, first: &[Condition]) -> Self {
        let mut battery = Self::default();
        for condition in first.iter().cloned().chain(self.conditions) {
            if !battery.conditions.contains(&condition) {
                battery.add(condition);
            }
        }
        let forms = self.forms.into_iter().filter(|form| !battery.conditions.contains(form)).collect::<Vec<_>>();
        battery.forms.extend(forms);
        battery
    }

    /// Adds a condition; one that others exclude becomes a further form.
    fn add(&mut self, condition: Condition) {
        let with = self.conditions.iter().cloned().chain([condition.clone()]);
        let fits = ConditionSet::new(with).is_ok();
        if fits { &mut self.conditions } else { &mut self.forms }.push(condition);
    }
}

/// The platform's conditions for a service.
#[must_use]
pub fn battery(profile: &Profile, service: &Service) -> Battery {
    let all = |texts: &[String]| texts.iter().flat_map(|text| expand(text, service)).collect::<Vec<Condition>>();
    let mut battery = Battery::default();
    // A variable may decide the same as another condition (HOSTNAME): then it becomes a further form.
    for condition in all(&profile.battery) {
        battery.add(condition);
    }
    battery.forms.extend(all(&profile.forms));
    battery
}

/// Expands a line of the profile to conditions of the service.
fn expand(text: &str, service: &Service) -> Vec<Condition> {
    if text == "env.set:*=production" {
        return modes(service);
    }
    // A test parses every line of the embedded profiles.
    let Some(name) = text.strip_suffix(":*") else { return text.parse().into_iter().collect() };
    let secrets = service.env.keys().filter(|name| service.secrets.contains(*name));
    let hosts: BTreeSet<String> = service.upstreams.iter().map(|upstream| upstream.host.to_string()).collect();
    let arguments: Vec<String> = match kinds().find(|kind| kind.name == name).map(|kind| kind.each) {
        Some(Each::Variable) => service.env.keys().cloned().collect(),
        Some(Each::Secret) => secrets.cloned().collect(),
        Some(Each::Host) => hosts.into_iter().collect(),
        Some(Each::Cpu) => vec![show_cpu(service.cpu_milli)],
        Some(Each::Memory) => vec![show_bytes(service.memory)],
        Some(Each::Nothing) | None => Vec::new(),
    };
    arguments.iter().filter_map(|argument| format!("{name}:{argument}").parse().ok()).collect()
}

/// Production mode, for variables that select another mode.
fn modes(service: &Service) -> Vec<Condition> {
    let other = |name: &&&str| service.env.get(**name).is_some_and(|v| !v.to_ascii_lowercase().starts_with("prod"));
    let set = |name: &&str| {
        let mode = if *name == "ASPNETCORE_ENVIRONMENT" { "Production" } else { "production" };
        format!("env.set:{name}={mode}").parse().ok()
    };
    MODES.iter().filter(other).filter_map(set).collect()
}
