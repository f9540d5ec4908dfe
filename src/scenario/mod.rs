//! From text to the model: scenario files, service files, environment files. Bad input is refused whole, every
//! mistake that can be told apart at once, each with its place.

pub mod env_file;
pub mod file;
pub mod problem;
pub mod service;
mod upstreams;
mod yaml;

pub use problem::{Problem, Refused};

use crate::profile::{APPRUNNER, Profile};

/// The App Runner profile.
///
/// # Panics
/// Never: the text is embedded, and a test reads it.
#[must_use]
pub fn apprunner() -> Profile {
    yaml::read("apprunner.yaml", APPRUNNER).expect("the embedded profile is read by a test")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_embedded_profile_is_read() {
        let profile = super::apprunner();
        let check = profile.health_check.check();
        assert_eq!((profile.port, check.interval, check.timeout), (8080, 5, 2));
        assert_eq!((check.healthy_threshold, check.unhealthy_threshold, check.path.as_str()), (1, 5, "/"));
    }
}
