//! Builds the container of a case: environment, command and limits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::engine::{ContainerSpec, Names, Network};
use crate::holder::protocol::{
    CA_FILE, CREDENTIALS_PATH, HOSTNAME, HOSTS, HOSTS_SECOND, RESOLV_CONF, SHARED_DIR, SHORT_HOSTNAME,
};
use crate::model::condition::{CheckPlan, ContainerPlan};
use crate::model::service::Protocol;
use crate::model::{Candidate, ConditionSet, EnvChange, ImageFacts, Service};

use super::session::Session;

/// Variables that make common runtimes trust the session's certificate authority: OpenSSL and its users, Python's
/// requests, curl, Node.js, the AWS SDKs, gRPC, Deno.
const CA_VARIABLES: [&str; 7] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "DENO_CERT",
];

/// Variables from which an AWS SDK takes its credentials and region (set on Fargate; not documented for App Runner).
const AWS_VARIABLES: [&str; 3] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_REGION", "AWS_DEFAULT_REGION"];
/// The region of the simulated platform.
const REGION: &str = "us-east-1";
/// Variables that the simulated platform injects.
pub(crate) const INJECTED: [&str; 5] = ["PORT", "HOSTNAME", AWS_VARIABLES[0], AWS_VARIABLES[1], AWS_VARIABLES[2]];

/// The variables that a candidate gets in addition to its image's; `None` unsets one of the image's.
#[must_use]
pub(crate) fn environment(
    candidate: &Candidate,
    service: &Service,
    conditions: &ConditionSet,
) -> BTreeMap<String, Option<String>> {
    environment_with(candidate, service, conditions, |_| true)
}

