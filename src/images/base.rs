//! The Python base and the installed packages, as layers.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::debian::{self, Extraction, PREPARE};
use super::recipe::{DEBIAN_PACKAGES, DEBIAN_PYTHON, DEBIAN_SUITE, REGISTRY_BASE};
use super::{BuildError, Source, host, registry};
use crate::engine::Engine;
use crate::engine::archive::Layer;

const PIP_HINT: &str = "Python's pip on this machine fetches the packages: install Python 3 with pip, and check that PyPI \
                        can be reached.";

/// A base: its layers, its Python, and its image's environment.
pub struct Base {
    /// From the lowest up.
    pub layers: Vec<Layer>,
    /// `3.11`.
    pub python: String,
    /// PATH and the like.
    pub env: Vec<(String, String)>,
    /// Its origin, for progress messages.
    pub from: String,
}

/// Makes the base for an architecture, in a work directory.
///
/// # Errors
/// When it is available neither from Debian's mirror nor from the registry, and when there is no pip for what goes onto it.
pub async fn make(engine: &dyn Engine, source: &Source, architecture: &str, work: &Path) -> Result<Base, BuildError> {
    if !source.offline {
        // Before anything is fetched.
        let step = format!("fetching the Python packages for {architecture}");
        host::run(&step, Command::new("python3").args(["-m", "pip", "--version"]), PIP_HINT).await?;
    }
    debian::or_registry(
        source,
        from_debian(architecture, source, work),
        from_registry(engine, source, architecture, work),
    )
    .await
}

async fn from_debian(architecture: &str, source: &Source, work: &Path) -> Result<Base, BuildError> {
    let what = Extraction { name: "Python base", architecture, packages: &DEBIAN_PACKAGES, script: PREPARE.to_owned() };
    let layer = debian::extract(&what, source, work).await?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Ok(Base {
        layers: vec![layer],
        python: DEBIAN_PYTHON.to_owned(),
        env: vec![("PATH".to_owned(), path.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())],
        from: format!("Debian {DEBIAN_SUITE} packages"),
    })
}

async fn from_registry(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
) -> Result<Base, BuildError> {
    let saved = registry::take(engine, source, REGISTRY_BASE, architecture, work).await?;
    let version = saved.env.iter().find(|(n, _)| n == "PYTHON_VERSION").map(|(_, v)| v.clone());
    let version = version.unwrap_or_else(|| "3.12".to_owned());
    let python = version.split('.').take(2).collect::<Vec<_>>().join(".");
    Ok(Base { layers: saved.layers, python, env: saved.env, from: saved.name })
}

/// Installs the pinned packages for a Python and an architecture into a directory, from wheels only.
///
/// # Errors
/// When one of them cannot be fetched.
pub async fn packages(requirements: &Path, python: &str, architecture: &str, to: &Path) -> Result<(), BuildError> {
    let step = format!("fetching the Python packages for {architecture}");
    let machine = if architecture == "arm64" { "aarch64" } else { "x86_64" };
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"])
        .args(["--only-binary=:all:", "--python-version", python, "--implementation", "cp"])
        .args(["--no-warn-conflicts"]);
    // As a variable: older versions of pip do not have the option.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    for glibc in ["manylinux2014", "manylinux_2_17", "manylinux_2_28"] {
        command.arg("--platform").arg(format!("{glibc}_{machine}"));
    }
    command.arg("--target").arg(to).arg("--requirement").arg(requirements);
    host::run(&step, &mut command, PIP_HINT).await?;
    // Console scripts contain the path of this machine's interpreter.
    let _ = std::fs::remove_dir_all(to.join("bin"));
    Ok(())
}

/// Precompiles a directory if this machine's Python matches the image's, which speeds up the start. Returns whether it
/// did.
///
/// # Errors
/// When Python cannot be run.
pub async fn compile(folder: &Path, python: &str) -> Result<bool, BuildError> {
    let script = format!(
        "import sys, compileall\n\
         if sys.version_info[:2] != tuple(map(int, {python:?}.split('.'))): sys.exit(3)\n\
         from py_compile import PycInvalidationMode as M\n\
         ok = compileall.compile_dir(sys.argv[1], quiet=2, stripdir=sys.argv[1], invalidation_mode=M.UNCHECKED_HASH)\n"
    );
    let mut command = Command::new("python3");
    command.args(["-c", &script]).arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.kill_on_drop(true).status().await;
    Ok(status.map_err(|e| BuildError::step("compiling the Python packages", e, PIP_HINT))?.success())
}
