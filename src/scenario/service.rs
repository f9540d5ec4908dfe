//! The `service:` block: what the platform is told of a service, with the platform's defaults and ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};

use super::image_name::image_problem;
use super::keys::SERVICE;
use super::node::{Node, number, time, variables};
use super::problem::{Problem, Refused};
use super::shape::Shape;
use super::{document, env_file, text, upstreams};
use crate::model::Service;
use crate::model::condition::{nearest, variable_name};
use crate::model::platform::gigabytes;
use crate::model::service::{HealthCheck, HttpCheck, Protocol};
use crate::model::units::parse_cpu;
use crate::profile::Profile;

/// A time limit of a check where none is written (a whole request has 120 s on App Runner).
const CHECK_WITHIN: Duration = Duration::from_secs(10);

/// Reads a service file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_file(
    file: &str,
    text: &str,
    folder: &Path,
    profile: &Profile,
) -> Result<(Service, Option<String>), Refused> {
    let (root, mut problems) = document(file, text, Shape::Map(&SERVICE), |_, _| {})?;
    let image = root.get("image").map(|image| image.text().to_owned());
    if let Some(written) = root.get("image")
        && let Some(message) = image_problem(written.text())
    {
        problems.push(written.problem(message));
    }
    let service = check(&root, folder, profile, &mut problems);
    if problems.is_empty() { Ok((service, image)) } else { Err(Refused::new(file, text, problems)) }
}

/// What the platform is told when there is no service file.
#[must_use]
pub fn defaults(profile: &Profile) -> Service {
    check(&Node::empty(), Path::new("."), profile, &mut Vec::new())
}

/// Reads the block; what is wrong is added to `problems`.
pub(super) fn check(block: &Node, folder: &Path, profile: &Profile, problems: &mut Vec<Problem>) -> Service {
    let mut env = match block.get("env_file") {
        Some(path) => read_env_file(path, folder, problems),
        None => BTreeMap::new(),
    };
    env.extend(variables(block.get("env")));
    let (cpu_milli, memory) = sizes(block.get("cpu"), block.get("memory"), profile, problems);
    Service {
        platform: profile.platform.clone(),
        port: block.get("port").map_or(profile.port, number),
        env,
        secrets: secrets(block.get("secrets"), problems),
        start_command: block.get("start_command").map(|c| c.text().to_owned()).filter(|c| !c.trim().is_empty()),
        cpu_milli,
        memory,
        vpc: block.get("egress").map(|egress| egress.text() == "VPC"),
        nat: nat(block, problems),
        role: block.get("role").and_then(answer),
        upstreams: upstreams::check(block.get("upstreams"), problems),
        health_check: health_check(block.get("health_check"), profile, problems),
        checks: checks(block.get("checks"), problems),
    }
}

/// Whether the VPC has a NAT gateway.
fn nat(block: &Node, problems: &mut Vec<Problem>) -> Option<bool> {
    let written = block.get("nat")?;
    if block.get("egress").is_none_or(|egress| egress.text() != "VPC") {
        problems.push(written.problem("`nat` is about a VPC: it needs `egress: VPC`"));
    }
    answer(written)
}