/// Like [`environment`], with only those of the service's variables that are `wanted`.
pub(crate) fn environment_with(
    candidate: &Candidate,
    service: &Service,
    conditions: &ConditionSet,
    wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, Option<String>> {
    let plan = conditions.changes().container;
    let image = &candidate.facts.env;
    let own = service.env.iter().filter(|(name, _)| wanted(name));
    let mut env: BTreeMap<String, Option<String>> =
        own.map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let ca = format!("{SHARED_DIR}/{CA_FILE}");
    env.extend(CA_VARIABLES.map(|name| (name.to_owned(), Some(ca.clone()))));
    // The injected PORT overrides the image's.
    env.insert("PORT".to_owned(), Some(service.port.to_string()));
    if !image.contains_key("HOSTNAME") {
        env.entry("HOSTNAME".to_owned()).or_insert_with(|| Some(HOSTNAME.to_owned()));
    }
    for (name, value) in credentials(!plan.no_role) {
        if !image.contains_key(name) {
            env.entry(name.to_owned()).or_insert(Some(value));
        }
    }
    for (name, change) in &plan.env {
        let now = env.get(name).cloned().flatten().or_else(|| image.get(name).cloned());
        match change.apply(name, now) {
            Some(value) => {
                env.insert(name.clone(), Some(value));
            }
            None if *change == EnvChange::Unset => {
                env.remove(name);
                if image.contains_key(name) {
                    env.insert(name.clone(), None);
                }
            }
            // No value to change.
            None => {}
        }
    }
    if plan.platform_hostname && !service.env.contains_key("HOSTNAME") {
        // The injected HOSTNAME overrides the image's; the service's own overrides it, at least on Fargate
        // (https://github.com/HHS/simpler-grants-gov/pull/599).
        env.insert("HOSTNAME".to_owned(), Some(HOSTNAME.to_owned()));
    }
    env
}

/// The variables of an AWS SDK, with their values. A service without an instance role has no credentials.
fn credentials(role: bool) -> impl Iterator<Item = (&'static str, String)> {
    let values = [CREDENTIALS_PATH, REGION, REGION].map(ToOwned::to_owned);
    AWS_VARIABLES.into_iter().zip(values).filter(move |(name, _)| role || *name != AWS_VARIABLES[0])
}

/// The start command as a shell reads it: split into words, or passed to a shell if it needs one.
#[must_use]
pub(crate) fn shell_words(start_command: &str) -> Vec<String> {
    let needs_shell = start_command.contains(|c| "&|;<>$`*?(){}~#\n".contains(c));
    match shlex::split(start_command) {
        Some(words) if !needs_shell && !words.is_empty() => words,
        _ => ["/bin/sh", "-c", start_command].map(ToOwned::to_owned).to_vec(),
    }
}

/// The start command as the platform reads it: split at white space, with quote characters kept.
#[must_use]
pub(crate) fn platform_words(start_command: &str) -> Vec<String> {
    start_command.split_whitespace().map(ToOwned::to_owned).collect()
}

/// ENTRYPOINT and CMD of a case; `None` for the image's own.
#[must_use]
pub(crate) fn command(
    facts: &ImageFacts,
    service: &Service,
    conditions: &ConditionSet,
) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let plan = conditions.changes().container;
    let Some(start_command) = service.start_command.as_deref() else {
        // In double quotes words stay words, and variables in them are filled in.
        let quoted =
            |word: &String| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`"));
        let own: Vec<String> = facts.entrypoint.iter().chain(&facts.cmd).map(quoted).collect();
        let shell = ["/bin/sh", "-c", &format!("exec {}", own.join(" "))].map(ToOwned::to_owned).to_vec();
        return (plan.shell.then_some(shell), None);
    };
    let words = if plan.split_command { platform_words(start_command) } else { shell_words(start_command) };
    if plan.replace_entrypoint { (Some(words), None) } else { (None, Some(words)) }
}

/// The container of a case.
#[must_use]
pub(crate) fn container(
    candidate: &Candidate,
    service: &Service,
    conditions: &ConditionSet,
    session: &Session,
    holder: &str,
) -> ContainerSpec {
    let env = environment(candidate, service, conditions).into_iter();
    let (entrypoint, cmd) = command(&candidate.facts, service, conditions);
    // Every field is named: the compiler asks what becomes of a new one.
    let ContainerPlan {
        env: _,
        platform_hostname: _,
        no_role: _,
        split_command: _,
        replace_entrypoint: _,
        cpu_milli,
        memory,
        nofile,
        read_only,
        full_disk: _,
        user,
        shell: _,
        empty_folders,
    } = conditions.changes().container;
    ContainerSpec {
        entrypoint,
        cmd,
        // A name without a value unsets the image's variable (Docker Engine API, ContainerCreate, Env).
        env: env.map(|(name, value)| value.map_or(name.clone(), |v| format!("{name}={v}"))).collect(),
        network: Network::Container(holder.to_owned()),
        volumes: vec![session.shared(false)],
        cpu_milli,
        memory,
        nofile,
        read_only,
        user: user.map(|id| format!("{id}:{id}")),
        empty_folders,
        ..ContainerSpec::plain(&candidate.facts.id.0, session.labels("candidate"))
    }
}

/// The names that a candidate sees, where it does not share the holder's files. `volume`: where the session's volume is on
/// the engine's machine.
#[must_use]
pub(crate) fn names(volume: &str, conditions: &ConditionSet) -> Names {
    let hosts = if conditions.changes().network.hostname.is_some() { HOSTS_SECOND } else { HOSTS };
    let files = [(hosts, "/etc/hosts"), (RESOLV_CONF, "/etc/resolv.conf")];
    let files = files.map(|(from, to)| (format!("{volume}/{from}"), to.to_owned())).to_vec();
    Names { hostname: SHORT_HOSTNAME.to_owned(), files }
}

/// The service as the health check of a case sees it.
#[must_use]
pub(crate) fn checked<'a>(service: &'a Service, conditions: &ConditionSet) -> Cow<'a, Service> {
    let CheckPlan { port, path, tcp, patient } = conditions.changes().check;
    let mut service = Cow::Borrowed(service);
    if let Some(port) = port {
        service.to_mut().port = port;
    }
    if let Some(path) = path {
        let check = &mut service.to_mut().health_check;
        (check.protocol, check.path) = (Protocol::Http, path);
    }
    if tcp {
        service.to_mut().health_check.protocol = Protocol::Tcp;
    }
    if patient {
        let check = &mut service.to_mut().health_check;
        check.unhealthy_threshold = MOST_FAILURES;
    }
    service
}

/// The most failures in a row that the platform lets a health check have.
/// <https://docs.aws.amazon.com/apprunner/latest/api/API_HealthCheckConfiguration.html>
const MOST_FAILURES: u32 = 20;

/// Ports named by the candidate's environment and upstreams, on which the simulated internet listens from the start.
#[must_use]
pub(crate) fn named_ports(service: &Service, env: &BTreeMap<String, Option<String>>) -> Vec<u16> {
    let mut ports: Vec<u16> = service.upstreams.iter().map(|upstream| upstream.port).collect();
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
    fn injected_host_name_replaces_the_images_and_not_the_services() {
        let image =
            ImageFacts { env: BTreeMap::from([("HOSTNAME".to_owned(), "a".to_owned())]), ..ImageFacts::default() };
        let candidate = Candidate { facts: image };
        let own = BTreeMap::from([("HOSTNAME".to_owned(), "0.0.0.0".to_owned())]);
        let set: ConditionSet = ConditionSet::new(["hostname.platform".parse().expect("valid")]).expect("a set");
        for (env, value) in [(BTreeMap::new(), HOSTNAME), (own, "0.0.0.0")] {
            let service = Service { env, ..Service::some() };
            assert_eq!(environment(&candidate, &service, &set)["HOSTNAME"].as_deref(), Some(value));
        }
    }

    #[test]
    fn start_command_is_split_as_by_a_shell() {
        let words = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(shell_words("python -m app --name 'a b'"), words(&["python", "-m", "app", "--name", "a b"]));
        assert_eq!(shell_words("a && b"), words(&["/bin/sh", "-c", "a && b"]));
        assert_eq!(shell_words("echo 'unbalanced"), words(&["/bin/sh", "-c", "echo 'unbalanced"]));
    }
}
