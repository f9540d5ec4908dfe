//! Finds the engine: `DOCKER_HOST`, then the docker context, then the usual sockets.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::{EngineError, EngineResult};

/// The default socket of Docker on Linux and macOS.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The part of `~/.docker/config.json` that names the context.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

/// The part of a context's `meta.json` that names the endpoint.
#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
}

/// The environment that determines where the engine is, read once.
#[derive(Default, Debug)]
pub struct EngineEnv {
    /// `DOCKER_HOST`.
    pub(crate) docker_host: Option<String>,
    /// `DOCKER_CONTEXT`.
    pub(crate) docker_context: Option<String>,
    /// `DOCKER_CONFIG`, or `~/.docker`.
    pub(crate) config_dir: Option<PathBuf>,
    /// Whether `DOCKER_TLS_VERIFY` is set.
    pub(crate) tls: bool,
    /// `DOCKER_CERT_PATH`.
    pub(crate) cert_path: Option<PathBuf>,
    /// The home directory.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
}

impl EngineEnv {
    /// Reads the environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let home = std::env::home_dir();
        Self {
            docker_host: var("DOCKER_HOST"),
            docker_context: var("DOCKER_CONTEXT"),
            tls: var("DOCKER_TLS_VERIFY").is_some(),
            cert_path: var("DOCKER_CERT_PATH").map(PathBuf::from),
            config_dir: var("DOCKER_CONFIG").map(PathBuf::from).or(home.as_ref().map(|h| h.join(".docker"))),
            home,
            runtime_dir: var("XDG_RUNTIME_DIR").map(PathBuf::from),
        }
    }

    /// The address of the engine, as the docker command line finds it.
    ///
    /// # Errors
    /// [`EngineError::Address`] when a named context cannot be read.
    pub(crate) fn host(&self) -> EngineResult<String> {
        if let Some(host) = &self.docker_host {
            return Ok(host.clone());
        }
        if let Some(context) = self.context()?.filter(|c| c != "default") {
            return self.host_of_context(&context);
        }
        let candidates = [
            Some(PathBuf::from(DEFAULT_SOCKET)),
            self.home.as_ref().map(|h| h.join(".docker/run/docker.sock")),
            self.runtime_dir.as_ref().map(|r| r.join("docker.sock")),
            self.home.as_ref().map(|h| h.join(".colima/default/docker.sock")),
            self.runtime_dir.as_ref().map(|r| r.join("podman/podman.sock")),
        ];
        let sockets: Vec<PathBuf> = candidates.into_iter().flatten().filter(|path| path.exists()).collect();
        Ok(format!("unix://{}", best(&sockets).unwrap_or(Path::new(DEFAULT_SOCKET)).display()))
    }

    /// The folder with `ca.pem`, `cert.pem` and `key.pem`, if the engine is reached over TLS: that of DOCKER_CERT_PATH, else
    /// the configuration's own, or the context's.
    ///
    /// # Errors
    /// [`EngineError::Address`] when the configuration cannot be read.
    pub(crate) fn certificates(&self) -> EngineResult<Option<PathBuf>> {
        if self.docker_host.is_some() {
            let folder = self.cert_path.as_ref().or(self.config_dir.as_ref());
            return Ok(folder.filter(|_| self.tls).cloned());
        }
        let Some(context) = self.context()?.filter(|c| c != "default") else { return Ok(None) };
        let folder = self.of_context("tls", &context).map(|folder| folder.join("docker"));
        Ok(folder.filter(|folder| folder.is_dir()))
    }

    fn context(&self) -> EngineResult<Option<String>> {
        if self.docker_context.is_some() {
            return Ok(self.docker_context.clone());
        }
        let Some(path) = self.config_dir.as_ref().map(|d| d.join("config.json")).filter(|p| p.exists()) else {
            return Ok(None);
        };
        Ok(read_json::<Config>(&path)?.current_context)
    }

    fn host_of_context(&self, context: &str) -> EngineResult<String> {
        let path = self
            .of_context("meta", context)
            .map(|folder| folder.join("meta.json"))
            .filter(|p| p.exists())
            .ok_or_else(|| EngineError::Address { problem: format!("no docker context `{context}`") })?;
        Ok(read_json::<Meta>(&path)?.endpoints.docker.host)
    }

    /// The folder of a context in the store of this kind (`meta`, `tls`), which is named by the SHA-256 of the context's
    /// name (docker/cli, context store).
    fn of_context(&self, kind: &str, context: &str) -> Option<PathBuf> {
        let name = hex(&Sha256::digest(context.as_bytes()));
        self.config_dir.as_ref().map(|folder| folder.join("contexts").join(kind).join(name))
    }
}

