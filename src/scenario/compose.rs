//! Reads the services of a `compose.yaml` as upstreams: each that has an image becomes a service container under its
//! name (<https://github.com/compose-spec/compose-spec/blob/main/spec.md>).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::env_file;
use super::image_name::image_problem;
use super::problem::{Problem, Refused};
use super::upstreams::READY_WITHIN;
use super::{text, yaml};
use crate::model::service::{ServiceContainer, Upstream, UpstreamKind};

/// The port of a well-known server, by the last part of its image's name.
const PORTS: [(&str, u16); 16] = [
    ("postgres", 5432),
    ("postgresql", 5432),
    ("postgis", 5432),
    ("pgvector", 5432),
    ("mysql", 3306),
    ("mariadb", 3306),
    ("redis", 6379),
    ("valkey", 6379),
    ("mongo", 27017),
    ("rabbitmq", 5672),
    ("memcached", 11211),
    ("nats", 4222),
    ("elasticsearch", 9200),
    ("localstack", 4566),
    ("mailpit", 1025),
    ("mailhog", 1025),
];

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    services: BTreeMap<String, Written>,
}

/// A service. Keys that do not matter here are ignored.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Written {
    image: Option<String>,
    build: Option<Value>,
    container_name: Option<String>,
    environment: Value,
    env_file: Value,
    command: Value,
    ports: Vec<Value>,
    expose: Vec<Value>,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Compose {
    /// The services that have an image, under each of their names.
    pub(crate) upstreams: Vec<Upstream>,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
}

/// Reads a file, and the `.env` beside it, whose values fill in `${NAME}`.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read(name: &str, written: &str, folder: &Path) -> Result<Compose, Refused> {
    // No excerpt: values may be secrets.
    let refused = |problems: Vec<Problem>| Refused::new(name, "", problems);
    let tree = yaml::tree(written).map_err(|problem| refused(vec![problem]))?;
    // The reader's own message may show a value.
    let not_compose = |_| refused(vec![Problem::of_file("not a compose file: `services` must map names to services")]);
    let document: Document = serde_json::from_value(tree.json()).map_err(not_compose)?;
    let env = match text::read(&folder.join(".env")) {
        Ok(text) => env_file::parse(".env", &text)?,
        Err(_) => BTreeMap::new(),
    };
    let mut problems = Vec::new();
    let mut compose = Compose::default();
    for (service, written) in &document.services {
        let Some(image) = written.image.as_deref().filter(|_| written.build.is_none()) else {
            compose.notes.push(format!("{name}: {service} is built from source and not run"));
            continue;
        };
        let image = filled(image, &env);
        if let Some(problem) = image_problem(&image) {
            problems.push(Problem::of_file(format!("{service}: {problem}")));
        }
        let variables = match variables(written, &env, folder) {
            Ok(variables) => variables,
            Err(problem) => {
                problems.push(Problem::of_file(format!("{service}: {problem}")));
                continue;
            }
        };
        let ports = ports(written, &image);
        if ports.is_empty() {
            compose.notes.push(format!("{name}: {service} names no port (`expose`) and is not run"));
        }
        let container = ServiceContainer {
            image,
            env: variables,
            command: words(&written.command, &env),
            ready_within: READY_WITHIN,
        };
        let other_name = written.container_name.as_ref().filter(|name| *name != service);
        for host in [Some(service), other_name].into_iter().flatten() {
            match host.parse() {
                Ok(host) => compose.upstreams.extend(ports.iter().map(|port| Upstream {
                    host: Clone::clone(&host),
                    port: *port,
                    address: None,
                    kind: UpstreamKind::Container(container.clone()),
                })),
                Err(problem) => problems.push(Problem::of_file(format!("{service}: {problem}"))),
            }
        }
    }
    if problems.is_empty() { Ok(compose) } else { Err(refused(problems)) }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// The elements of a list, or the one value.
fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Those of `env_file`, then those of `environment`.
fn variables(
    written: &Written,
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for file in items(&written.env_file) {
        let Some(path) = scalar(file).or_else(|| scalar(file.get("path")?)) else { continue };
        let text = text::read(&folder.join(&path)).map_err(|e| format!("{path}: {e}"))?;
        all.extend(env_file::parse(&path, &text).map_err(|e| e.to_string())?);
    }
    let mut put = |name: &str, value: Option<String>| {
        // A name without a value is passed on from the shell.
        if let Some(value) = value.map(|value| filled(&value, env)).or_else(|| env.get(name).cloned()) {
            all.insert(name.to_owned(), value);
        }
    };
    match &written.environment {
        Value::Object(map) => map.iter().for_each(|(name, value)| put(name, scalar(value))),
        list => {
            for entry in items(list).into_iter().filter_map(scalar) {
                let (name, value) = entry.split_once('=').map_or((entry.as_str(), None), |(n, v)| (n, Some(v)));
                put(name, value.map(ToOwned::to_owned));
            }
        }
    }
    Ok(all)
}

