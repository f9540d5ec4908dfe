//! Announces what the gate is about to do, and how long it takes.

use serde::{Deserialize, Serialize};

use crate::report::gate::in_time;

/// Previous durations in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Building the image.
    pub(crate) build: Option<f64>,
    /// The cases.
    pub(crate) run: Option<f64>,
}

/// Defaults for a session and for one round of cases, in seconds: about what an image that answers takes.
const SESSION: f64 = 1.0;
const ROUND: f64 = 3.0;

/// Estimated seconds for `cases` cases, `jobs` in parallel.
fn guess(cases: usize, jobs: usize) -> f64 {
    SESSION + ROUND * cases.div_ceil(jobs.max(1)) as f64
}

/// The announcement.
pub(crate) fn announcement(name: &str, builds: bool, cases: usize, jobs: usize, last: Option<&Times>) -> String {
    let (built, run) = last.map_or((None, None), |times| (times.build, times.run));
    let known = run.is_some();
    let run = run.unwrap_or_else(|| guess(cases, jobs));
    let what = format!("{cases} case{}", if cases == 1 { "" } else { "s" });
    let time = match (builds, built) {
        (false, _) => format!("about {}", in_time(round(run))),
        (true, Some(build)) => format!("about {}", in_time(round(run + build))),
        (true, None) => format!("about {} and the build", in_time(round(run))),
    };
    let what = if builds { format!("build the image, then {what}") } else { what };
    let from = if known { ", as last time" } else { " if all pass" };
    format!("exitone gate: {name}: {what}; {time}{from}")
}

/// Rounds to the precision that is known.
fn round(seconds: f64) -> f64 {
    if seconds < 10.0 { (seconds * 2.0).ceil() / 2.0 } else { seconds.ceil() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announces_cases_and_time() {
        let times = |build, run| Times { build, run };
        for (builds, cases, last, expected) in [
            (false, 1, None, "1 case; about 4.0 s if all pass"),
            (false, 5, None, "5 cases; about 7.0 s if all pass"),
            (true, 5, None, "build the image, then 5 cases; about 7.0 s and the build if all pass"),
            (true, 5, Some(times(Some(10.0), Some(4.2))), "build the image, then 5 cases; about 15 s, as last time"),
            (false, 5, Some(times(Some(10.0), Some(4.2))), "5 cases; about 4.5 s, as last time"),
            (
                true,
                5,
                Some(times(None, Some(4.2))),
                "build the image, then 5 cases; about 4.5 s and the build, as last time",
            ),
            (false, 400, Some(times(None, Some(130.0))), "400 cases; about 2 min, as last time"),
            (true, 3, Some(times(Some(2.0), None)), "build the image, then 3 cases; about 6.0 s if all pass"),
        ] {
            let said = announcement("main", builds, cases, 4, last.as_ref());
            assert_eq!(said, format!("exitone gate: main: {expected}"));
        }
    }
}
