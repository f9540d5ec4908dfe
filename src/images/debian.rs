//! Makes a layer of Debian packages, without Docker and without installing anything.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::recipe::DEBIAN_SUITE;
use super::{BuildError, Source, host};
use crate::engine::archive::Layer;

const HINT: &str = "Check that the Debian mirror is reachable, or pass a registry that has the image with \
                    `--registry HOST:PORT`.";

/// A script for [`Extraction::script`]: sets up accounts and certificates like the packages' own scripts, and removes
/// what no program reads.
pub const PREPARE: &str = r#"
cp "$1"/usr/share/base-passwd/passwd.master "$1"/etc/passwd
cp "$1"/usr/share/base-passwd/group.master "$1"/etc/group
mkdir -p "$1"/etc/ssl/certs
find "$1"/usr/share/ca-certificates -name '*.crt' | sort | xargs cat >"$1"/etc/ssl/certs/ca-certificates.crt
rm -rf "$1"/usr/share/man "$1"/usr/share/doc "$1"/usr/share/locale
"#;

/// The content of a layer.
pub struct Extraction<'a> {
    /// Its name, for progress messages and file names.
    pub name: &'static str,
    /// `amd64`, `arm64`.
    pub architecture: &'a str,
    /// The packages; their dependencies are added.
    pub packages: &'a [&'a str],
    /// A shell script that changes the files, run under `set -eu`; `$1` is their directory.
    pub script: String,
}

/// Uses Debian packages if this is Debian and no registry is given, else a registry.
///
/// # Errors
/// The registry's errors; without a network, those of the packages.
pub(crate) async fn or_registry<T>(
    source: &Source,
    debian: impl Future<Output = Result<T, BuildError>>,
    registry: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    if source.registry.is_none() && is_debian() {
        match debian.await {
            Ok(made) => return Ok(made),
            Err(error) if source.offline => return Err(error),
            Err(error) => tracing::info!(%error, "not from Debian packages; trying a registry"),
        }
    }
    registry.await
}

/// Whether this machine has Debian's packages.
#[must_use]
pub fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && host::has("apt-get")
}

/// Makes the layer by extraction into a work directory: no package script runs, and any architecture works.
///
/// # Errors
/// When packages cannot be fetched.
pub async fn extract(what: &Extraction<'_>, source: &Source, work: &Path) -> Result<Layer, BuildError> {
    let step = format!("{} for {} from Debian packages", what.name, what.architecture);
    if source.offline {
        return Err(BuildError::step(step, "--offline forbids fetching the packages", HINT));
    }
    let program = if host::has("mmdebstrap") { PathBuf::from("mmdebstrap") } else { borrow_mmdebstrap(work).await? };
    let tar = work.join(format!("{}-{}.tar", what.name.replace(' ', "-"), what.architecture));
    let mut command = Command::new(program);
    command
        .arg(format!("--architectures={}", what.architecture))
        .arg(format!("--include={}", what.packages.join(",")))
        .args(["--variant=extract", "--aptopt=APT::Sandbox::User \"root\""])
        // This variant runs only the setup and extract hooks.
        .arg(format!("--extract-hook=set -eu\n{}", what.script))
        .arg(DEBIAN_SUITE)
        .arg(&tar)
        .env("SOURCE_DATE_EPOCH", "0");
    host::run(&step, &mut command, HINT).await?;
    Layer::of_file(&tar).map_err(|e| BuildError::step(&step, e, HINT))
}

/// Fetches mmdebstrap and unpacks it into the work directory, without installing it.
async fn borrow_mmdebstrap(work: &Path) -> Result<PathBuf, BuildError> {
    let step = "fetching mmdebstrap";
    let folder = work.join("mmdebstrap");
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(folder.join(part)).map_err(|e| BuildError::step(step, e, HINT))?;
    }
    // A separate package list: this machine's may be missing, old, or not writable.
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(&folder);
        command.arg("-o").arg(format!("Dir::State::lists={}", folder.join("lists").display()));
        command.arg("-o").arg(format!("Dir::Cache={}", folder.join("cache").display()));
        command.args(["-o", "APT::Sandbox::User=root", "-q"]).args(words);
        command
    };
    host::run(step, &mut apt(&["update"]), HINT).await?;
    host::run(step, &mut apt(&["download", "mmdebstrap"]), HINT).await?;
    let package = std::fs::read_dir(&folder)
        .map_err(|e| BuildError::step(step, e, HINT))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| BuildError::step(step, "apt-get download left no package", HINT))?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(package).arg(&folder);
    host::run(step, &mut unpack, HINT).await?;
    Ok(folder.join("usr/bin/mmdebstrap"))
}