/// `yes`, `no`, or `unknown`.
fn answer(written: &Node) -> Option<bool> {
    match written.text() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn secrets(written: Option<&Node>, problems: &mut Vec<Problem>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in written.map(Node::items).unwrap_or_default() {
        match variable_name(name.text()) {
            Err(message) => problems.push(name.problem(message)),
            Ok(good) if !names.insert(good.clone()) => problems.push(name.problem(format!("duplicate name `{good}`"))),
            Ok(_) => {}
        }
    }
    names
}

fn read_env_file(path: &Node, folder: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let name = path.text();
    let file = folder.join(name);
    let text = match text::read(&file) {
        Ok(text) => text,
        Err(message) => {
            problems.push(path.problem(format!("{}: {message}", file.display())));
            return BTreeMap::new();
        }
    };
    env_file::parse(name, &text).unwrap_or_else(|refused| {
        for bad in refused.problems {
            let line = bad.line.unwrap_or_default();
            problems.push(path.problem(format!("{name}:{line}: {}", bad.message)));
        }
        BTreeMap::new()
    })
}

/// Thousandths of a CPU and bytes of memory: AWS's units (1024, 2048), or `1 vCPU` and `2 GB`.
fn sizes(cpu: Option<&Node>, memory: Option<&Node>, profile: &Profile, problems: &mut Vec<Problem>) -> (u32, u64) {
    let defaults = (profile.cpu_milli, gigabytes(&profile.memory));
    let sizes = &profile.platform.sizes;
    let Some(cpu) = cpu else {
        let Some(memory) = memory else { return defaults };
        let known = sizes.iter().flat_map(|size| size.memory.iter()).find(|gb| is_memory(memory, gb));
        if known.is_none() {
            let (written, name) = (memory.text(), &profile.platform.name);
            problems.push(memory.problem(format!("memory `{written}` is not a size that {name} offers (in GB)")));
        }
        return (defaults.0, known.map_or(defaults.1, |gb| gigabytes(gb)));
    };
    let number = cpu.text().trim_end_matches("vCPU").trim();
    let milli = parse_cpu(number).map(|milli| if milli >= 250_000 { milli / 1000 } else { milli });
    let wanted = |milli_allowed: u32| milli == Ok(milli_allowed) || number == (milli_allowed * 1024 / 1000).to_string();
    let Some(size) = sizes.iter().find(|size| wanted(size.cpu_milli)) else {
        let known: Vec<String> = sizes.iter().map(|size| (f64::from(size.cpu_milli) / 1000.0).to_string()).collect();
        problems.push(cpu.problem(format!("cpu `{}`: expected one of {}", cpu.text(), known.join(", "))));
        return defaults;
    };
    // Without a memory of its own, the least that goes with the CPU, unless the default does.
    let least = if size.memory.contains(&profile.memory) { &profile.memory } else { &size.memory[0] };
    let Some(memory) = memory else { return (size.cpu_milli, gigabytes(least)) };
    match size.memory.iter().find(|gb| is_memory(memory, gb)) {
        Some(gb) => (size.cpu_milli, gigabytes(gb)),
        None => {
            let (written, with, good) = (memory.text(), cpu.text(), size.memory.join(", "));
            problems
                .push(memory.problem(format!("memory `{written}` is not available with cpu {with}: use {good} GB")));
            (size.cpu_milli, gigabytes(least))
        }
    }
}

/// True when the text means this number of GB: `2`, `2 GB`, `2048`.
fn is_memory(written: &Node, gb: &str) -> bool {
    let number = written.text().trim_end_matches("GB").trim();
    number == gb || (gb.parse::<f64>().unwrap_or_default() * 1024.0).to_string() == number
}

fn health_check(written: Option<&Node>, profile: &Profile, problems: &mut Vec<Problem>) -> HealthCheck {
    let mut check = profile.health_check.check();
    let Some(written) = written else { return check };
    if let Some(protocol) = written.get("protocol") {
        let http = protocol.text().eq_ignore_ascii_case("HTTP");
        check.protocol = if http { Protocol::Http } else { Protocol::Tcp };
    }
    if let Some(path) = written.get("path") {
        path_problem(path, problems);
        path.text().clone_into(&mut check.path);
    }
    for (name, setting) in [
        ("interval", &mut check.interval),
        ("timeout", &mut check.timeout),
        ("healthy_threshold", &mut check.healthy_threshold),
        ("unhealthy_threshold", &mut check.unhealthy_threshold),
    ] {
        if let Some(written) = written.get(name) {
            *setting = number(written);
        }
    }
    check
}

fn path_problem(path: &Node, problems: &mut Vec<Problem>) {
    let text = path.text();
    if !text.starts_with('/') || text.contains(char::is_whitespace) {
        problems.push(path.problem(format!("path `{text}` must start with `/` and contain no spaces")));
    }
}

fn checks(written: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<HttpCheck> {
    let mut checks: Vec<HttpCheck> = Vec::new();
    for item in written.map(Node::items).unwrap_or_default() {
        let check = request(item, problems);
        if checks.iter().any(|known| known.name == check.name) {
            let place = item.get("name").unwrap_or(item);
            problems.push(place.problem(format!("duplicate check `{}`; give it another `name`", check.name)));
        }
        checks.push(check);
    }
    checks
}

fn request(item: &Node, problems: &mut Vec<Problem>) -> HttpCheck {
    let text = |key: &str| item.get(key).map(|node| node.text().to_owned());
    let path = text("path").unwrap_or_default();
    if let Some(path) = item.get("path") {
        path_problem(path, problems);
    }
    if let Some(name) = item.get("name").filter(|name| name.text().trim().is_empty()) {
        problems.push(name.problem("the name of a check must not be blank"));
    }
    let method = text("method").map_or_else(|| "GET".to_owned(), |method| method.to_ascii_uppercase());
    HttpCheck {
        name: text("name").unwrap_or_else(|| format!("{method} {path}")),
        method,
        path,
        headers: item.get("headers").map(|headers| header_fields(headers, problems)).unwrap_or_default(),
        body: item.get("body").map(|body| body.json().to_string()),
        status: item.get("status").map_or(200, number),
        json: item.get("json").map(Node::json),
        within: time(item.get("within"), CHECK_WITHIN),
    }
}

/// The headers of a request.
fn header_fields(written: &Node, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    for entry in written.entries() {
        if HeaderName::try_from(&entry.key).is_err() {
            problems.push(Problem::of(entry.place, format!("`{}` is no name of a header", entry.key)));
        } else if HeaderValue::try_from(entry.node.text()).is_err() {
            problems.push(entry.node.problem("a header's value must be one line of plain text"));
        }
    }
    written.entries().iter().map(|entry| (entry.key.clone(), entry.node.text().to_owned())).collect()
}

/// What is wrong with the name of a check.
pub(super) fn check_problem(name: &str, checks: &[HttpCheck]) -> Option<String> {
    let known: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
    if known.contains(&name) {
        return None;
    }
    Some(match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown check `{name}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown check `{name}`: the service has no `checks`"),
        None => format!("unknown check `{name}`; expected one of {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::apprunner;

    fn read(text: &str) -> Result<(Service, Option<String>), String> {
        read_file("service.yaml", text, Path::new("."), &apprunner()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_service_is_read_with_the_platforms_defaults() {
        let (service, image) = read(
            "image: app:1\nport: \"8000\"\nenv: {ENV: dev, DEBUG: true, N: 007}\nhealth_check: {protocol: HTTP, path: /healthz}\n\
             upstreams: ['db.internal:5432']\nchecks: [{path: /otp, method: post, body: {a: 1}, within: 3s}]\n",
        )
        .expect("good");
        assert_eq!((service.port, image.as_deref()), (8000, Some("app:1")));
        assert_eq!(service.env["DEBUG"], "true");
        assert_eq!(service.env["N"], "007");
        assert_eq!((service.health_check.interval, service.health_check.unhealthy_threshold), (5, 5));
        assert_eq!((service.upstreams[0].host.as_str(), service.upstreams[0].port), ("db.internal", 5432));
        assert_eq!(service.checks[0].body.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(service.checks[0].within, Duration::from_secs(3));
    }

    #[test]
    fn every_mistake_at_once_each_at_its_place() {
        let text = "port: eight\nenv:\n  9A: x\ncpu: 3\negress: none\nhealth_check:\n  protocol: UDP\n  path: healthz\n  \
                    interval: 0\n  unhealthy_threshold: 21\nupstreams: [nowhere]\n";
        insta::assert_snapshot!(read(text).expect_err("bad"));
    }

    #[test]
    fn secrets_and_checks_are_named_once() {
        let text = "secrets: [A, A, 9x]\nchecks:\n  - path: /a\n  - path: /a\n    within: 2h\n  - {path: b, status: 99, name: ''}\n";
        insta::assert_snapshot!(read(text).expect_err("bad"));
    }

    #[test]
    fn unknown_keys_and_wrong_types_have_a_place() {
        insta::assert_snapshot!(
            ["port: 1\nprot: 2\n", "env: [a]\n", "a: b: c\n", "env:\n  A: 1\n  A: 2\n"]
                .map(|text| read(text).expect_err(text))
                .join("\n---\n")
        );
    }
}
