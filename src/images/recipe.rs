//! The definitions of the bundled candidates.

use include_dir::{Dir, include_dir};

/// The repository of every candidate.
pub(crate) const REPOSITORY: &str = "nerava-backend";
/// The Python base image on the engine.
pub(crate) const BASE: &str = "exitone/python-base:latest";
/// The base image on a registry.
pub(crate) const REGISTRY_BASE: &str = "python:3.12-slim";
/// The Debian release of the base without a registry, and its Python.
pub(crate) const DEBIAN_SUITE: &str = "bookworm";
/// See [`DEBIAN_SUITE`].
pub(crate) const DEBIAN_PYTHON: &str = "3.11";
/// Packages of the base: Python, a shell with the usual tools, certificates.
pub(crate) const DEBIAN_PACKAGES: [&str; 11] = [
    "python3-minimal",
    "python3",
    "libpython3-stdlib",
    "python-is-python3",
    "ca-certificates",
    "openssl",
    "netbase",
    "dash",
    "coreutils",
    "base-files",
    "base-passwd",
];

/// The PostgreSQL that scenarios can run next to a candidate, on the engine and on a registry.
pub const POSTGRES: &str = "exitone/postgres:latest";
/// See [`POSTGRES`].
pub(crate) const REGISTRY_POSTGRES: &str = "postgres:16";
/// Its name on the command line.
pub(crate) const POSTGRES_NAME: &str = "postgres";
/// The server, and the dependencies of its entrypoint.
pub(crate) const POSTGRES_PACKAGES: [&str; 8] =
    ["postgresql-15", "util-linux", "coreutils", "dash", "sed", "libc-bin", "base-files", "base-passwd"];
/// The data is discarded with the container: nothing has to wait for a disk.
pub(crate) const POSTGRES_OPTIONS: [&str; 3] = ["fsync=off", "full_page_writes=off", "synchronous_commit=off"];

/// The sources, embedded so that an installed exitone can build them.
pub(crate) static SOURCES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/images");

/// A candidate to build.
pub(crate) struct Recipe {
    /// The tag.
    pub(crate) tag: &'static str,
    /// The directory under `images/src`.
    pub(crate) source: &'static str,
    /// The interpreter in CMD.
    pub(crate) python: &'static str,
    /// ENV in addition to that of every candidate.
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// `amd64` or `arm64`.
    pub(crate) architecture: &'static str,
    /// Creation time of the incident's image, in seconds since the epoch.
    pub(crate) created: i64,
}

const PROVIDER: &[(&str, &str)] = &[("OTP_PROVIDER", "twilio_verify")];
const DAY: i64 = 86_400;
/// 2026-01-05 12:00 UTC, the day of v19.
const V19: i64 = 1_767_614_400;

/// The candidates, oldest first.
pub(crate) const CANDIDATES: [Recipe; 8] = [
    Recipe::amd64("v19-photo-fix", "v19-photo-fix", V19),
    Recipe::amd64("v20-otp-fix", "v20-otp-fix", V19 + DAY),
    Recipe::amd64("v20-otp-fix-fixed", "v20-otp-fix-fixed", V19 + 2 * DAY),
    // The same source, rebuilt without a cache: only the time differs.
    Recipe::amd64("v21-fresh", "v20-otp-fix-fixed", V19 + 3 * DAY),
    Recipe { env: PROVIDER, ..Recipe::amd64("v22-with-env", "v22-with-env", V19 + 4 * DAY) },
    Recipe { env: PROVIDER, python: "python", ..Recipe::amd64("v23-fixed-cmd", "v22-with-env", V19 + 5 * DAY) },
    Recipe {
        env: PROVIDER,
        python: "python",
        architecture: "arm64",
        ..Recipe::amd64("v23-fixed-cmd-arm64", "v22-with-env", V19 + 5 * DAY)
    },
    Recipe::amd64("v24-lazy-otp", "v24-lazy-otp", V19 + 6 * DAY),
];

impl Recipe {
    const fn amd64(tag: &'static str, source: &'static str, created: i64) -> Self {
        Self { tag, source, python: "python3", env: &[], architecture: "amd64", created }
    }

    /// `nerava-backend:v19-photo-fix`.
    pub(crate) fn name(&self) -> String {
        format!("{REPOSITORY}:{}", self.tag)
    }

    /// CMD.
    pub(crate) fn cmd(&self) -> Vec<String> {
        let words = [self.python, "-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"];
        words.map(ToOwned::to_owned).to_vec()
    }
}

/// The names of all candidates, oldest first.
#[must_use]
pub fn candidate_names() -> Vec<String> {
    CANDIDATES.iter().map(Recipe::name).collect()
}
