//! A case as a container: its environment, its command, its limits.

use std::collections::BTreeMap;

use crate::engine::{ContainerSpec, Network};
use crate::holder::protocol::{CA_FILE, HOSTNAME, SHARED_DIR};
use crate::model::{Candidate, Condition, ConditionSet, Service};

use super::session::Session;

/// The variables that make the usual runtimes trust the session's authority: OpenSSL and what is built on it,
/// Python's requests, curl, Node.js, the AWS SDKs, gRPC, Deno.
const CA_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "DENO_CERT",
];

/// The variables that a candidate gets over those of its image; `None` takes one of the image's away.
#[must_use]
pub fn environment(
    candidate: &Candidate,
    service: &Service,
    conditions: &ConditionSet,
) -> BTreeMap<String, Option<String>> {
    let image = &candidate.facts.env;
    let mut env: BTreeMap<String, Option<String>> =
        service.env.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let ca = format!("{SHARED_DIR}/{CA_FILE}");
    env.extend(CA_VARIABLES.map(|name| (name.to_owned(), Some(ca.clone()))));
    // PORT is injected and beats the image's own.
    env.insert("PORT".to_owned(), Some(service.port.to_string()));
    if !image.contains_key("HOSTNAME") {
        env.entry("HOSTNAME".to_owned()).or_insert_with(|| Some(HOSTNAME.to_owned()));
    }
    for condition in conditions.iter() {
        match condition {
            Condition::EnvUnset(name) => {
                env.remove(name);
                if image.contains_key(name) {
                    env.insert(name.clone(), None);
                }
            }
            Condition::EnvEmpty(name) => {
                env.insert(name.clone(), Some(String::new()));
            }
            Condition::EnvSet(name, value) => {
                env.insert(name.clone(), Some(value.text.clone()));
            }
            // HOSTNAME is injected there and beats the image's own.
            Condition::HostnamePlatform | Condition::HostnameUnbindable => {
                env.insert("HOSTNAME".to_owned(), Some(HOSTNAME.to_owned()));
            }
            _ => {}
        }
    }
    env
}

/// The start command as a shell would read it: split into words, or given to a shell where it needs one.
fn command(start_command: &str) -> Vec<String> {
    let needs_shell = start_command.contains(|c| "&|;<>$`*?(){}~#\n".contains(c));
    match shlex::split(start_command) {
        Some(words) if !needs_shell && !words.is_empty() => words,
        _ => ["/bin/sh", "-c", start_command].map(ToOwned::to_owned).to_vec(),
    }
}

/// The container of a case.
#[must_use]
pub fn container(
    candidate: &Candidate,
    service: &Service,
    conditions: &ConditionSet,
    session: &Session,
    holder: &str,
) -> ContainerSpec {
    let env = environment(candidate, service, conditions).into_iter();
    let mut spec = ContainerSpec {
        image: candidate.facts.id.0.clone(),
        labels: session.labels("candidate"),
        entrypoint: None,
        cmd: service.start_command.as_deref().map(command),
        // A name alone takes the image's variable away (Docker Engine API, ContainerCreate, Env).
        env: env.map(|(name, value)| value.map_or(name.clone(), |v| format!("{name}={v}"))).collect(),
        network: Network::Container(holder.to_owned()),
        volume: Some((session.volume(), SHARED_DIR.to_owned())),
        cpu_milli: None,
        memory: None,
        holder: None,
    };
    for condition in conditions.iter() {
        match condition {
            Condition::CpuLimit(milli) => spec.cpu_milli = Some(*milli),
            Condition::MemoryLimit(bytes) => spec.memory = Some(*bytes),
            _ => {}
        }
    }
    spec
}

/// Ports that the candidate's environment and upstreams name, so that the simulated internet answers there at once.
#[must_use]
pub fn named_ports(service: &Service, env: &BTreeMap<String, Option<String>>) -> Vec<u16> {
    let mut ports: Vec<u16> = service.upstreams.iter().map(|(_, port)| *port).collect();
    for value in env.values().flatten() {
        let after_colons = value.split(':').skip(1);
        ports.extend(after_colons.filter_map(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u16>().ok().filter(|port| *port != 0)
        }));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_command_is_read_as_a_shell_would() {
        let words = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(command("python -m app --name 'a b'"), words(&["python", "-m", "app", "--name", "a b"]));
        assert_eq!(command("a && b"), words(&["/bin/sh", "-c", "a && b"]));
        assert_eq!(command("echo 'unbalanced"), words(&["/bin/sh", "-c", "echo 'unbalanced"]));
    }
}
