//! `servers.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A server, and the truth about it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    /// The name of its folder.
    pub name: String,
    /// A bundled image to use as it is.
    #[serde(default)]
    pub image: Option<String>,
    /// The source of a static program, `/server` in the image.
    #[serde(default)]
    pub compile: Option<String>,
    /// Files and folders to copy, with their destinations.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// USER.
    #[serde(default)]
    pub user: Option<String>,
    /// CMD; empty for the base image's own.
    #[serde(default)]
    pub command: Vec<String>,
    /// A shell line that prints its version.
    #[serde(default)]
    pub version: Option<String>,
    /// True warnings about the image.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The minimal sets of conditions that really make it fail.
    #[serde(default)]
    pub truth: BTreeMap<String, Truth>,
}

/// Why a set makes it fail.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Truth {
    /// The expected causes.
    pub causes: Vec<String>,
    /// The evidence for it.
    pub because: String,
}

impl Server {
    /// The folder with its files.
    pub(super) fn folder(&self) -> PathBuf {
        folder().join(&self.name)
    }

    /// The image's name.
    pub(super) fn image(&self) -> String {
        self.image.clone().unwrap_or_else(|| format!("exitone-test/healthy:{}", self.name))
    }
}

/// The folder of the table.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/healthy")
}

/// All servers.
pub(super) fn read() -> Vec<Server> {
    let text = std::fs::read_to_string(folder().join("servers.yaml")).expect("the table");
    serde_saphyr::from_str(&text).expect("a table")
}

#[test]
fn table_matches_the_folders() {
    let servers = read();
    assert!(servers.len() >= 20, "{}", servers.len());
    let mut names: Vec<&str> = servers.iter().map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    let entries = std::fs::read_dir(folder()).expect("a folder").filter_map(Result::ok);
    let folders = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
    let mut folders: Vec<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    folders.sort_unstable();
    assert_eq!(names, folders, "every folder is a server of the table, once");
    for server in &servers {
        let unproved = server.truth.values().any(|truth| truth.because.len() < 20);
        assert!(!unproved, "{}: a truth without its proof", server.name);
        for set in server.truth.keys() {
            let conditions = set.split(" + ").map(str::parse::<exitone::model::Condition>);
            assert!(conditions.clone().all(|c| c.is_ok()), "{}: {set}", server.name);
        }
    }
}
