//! Credentials for registries: those of Docker's configuration, and of its credential helpers.

use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};

/// What a helper prints if it has no credentials for a registry (docker-credential-helpers, `credentials/error.go`).
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The key of Docker Hub in `config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The credentials that `docker pull` would use; `None` if none are configured for the registry.
///
/// # Errors
/// One sentence: the configuration or a helper does not work.
pub(super) async fn credentials_for(image: &str) -> Result<Option<DockerCredential>, String> {
    let registry = registry(image);
    let server = registry.to_owned();
    // A helper is a process.
    let asked = tokio::task::spawn_blocking(move || get_credential(&server)).await;
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

    #[test]
    fn name_without_a_tag_is_the_latest() {
        assert_eq!(with_tag("localhost:5000/app"), "localhost:5000/app:latest");
        for name in ["app:v1", "app@sha256:00", "localhost:5000/a/b:v1"] {
            assert_eq!(with_tag(name), name);
        }
    }
}
