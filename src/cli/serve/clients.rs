//! What makes clients use a server: the environment of the AWS clients, the certificates they trust, curl's configuration.

use std::path::Path;

use super::Failure;
use crate::serve::shared::Place;

/// Where systems keep the certificates that they trust (Debian, Fedora, Alpine and macOS).
const TRUSTED: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The file with the certificate that signs the services' names.
const AUTHORITY: &str = "ca.pem";
/// The name under which curl looks for its configuration in `CURL_HOME`.
const CURL: &str = ".curlrc";

/// Shell commands that point AWS clients and curl to a server. The credentials are made up: nothing checks them.
pub(super) fn environment(place: &Place, folder: &Path) -> String {
    let endpoint = format!("http://127.0.0.1:{}", place.port);
    let mut lines = String::new();
    for service in ["APPRUNNER", "CLOUDWATCH_LOGS", "ECR", "STS"] {
        lines.push_str(&format!("export AWS_ENDPOINT_URL_{service}={endpoint}\n"));
    }
    let quoted = |path: &Path| {
        let path = path.display().to_string();
        shlex::try_quote(&path).map(|quoted| quoted.into_owned()).unwrap_or(path)
    };
    lines.push_str(&format!(
        "export AWS_ACCESS_KEY_ID={account}\nexport AWS_SECRET_ACCESS_KEY=exitone\nexport AWS_REGION={region}\n\
         export AWS_DEFAULT_REGION={region}\nexport CURL_CA_BUNDLE={authority}\nexport CURL_HOME={curl}\n",
        account = place.account,
        region = place.region,
        authority = quoted(&folder.join(AUTHORITY)),
        curl = quoted(folder),
    ));
    lines
}

/// Writes the certificate that signs the services' names, behind those that this machine trusts: a shell that uses the file
/// still reaches other servers.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_authority(folder: &Path, cert: &str) -> Result<(), Failure> {
    let known = TRUSTED.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    write(&folder.join(AUTHORITY), &(known + cert))
}

/// Writes the configuration with which curl finds services under their public names: those that App Runner gave them, and
/// custom domains. `hosts` are these names.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write_curl(folder: &Path, port: u16, hosts: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut lines = "# Written by `exitone serve`: names of services lead to it.\n".to_owned();
    // curl reads one configuration alone: the user's own, named in it, is read as well.
    if let Some(own) = std::env::home_dir().map(|home| home.join(CURL)).filter(|own| own.is_file()) {
        lines.push_str(&format!("config = {}\n", quoted(&own)));
    }
    for host in hosts {
        // Whatever port the name is asked at.
        lines.push_str(&format!("connect-to = \"{host}::127.0.0.1:{port}\"\n"));
    }
    write(&folder.join(CURL), &lines)
}

/// A path as curl's configuration has it (<https://curl.se/docs/manpage.html#-K>).
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|e| Failure::unwritable(format!("{}: {e}", path.display())))
}

/// Reads the name of a custom domain.
///
/// # Errors
/// When it is not a host name.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    if text.contains('.')
        && text.len() <= 253
        && text.split('.').all(is_label)
        && text.parse::<std::net::IpAddr>().is_err()
    {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("must be a host name, such as api.example.com".to_owned())
    }
}
