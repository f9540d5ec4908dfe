//! The Python base and the installed packages, as layers.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::recipe::{BASE, DEBIAN_PACKAGES, DEBIAN_PYTHON, DEBIAN_SUITE, REGISTRY_BASE};
use super::{BuildError, Source};
use crate::engine::archive::{Blob, Layer};
use crate::engine::{Engine, EngineError};

const PIP_HINT: &str = "Python's pip on this machine fetches the packages: install Python 3 with pip, and see that PyPI \
                        can be reached.";
const DEBIAN_HINT: &str = "See that the Debian mirror can be reached; or give a registry that has python:3.12-slim with \
                           `--registry HOST:PORT`.";
const REGISTRY_HINT: &str = "Log in to the registry or give another with `--registry HOST:PORT`; on Debian the base is \
                             built from packages instead.";

/// A base: its layers, its Python, and the environment that its own image had.
pub struct Base {
    /// From the lowest up.
    pub layers: Vec<Layer>,
    /// `3.11`.
    pub python: String,
    /// PATH and its like.
    pub env: Vec<(String, String)>,
    /// Where it came from, for the progress.
    pub from: String,
}

/// Makes the base for an architecture, in a work folder.
pub async fn make(engine: &dyn Engine, source: &Source, architecture: &str, work: &Path) -> Result<Base, BuildError> {
    if source.registry.is_none() && is_debian() {
        match debian(architecture, source.offline, work).await {
            Ok(base) => return Ok(base),
            Err(error) if source.offline => return Err(error),
            Err(error) => tracing::info!(%error, "no base from Debian packages; trying a registry"),
        }
    }
    registry(engine, source, architecture, work).await
}

fn is_debian() -> bool {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    release.lines().any(|line| line == "ID=debian") && which("apt-get")
}