/// The first socket that answers, else the first: with several engines, not all of their sockets are this user's.
fn best(sockets: &[PathBuf]) -> Option<&Path> {
    sockets.iter().find(|socket| connects(socket).is_ok()).or(sockets.first()).map(PathBuf::as_path)
}

/// Connects to a socket, to see whether a process listens there and this user may.
///
/// # Errors
/// The system's.
pub(super) fn connects(socket: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    std::os::unix::net::UnixStream::connect(socket)?;
    #[cfg(not(unix))]
    let _ = socket;
    Ok(())
}

/// Bytes as hexadecimal digits.
#[must_use]
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> EngineResult<T> {
    let problem = |e: String| EngineError::Address { problem: format!("{}: {e}", path.display()) };
    let text = std::fs::read_to_string(path).map_err(|e| problem(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| problem(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_host_then_context_then_socket() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut here = EngineEnv { config_dir: Some(dir.path().to_owned()), ..EngineEnv::default() };
        assert_eq!(here.host(), Ok("unix:///var/run/docker.sock".to_owned()));

        std::fs::write(dir.path().join("config.json"), r#"{"auths":{},"currentContext":"remote"}"#).expect("written");
        assert!(here.host().expect_err("no such context").to_string().contains("`remote`"));

        let meta = dir.path().join("contexts/meta").join(hex(&Sha256::digest(b"remote")));
        std::fs::create_dir_all(&meta).expect("created");
        let text = r#"{"Name":"remote","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://me@there"}}}"#;
        std::fs::write(meta.join("meta.json"), text).expect("written");
        assert_eq!(here.host(), Ok("ssh://me@there".to_owned()));

        assert_eq!(here.certificates(), Ok(None));
        let tls = dir.path().join("contexts/tls").join(hex(&Sha256::digest(b"remote"))).join("docker");
        std::fs::create_dir_all(&tls).expect("created");
        assert_eq!(here.certificates(), Ok(Some(tls)));

        here.docker_context = Some("default".to_owned());
        assert_eq!(here.host(), Ok("unix:///var/run/docker.sock".to_owned()));
        let runtime = dir.path().join("run");
        std::fs::create_dir_all(runtime.join("podman")).expect("created");
        std::fs::write(runtime.join("docker.sock"), "").expect("written");
        let _listener = std::os::unix::net::UnixListener::bind(runtime.join("podman/podman.sock")).expect("bound");
        let sockets = ["docker.sock", "podman/podman.sock"].map(|name| runtime.join(name));
        assert_eq!(best(&sockets), Some(sockets[1].as_path()), "the first one does not answer");
        assert_eq!(best(&sockets[..1]), Some(sockets[0].as_path()), "none answers");
        assert_eq!(best(&[]), None);

        here.docker_host = Some("tcp://127.0.0.1:2375".to_owned());
        assert_eq!(here.host(), Ok("tcp://127.0.0.1:2375".to_owned()));
        assert_eq!(here.certificates(), Ok(None));
        here.tls = true;
        assert_eq!(here.certificates(), Ok(here.config_dir.clone()));
        here.cert_path = Some("/certificates".into());
        assert_eq!(here.certificates(), Ok(here.cert_path.clone()));
    }
}
