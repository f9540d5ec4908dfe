//! Credentials for registries: those of Docker's configuration, and of its credential helpers.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};

use super::context::EngineEnv;

/// What a helper prints if it has no credentials for a registry (docker-credential-helpers, `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The key of Docker Hub in `config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The credentials that `docker pull` would use; `None` if none are configured for the registry.
///
/// # Errors
/// One sentence: the configuration or a helper does not work.
pub(super) async fn credentials_for(image: &str) -> Result<Option<DockerCredential>, String> {
    match EngineEnv::of_process().config_dir {
        Some(folder) => credentials_in(&folder.join("config.json"), image).await,
        None => Ok(None),
    }
}

/// The credentials in a configuration file; `None` if there is no such file.
async fn credentials_in(config: &Path, image: &str) -> Result<Option<DockerCredential>, String> {
    let registry = registry(image);
    let server = registry.to_owned();
    let file = match File::open(config) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(format!("{}: {e}", config.display())),
    };
    // A helper is a process.
    let asked = tokio::task::spawn_blocking(move || get_credential_from_reader(BufReader::new(file), &server)).await;
    match asked.map_err(|e| e.to_string())? {
        Ok(credential) => Ok(Some(credential)),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { stdout, .. }) if stdout.trim() == NOT_FOUND => Ok(None),
        // What a helper prints to standard output may be a secret.
        Err(CredentialRetrievalError::HelperFailure { helper, stderr, .. }) => {
            let stderr = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            Err(format!("`{helper}`, Docker's credential helper for {registry}, failed: {stderr}"))
        }
        Err(e) => Err(format!("Docker's configuration has no usable credentials for {registry}: {e}")),
    }
}

/// The registry in an image's name, as it is called in `config.json`. A first part without a dot or a port is a
/// namespace on Docker Hub.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => DOCKER_HUB,
    }
}

/// The name with the tag that `docker pull` adds if it has neither tag nor digest.
pub(super) fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_is_a_host_or_docker_hub() {
        let ecr = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
        assert_eq!(registry(&format!("{ecr}/app:v1")), ecr);
        assert_eq!(registry("localhost:5000/app"), "localhost:5000");
        assert_eq!(registry("localhost/app"), "localhost");
        for name in ["postgres:16", "grafana/grafana:11", "python@sha256:00"] {
            assert_eq!(registry(name), DOCKER_HUB, "{name}");
        }
    }

    #[tokio::test]
    async fn missing_configuration_has_no_credentials() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.json");
        let found = async || credentials_in(&config, "registry.example/app").await.map(|found| found.is_some());
        assert_eq!(found().await, Ok(false), "no file");
        std::fs::write(&config, r#"{"auths": {"registry.example": {"auth": "dTpw"}}}"#).expect("written");
        assert_eq!(found().await, Ok(true));
        std::fs::write(&config, "no JSON").expect("written");
        let wrong = found().await.expect_err("not a configuration");
        assert!(wrong.contains("registry.example"), "{wrong}");
    }

    #[test]
    fn name_without_a_tag_is_the_latest() {
        assert_eq!(with_tag("localhost:5000/app"), "localhost:5000/app:latest");
        for name in ["app:v1", "app@sha256:00", "localhost:5000/a/b:v1"] {
            assert_eq!(with_tag(name), name);
        }
    }
}