fn which(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Runs a program of this machine; its output is kept for the error.
async fn run(step: &str, command: &mut Command, hint: &'static str) -> Result<(), BuildError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|e| BuildError::step(step, e, hint))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = text.lines().rev().take(6).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(BuildError::step(step, format!("{}\n{}", output.status, tail.join("\n")), hint))
}

/// The base from Debian packages, by extraction only: nothing of it is run here, and any architecture will do.
async fn debian(architecture: &str, offline: bool, work: &Path) -> Result<Base, BuildError> {
    let step = format!("building the {architecture} base from Debian packages");
    if offline {
        return Err(BuildError::step(step, "the packages must be fetched, and --offline forbids it", DEBIAN_HINT));
    }
    let program = if which("mmdebstrap") { PathBuf::from("mmdebstrap") } else { borrow_mmdebstrap(work).await? };
    let tar = work.join(format!("base-{architecture}.tar"));
    let mut command = Command::new(program);
    command
        .arg(format!("--architectures={architecture}"))
        .arg(format!("--include={}", DEBIAN_PACKAGES.join(",")))
        .args(["--variant=extract", "--aptopt=APT::Sandbox::User \"root\""])
        // What no program reads.
        .args(["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*"])
        .args(["--dpkgopt=path-exclude=/usr/share/locale/*"])
        .arg("--customize-hook=cp \"$1\"/usr/share/base-passwd/passwd.master \"$1\"/etc/passwd")
        .arg("--customize-hook=cp \"$1\"/usr/share/base-passwd/group.master \"$1\"/etc/group")
        .arg(concat!(
            "--customize-hook=mkdir -p \"$1\"/etc/ssl/certs && find \"$1\"/usr/share/ca-certificates -name '*.crt' ",
            "| sort | xargs cat > \"$1\"/etc/ssl/certs/ca-certificates.crt"
        ))
        .arg(DEBIAN_SUITE)
        .arg(&tar)
        .env("SOURCE_DATE_EPOCH", "0");
    run(&step, &mut command, DEBIAN_HINT).await?;
    let layer = Layer::of_file(&tar).map_err(|e| BuildError::step(&step, e, DEBIAN_HINT))?;
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Ok(Base {
        layers: vec![layer],
        python: DEBIAN_PYTHON.to_owned(),
        env: vec![("PATH".to_owned(), path.to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())],
        from: format!("Debian {DEBIAN_SUITE} packages"),
    })
}

/// mmdebstrap without installing it: its package is fetched and unpacked into the work folder.
async fn borrow_mmdebstrap(work: &Path) -> Result<PathBuf, BuildError> {
    let step = "fetching mmdebstrap";
    let folder = work.join("mmdebstrap");
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(folder.join(part)).map_err(|e| BuildError::step(step, e, DEBIAN_HINT))?;
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
    run(step, &mut apt(&["update"]), DEBIAN_HINT).await?;
    run(step, &mut apt(&["download", "mmdebstrap"]), DEBIAN_HINT).await?;
    let package = std::fs::read_dir(&folder)
        .map_err(|e| BuildError::step(step, e, DEBIAN_HINT))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or_else(|| BuildError::step(step, "apt-get download left no package", DEBIAN_HINT))?;
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(package).arg(&folder);
    run(step, &mut unpack, DEBIAN_HINT).await?;
    Ok(folder.join("usr/bin/mmdebstrap"))
}

#[derive(Deserialize)]
struct SavedManifest {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct SavedConfig {
    architecture: String,
    #[serde(default)]
    config: SavedRuntime,
    rootfs: SavedRootfs,
}

#[derive(Deserialize, Default)]
struct SavedRuntime {
    #[serde(rename = "Env", default)]
    env: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct SavedRootfs {
    diff_ids: Vec<String>,
}

/// The base from a registry's `python:3.12-slim`.
async fn registry(engine: &dyn Engine, source: &Source, architecture: &str, work: &Path) -> Result<Base, BuildError> {
    let name = match &source.registry {
        Some(registry) => format!("{registry}/{REGISTRY_BASE}"),
        None => REGISTRY_BASE.to_owned(),
    };
    let before = engine.inspect_image(&name).await.ok();
    let local = before.as_ref().is_some_and(|image| image.architecture == architecture);
    if !local {
        if source.offline {
            let step = format!("taking {name} for {architecture}");
            return Err(BuildError::step(
                step,
                "it is not on the engine, and --offline forbids to fetch it",
                REGISTRY_HINT,
            ));
        }
        engine.pull_image(&name, &format!("linux/{architecture}")).await.map_err(|e| match e {
            EngineError::Broken { action, message } => BuildError::step(action, message, REGISTRY_HINT),
            other => other.into(),
        })?;
    }
    let folder = work.join(format!("saved-{architecture}"));
    let tar = work.join(format!("saved-{architecture}.tar"));
    // The name is the user's: at once it means again what it meant before.
    let ours = format!("exitone/registry-base:{architecture}");
    engine.tag_image(&name, &ours).await?;
    match before {
        Some(image) if !local => engine.tag_image(&image.id.0, &name).await?,
        None => engine.remove_image(&name).await?,
        Some(_) => {}
    }
    let saved = engine.save_image(&ours, &tar).await;
    engine.remove_image(&ours).await?;
    saved?;
    let step = format!("unpacking {name}");
    let base = tokio::task::spawn_blocking(move || unpack_saved(&tar, &folder))
        .await
        .map_err(|e| BuildError::step(&step, e, REGISTRY_HINT))?
        .map_err(|e| BuildError::step(&step, e, REGISTRY_HINT))?;
    if base.1 != architecture {
        let cause = format!("the registry gave an image for {} instead of {architecture}", base.1);
        return Err(BuildError::step(format!("taking {name}"), cause, REGISTRY_HINT));
    }
    Ok(Base { from: name, ..base.0 })
}

fn unpack_saved(tar: &Path, folder: &Path) -> std::io::Result<(Base, String)> {
    tar::Archive::new(std::fs::File::open(tar)?).unpack(folder)?;
    let manifests: Vec<SavedManifest> = serde_json::from_slice(&std::fs::read(folder.join("manifest.json"))?)?;
    let manifest = manifests.into_iter().next().ok_or_else(|| std::io::Error::other("an empty archive"))?;
    let config: SavedConfig = serde_json::from_slice(&std::fs::read(folder.join(&manifest.config))?)?;
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let env: Vec<(String, String)> = config
        .config
        .env
        .unwrap_or_default()
        .iter()
        .filter_map(|e| e.split_once('='))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let version = env.iter().find(|(n, _)| n == "PYTHON_VERSION").map(|(_, v)| v.clone());
    let version = version.unwrap_or_else(|| "3.12".to_owned());
    let python = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let base = Base {
        layers: layers
            .map(|(path, diff_id)| Layer { blob: Blob::File(folder.join(path)), diff_id: diff_id.clone() })
            .collect(),
        python,
        env,
        from: BASE.to_owned(),
    };
    Ok((base, config.architecture))
}

/// Installs the pinned packages for a Python and an architecture into a folder, from wheels alone.
pub async fn packages(requirements: &Path, python: &str, architecture: &str, to: &Path) -> Result<(), BuildError> {
    let step = format!("fetching the Python packages for {architecture}");
    let machine = if architecture == "arm64" { "aarch64" } else { "x86_64" };
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"])
        .args(["--only-binary=:all:", "--python-version", python, "--implementation", "cp"])
        .args(["--no-warn-conflicts"]);
    // As a variable: older versions of pip do not know the option.
    command.env("PIP_ROOT_USER_ACTION", "ignore");
    for glibc in ["manylinux2014", "manylinux_2_17", "manylinux_2_28"] {
        command.arg("--platform").arg(format!("{glibc}_{machine}"));
    }
    command.arg("--target").arg(to).arg("--requirement").arg(requirements);
    run(&step, &mut command, PIP_HINT).await?;
    // Console scripts name this machine's interpreter.
    let _ = std::fs::remove_dir_all(to.join("bin"));
    Ok(())
}

/// Compiles a folder where this machine's Python is the image's, so that a start need not. Returns whether it did.
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
