//! Files of Debian packages as a layer, without Docker and without installing anything.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::recipe::DEBIAN_SUITE;
use super::{BuildError, Source, host};
use crate::engine::archive::Layer;

const HINT: &str = "See that the Debian mirror can be reached; or give a registry that has the image with \
                    `--registry HOST:PORT`.";

/// A script for [`Extraction::script`]: what the packages' own scripts would do of accounts and certificates, and without
/// what no program reads.
pub const PREPARE: &str = r#"
cp "$1"/usr/share/base-passwd/passwd.master "$1"/etc/passwd
cp "$1"/usr/share/base-passwd/group.master "$1"/etc/group
mkdir -p "$1"/etc/ssl/certs
find "$1"/usr/share/ca-certificates -name '*.crt' | sort | xargs cat >"$1"/etc/ssl/certs/ca-certificates.crt
rm -rf "$1"/usr/share/man "$1"/usr/share/doc "$1"/usr/share/locale
"#;

/// What becomes a layer.
pub struct Extraction<'a> {
    /// What it is, for the progress and for a file's name.
    pub name: &'static str,
    /// `amd64`, `arm64`.
    pub architecture: &'a str,
    /// The packages; those that they need come with them.
    pub packages: &'a [&'a str],
    /// A shell script that changes the files, under `set -eu`; `$1` is their folder.
    pub script: String,
}

/// From Debian packages where this is Debian and no registry is named, else from a registry.
///
/// # Errors
/// The registry's; without a network, that of the packages.
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

/// True when this machine has Debian's packages.
#[must_use]
pub fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && host::has("apt-get")
}

/// Makes the layer by extraction into a work folder: no package's own script is run, and any architecture will do.
///
/// # Errors
/// Packages that cannot be fetched.
pub async fn extract(what: &Extraction<'_>, source: &Source, work: &Path) -> Result<Layer, BuildError> {
    let step = format!("{} for {} from Debian packages", what.name, what.architecture);
    if source.offline {
        return Err(BuildError::step(step, "the packages must be fetched, and --offline forbids it", HINT));
    }
    let program = if host::has("mmdebstrap") { PathBuf::from("mmdebstrap") } else { borrow_mmdebstrap(work).await? };
    let tar = work.join(format!("{}-{}.tar", what.name.replace(' ', "-"), what.architecture));
    let mut command = Command::new(program);
    command
        .arg(format!("--architectures={}", what.architecture))
        .arg(format!("--include={}", what.packages.join(",")))
        .args(["--variant=extract", "--aptopt=APT::Sandbox::User \"root\""])
        // Of the hooks, this variant runs only those of set-up and extraction.
        .arg(format!("--extract-hook=set -eu\n{}", what.script))
        .arg(DEBIAN_SUITE)
        .arg(&tar)
        .env("SOURCE_DATE_EPOCH", "0");
    host::run(&step, &mut command, HINT).await?;
    Layer::of_file(&tar).map_err(|e| BuildError::step(&step, e, HINT))
}

/// mmdebstrap without installing it: its package is fetched and unpacked into the work folder.
async fn borrow_mmdebstrap(work: &Path) -> Result<PathBuf, BuildError> {
    let step = "fetching mmdebstrap";
    let folder = work.join("mmdebstrap");
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(folder.join(part)).map_err(|e| BuildError::step(step, e, HINT))?;
    }
    // A list of packages of its own: this machine's may be missing, old, or not writable.
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
