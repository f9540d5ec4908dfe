//! Reads scenario files, service files and environment files. Invalid input is rejected as a whole, with every
//! independent error and its place.

mod combine;
pub(crate) mod compose;
pub(crate) mod env_file;
mod expect;
pub mod file;
mod image_name;
pub(crate) mod import;
mod keys;
pub(crate) mod node;
pub(crate) mod problem;
pub mod schema;
pub mod service;
pub(crate) mod shape;
pub(crate) mod text;
mod upstreams;
mod yaml;

pub(crate) use file::Build;
pub use file::Scenario;
pub(crate) use problem::Problem;
pub use problem::Refused;

use node::Node;
use shape::Shape;

use crate::model::condition::nearest;
use crate::profile::{NAMES, PROFILES, Profile};

/// App Runner's profile.
#[must_use]
pub fn apprunner() -> Profile {
    embedded(PROFILES[0].1)
}

/// The profile of a platform.
///
/// # Errors
/// When there is no platform with this name.
pub fn profile(name: &str) -> Result<Profile, String> {
    let known = PROFILES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, text)| embedded(text)).ok_or_else(|| match nearest(name, NAMES) {
        Some(near) => format!("unknown platform `{name}`; did you mean `{near}`?"),
        None => format!("unknown platform `{name}`; expected one of {}", NAMES.join(", ")),
    })
}

/// # Panics
/// Never: a test reads every embedded profile.
fn embedded(text: &str) -> Profile {
    let tree = yaml::tree(text).unwrap_or_else(|problem| panic!("an embedded profile: {}", problem.message));
    serde_json::from_value(tree.json()).expect("an embedded profile")
}

/// Removes values of the wrong shape from a document, and reports them. `prepare` may remove what is wrong for another
/// reason.
pub(crate) fn document(
    file: &str,
    text: &str,
    shape: Shape,
    prepare: impl FnOnce(&mut Node, &mut Vec<Problem>),
) -> Result<(Node, Vec<Problem>), Refused> {
    if text.len() > text::LARGEST {
        return Err(Refused::new(file, "", vec![Problem::of_file(text::TOO_LARGE)]));
    }
    let mut root = yaml::tree(text).map_err(|problem| Refused::new(file, text, vec![problem]))?;
    let mut problems = Vec::new();
    prepare(&mut root, &mut problems);
    match shape::check(root, shape, file, &mut problems) {
        Some(root) => Ok((root, problems)),
        None => Err(Refused::new(file, text, problems)),
    }
}

/// The content of a file without comments, layout and places; `None` if it is not YAML.
#[must_use]
pub(crate) fn content(text: &str) -> Option<serde_json::Value> {
    yaml::tree(text).ok().map(|root| root.json())
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_embedded_profile() {
        let profile = super::apprunner();
        let check = profile.health_check.check();
        assert_eq!((profile.port, check.interval, check.timeout), (8080, 5, 2));
        assert_eq!((check.healthy_threshold, check.unhealthy_threshold, check.path.as_str()), (1, 5, "/"));
    }

    #[test]
    fn reads_every_platform() {
        for name in crate::profile::NAMES {
            let profile = super::profile(name).expect("embedded");
            assert_eq!(profile.platform.id, name);
            let service = super::service::defaults(&profile);
            let (cpu, memory) = (Some(service.cpu_milli), Some(service.memory));
            assert_eq!(profile.platform.no_size(cpu, memory), None, "the default is one of its sizes");
            let plain = profile.battery.iter().chain(&profile.forms).filter(|line| !line.contains('*'));
            for line in plain {
                assert!(line.parse::<crate::model::Condition>().is_ok(), "{name}: {line}");
            }
        }
        assert_eq!(super::apprunner().platform, crate::model::Platform::some(), "what other tests use");
        assert_eq!(
            super::profile("ecs-expres").expect_err("none"),
            "unknown platform `ecs-expres`; did you mean `ecs-express`?"
        );
        let express = super::service::defaults(&super::profile("ecs-express").expect("one"));
        assert_eq!(express.health_check.path, "/ping");
        assert_eq!(express.health_check.protocol, crate::model::service::Protocol::Http);
    }

    fn battery_of(env: &[&str], secrets: &[&str]) -> crate::profile::Battery {
        let profile = super::apprunner();
        let mut service = super::service::defaults(&profile);
        service.env = env.iter().map(|name| ((*name).to_owned(), "dev".to_owned())).collect();
        service.secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
        crate::profile::battery(&profile, &service)
    }

    #[test]
    fn battery_conditions_are_compatible() {
        let battery = battery_of(&["ENV", "API_KEY", "B"], &["API_KEY"]);
        assert!(crate::model::ConditionSet::new(battery.conditions.clone()).is_ok());
        assert_eq!(battery.conditions.len(), 14, "three variables, and eleven others: every line is read");
        let forms: Vec<String> = battery.forms.iter().map(ToString::to_string).collect();
        assert!(forms.contains(&"env.set:ENV=production".to_owned()), "{forms:?}");
        assert!(forms.contains(&"env.json:API_KEY".to_owned()) && !forms.contains(&"env.json:B".to_owned()));
        assert_eq!(forms.len(), 11, "{forms:?}");
        // It decides the same as `hostname.platform`.
        let hostname = battery_of(&["HOSTNAME"], &[]);
        assert!(crate::model::ConditionSet::new(hostname.conditions.clone()).is_ok());
        assert!(hostname.forms.contains(&"hostname.platform".parse().expect("a condition")), "{hostname:?}");
    }
}
