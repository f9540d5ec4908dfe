//! Answers of engines with values that the client does not know: Podman has states of its own.

use std::collections::HashMap;

use bollard::errors::Error as Cause;
use bollard::models;
use serde::Deserialize;

/// Reads an answer that the client could not.
pub(super) fn lenient<T: for<'de> Deserialize<'de>>(error: Cause) -> Result<T, Cause> {
    match &error {
        Cause::JsonDataError { contents, .. } => serde_json::from_str(contents).map_err(|_| error),
        _ => Err(error),
    }
}

/// A container in a list.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(rename = "ImageID")]
    pub(super) image: String,
    pub(super) labels: Option<HashMap<String, String>>,
    pub(super) state: String,
    /// Seconds since the epoch.
    pub(super) created: Option<i64>,
}

impl From<models::ContainerSummary> for Listed {
    fn from(of: models::ContainerSummary) -> Self {
        Self {
            id: of.id.unwrap_or_default(),
            image: of.image_id.unwrap_or_default(),
            labels: of.labels,
            state: of.state.map(|state| state.to_string()).unwrap_or_default(),
            created: of.created,
        }
    }
}

/// A container by itself.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) state: State,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) running: bool,
    pub(super) exit_code: i64,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: bool,
    pub(super) started_at: Option<String>,
    pub(super) finished_at: Option<String>,
}

impl From<models::ContainerState> for State {
    fn from(of: models::ContainerState) -> Self {
        Self {
            running: of.running.unwrap_or(false),
            exit_code: of.exit_code.unwrap_or(0),
            oom_killed: of.oom_killed.unwrap_or(false),
            started_at: of.started_at,
            finished_at: of.finished_at,
        }
    }
}

/// The parts of an engine that may change under the same version. Its status identifies the containerd store.
pub(super) fn parts(info: &models::SystemInfo) -> Vec<String> {
    let cgroups = info.cgroup_driver.map(|driver| driver.to_string());
    let runc = info.runc_commit.as_ref().and_then(|commit| commit.id.clone());
    let [storage, runtime] = [&info.driver, &info.default_runtime].map(Clone::clone);
    let single = [("cgroups", cgroups), ("storage", storage), ("runtime", runtime), ("runc", runc)];
    let single = single.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    let stores =
        info.driver_status.iter().flatten().filter(|pair| pair.first().is_some_and(|name| name == "driver-type"));
    let stores = stores.map(|pair| format!("store={}", pair.join(":")));
    let security = info.security_options.iter().flatten().map(|option| format!("security={option}"));
    single.chain(stores).chain(security).collect()
}

/// Microseconds since the epoch; the engine writes `0001-01-01T00:00:00Z` for never.
pub(super) fn micros(text: Option<String>) -> Option<i64> {
    let at: jiff::Timestamp = text?.parse().ok()?;
    (at.as_second() > 0).then(|| at.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_states_are_read() {
        let contents = r#"[{"Id":"a","ImageID":"b","Labels":{"x":"y"},"State":"stopped","Created":5}]"#.to_owned();
        let unknown =
            |contents| Cause::JsonDataError { message: "unknown variant `stopped`".to_owned(), contents, column: 1 };
        let all: Vec<Listed> = lenient(unknown(contents)).expect("read");
        assert_eq!((all[0].id.as_str(), all[0].state.as_str(), all[0].created), ("a", "stopped", Some(5)));
        let contents = r#"{"State":{"Status":"stopped","Running":false,"ExitCode":3,"OOMKilled":true}}"#.to_owned();
        let one: Inspected = lenient(unknown(contents)).expect("read");
        assert_eq!((one.state.running, one.state.exit_code, one.state.oom_killed), (false, 3, true));
        assert!(lenient::<Inspected>(unknown("no JSON".to_owned())).is_err());
    }
}