/// The ports inside the container: what is exposed or published, else what the image is known for.
fn ports(written: &Written, image: &str) -> Vec<u16> {
    let port = |value: &Value| {
        let text = scalar(value).or_else(|| scalar(value.get("target")?))?;
        let is_udp = text.ends_with("/udp") || value.get("protocol").is_some_and(|protocol| protocol == "udp");
        if is_udp {
            return None;
        }
        text.split('/').next()?.rsplit(':').next()?.parse().ok()
    };
    let mut ports: Vec<u16> = written.expose.iter().chain(&written.ports).filter_map(port).collect();
    if ports.is_empty() {
        let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        ports.extend(PORTS.iter().find(|(known, _)| *known == name).map(|(_, port)| *port));
    }
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The words of a command: a list, or a line that is split as a shell would.
fn words(command: &Value, env: &BTreeMap<String, String>) -> Option<Vec<String>> {
    match command {
        Value::String(line) => shlex::split(&filled(line, env)),
        Value::Array(words) => Some(words.iter().filter_map(scalar).map(|word| filled(&word, env)).collect()),
        _ => None,
    }
}

/// A text with `$NAME`, `${NAME}` and `${NAME:-default}` filled in; `$$` is a dollar sign.
fn filled(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((inner, after)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            let end = inner.find(|c| !is_part(c)).unwrap_or(inner.len());
            let (name, default) = inner.split_at(end);
            let default = default.trim_start_matches(':').strip_prefix('-').unwrap_or_default();
            let value = env.get(name).filter(|value| !value.is_empty() || !inner.contains(":-"));
            out.push_str(value.map_or(default, String::as_str));
            rest = after;
        } else {
            let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
            out.push_str(env.get(&after[..end]).map_or("", String::as_str));
            rest = &after[end..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compose(text: &str, folder: &Path) -> Result<Compose, String> {
        read("compose.yaml", text, folder).map_err(|e| e.to_string())
    }

    #[test]
    fn services_with_an_image_are_upstreams() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(".env"), "DB_PASSWORD=secret\n").expect("written");
        std::fs::write(folder.path().join("db.env"), "POSTGRES_DB=app\n").expect("written");
        let text = "services:\n  web:\n    build: .\n    ports: ['8000:8000']\n    depends_on: [db]\n  db:\n    image: \
                    postgres:${PG_VERSION:-16}\n    env_file: db.env\n    environment:\n      POSTGRES_PASSWORD: \
                    ${DB_PASSWORD}\n    volumes: ['data:/var/lib/postgresql/data']\n  cache:\n    image: \
                    docker.io/library/redis:7\n    container_name: app-redis\n    command: redis-server \
                    --requirepass 'a b'\n  mail:\n    image: example/mail:1\n    environment: [A=1, DB_PASSWORD]\n    \
                    ports: ['127.0.0.1:2525:25/tcp', {target: 8025}]\nvolumes: {data: {}}\n";
        let compose = compose(text, folder.path()).expect("good");
        let all: Vec<String> = compose.upstreams.iter().map(|u| format!("{}:{}", u.host, u.port)).collect();
        assert_eq!(all, ["cache:6379", "app-redis:6379", "db:5432", "mail:25", "mail:8025"]);
        let container = |n: usize| match &compose.upstreams[n].kind {
            UpstreamKind::Container(container) => container.clone(),
            UpstreamKind::Stub(_) => panic!("a container"),
        };
        assert_eq!(container(0).command, Some(["redis-server", "--requirepass", "a b"].map(str::to_owned).to_vec()));
        assert_eq!(container(2).image, "postgres:16");
        let expected = [("POSTGRES_DB", "app"), ("POSTGRES_PASSWORD", "secret")];
        assert_eq!(container(2).env, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        assert_eq!(container(3).env.len(), 2);
        assert_eq!(compose.notes, ["compose.yaml: web is built from source and not run"]);
    }

    #[test]
    fn mistakes_are_refused_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "services:\n  a:\n    image: 'UPPER:1'\n  b:\n    image: x:1\n    env_file: missing.env\n";
        let refused = compose(text, folder.path()).expect_err("bad");
        assert!(refused.contains("a: ") && refused.contains("b: missing.env"), "{refused}");
        assert!(compose("services: [1]", folder.path()).is_err());
        // No port is known.
        let unknown = compose("services:\n  x:\n    image: example/x:1\n", folder.path()).expect("good");
        assert!(unknown.upstreams.is_empty() && unknown.notes.len() == 1, "{unknown:?}");
    }

    #[test]
    fn variables_are_filled_in() {
        let env = BTreeMap::from([("A", "1"), ("EMPTY", "")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        for (text, expected) in [
            ("$A-${A}", "1-1"),
            ("${B:-x}${B-y}", "xy"),
            ("${EMPTY:-x}${EMPTY-y}", "x"),
            ("$$A", "$A"),
            ("${B:?needed}", ""),
            ("a$", "a"),
        ] {
            assert_eq!(filled(text, &env), expected, "{text}");
        }
    }
}
