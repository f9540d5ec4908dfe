//! The `service:` block: what the platform is told of a service, with the platform's defaults and ranges.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::env_file;
use super::problem::{Problem, Refused};
use super::upstreams::{self, RawUpstream};
use super::yaml::{self, Placed, Text, problem};
use crate::model::Service;
use crate::model::condition::variable_name;
use crate::model::service::{HealthCheck, HttpCheck, Protocol, SIZES};
use crate::model::units::{parse_cpu, parse_duration};
use crate::profile::Profile;

/// The block as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawService {
    /// The image, where the block stands in a file of its own.
    pub image: Option<String>,
    port: Option<Placed<Text>>,
    env: BTreeMap<String, Placed<Text>>,
    env_file: Option<Placed<String>>,
    secrets: Vec<Placed<String>>,
    start_command: Option<String>,
    cpu: Option<Placed<Text>>,
    memory: Option<Placed<Text>>,
    egress: Option<Placed<String>>,
    health_check: RawHealthCheck,
    upstreams: Vec<Placed<RawUpstream>>,
    checks: Vec<RawCheck>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawHealthCheck {
    protocol: Option<Placed<String>>,
    path: Option<Placed<String>>,
    interval: Option<Placed<Text>>,
    timeout: Option<Placed<Text>>,
    healthy_threshold: Option<Placed<Text>>,
    unhealthy_threshold: Option<Placed<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCheck {
    name: Option<String>,
    method: Option<Placed<String>>,
    path: Placed<String>,
    body: Option<serde_json::Value>,
    status: Option<Placed<u16>>,
    json: Option<serde_json::Value>,
    within: Option<Placed<String>>,
}

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
    let raw: RawService = yaml::read(file, text)?;
    let image = raw.image.clone();
    let mut problems = Vec::new();
    let service = raw.check(folder, profile, &mut problems);
    if problems.is_empty() { Ok((service, image)) } else { Err(Refused::new(file, text, problems)) }
}

/// What the platform is told when there is no service file.
#[must_use]
pub fn defaults(profile: &Profile) -> Service {
    RawService::default().check(Path::new("."), profile, &mut Vec::new())
}

impl RawService {
    /// Checks the block; what is wrong is added to `problems`.
    pub(super) fn check(self, folder: &Path, profile: &Profile, problems: &mut Vec<Problem>) -> Service {
        let port = self.port.as_ref().map_or(profile.port, |port| {
            port.value.0.parse::<u16>().ok().filter(|p| *p > 0).unwrap_or_else(|| {
                let message = format!("port `{}` is not a number from 1 to 65535", port.value.0);
                problems.push(problem(port, message));
                profile.port
            })
        });
        let mut env = match &self.env_file {
            Some(path) => read_env_file(path, folder, problems),
            None => BTreeMap::new(),
        };
        for (name, value) in self.env {
            if let Err(message) = variable_name(&name) {
                problems.push(problem(&value, message));
            }
            env.insert(name, value.value.0);
        }
        let (cpu_milli, memory) = sizes(self.cpu.as_ref(), self.memory.as_ref(), profile, problems);
        if let Some(egress) = self.egress.filter(|e| !["DEFAULT", "VPC"].contains(&e.value.as_str())) {
            problems.push(problem(&egress, format!("egress `{}` is neither DEFAULT nor VPC", egress.value)));
        }
        let upstreams = upstreams::check(self.upstreams, problems);
        Service {
            port,
            env,
            secrets: self.secrets.into_iter().map(|name| name.value).collect(),
            start_command: self.start_command.filter(|c| !c.trim().is_empty()),
            cpu_milli,
            memory,
            upstreams,
            health_check: self.health_check.check(profile, problems),
            checks: self.checks.into_iter().map(|c| c.check(problems)).collect(),
        }
    }
}

fn read_env_file(path: &Placed<String>, folder: &Path, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let file = folder.join(&path.value);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => {
            problems.push(problem(path, format!("{}: {e}", file.display())));
            return BTreeMap::new();
        }
    };
    env_file::parse(&path.value, &text).unwrap_or_else(|refused| {
        for bad in refused.problems {
            let line = bad.line.unwrap_or_default();
            problems.push(problem(path, format!("{}:{line}: {}", path.value, bad.message)));
        }
        BTreeMap::new()
    })
}

/// Thousandths of a CPU and bytes of memory: App Runner's units (1024, 2048), or `1 vCPU` and `2 GB`.
fn sizes(
    cpu: Option<&Placed<Text>>,
    memory: Option<&Placed<Text>>,
    profile: &Profile,
    problems: &mut Vec<Problem>,
) -> (u32, u64) {
    let defaults = (profile.cpu_milli, gigabytes(&profile.memory));
    let Some(cpu) = cpu else {
        let Some(memory) = memory else { return defaults };
        let known = SIZES.iter().flat_map(|(_, all)| all.iter()).find(|gb| is_memory(memory, gb));
        if known.is_none() {
            problems.push(problem(memory, format!("memory `{}` is no size of App Runner's, in GB", memory.value.0)));
        }
        return (defaults.0, known.map_or(defaults.1, |gb| gigabytes(gb)));
    };
    let number = cpu.value.0.trim_end_matches("vCPU").trim();
    let milli = parse_cpu(number).map(|milli| if milli >= 250_000 { milli / 1000 } else { milli });
    let size = SIZES
        .iter()
        .find(|(milli_allowed, _)| milli == Ok(*milli_allowed) || number == (milli_allowed * 1024 / 1000).to_string());
    let Some((milli, memories)) = size else {
        let message = format!("cpu `{}` is none of 0.25, 0.5, 1, 2, 4", cpu.value.0);
        problems.push(problem(cpu, message));
        return defaults;
    };
    // Without a memory of its own, the least that goes with the CPU, unless the default does.
    let least = if memories.contains(&profile.memory.as_str()) { profile.memory.as_str() } else { memories[0] };
    let Some(memory) = memory else { return (*milli, gigabytes(least)) };
    match memories.iter().find(|gb| is_memory(memory, gb)) {
        Some(gb) => (*milli, gigabytes(gb)),
        None => {
            let (written, with, good) = (&memory.value.0, &cpu.value.0, memories.join(", "));
            problems.push(problem(memory, format!("memory `{written}` does not go with cpu {with}: {good} GB do")));
            (*milli, gigabytes(least))
        }
    }
}

/// True when the text means so many GB: `2`, `2 GB`, `2048`.
fn is_memory(written: &Placed<Text>, gb: &str) -> bool {
    let number = written.value.0.trim_end_matches("GB").trim();
    number == gb || (gb.parse::<f64>().unwrap_or_default() * 1024.0).to_string() == number
}

fn gigabytes(gb: &str) -> u64 {
    (gb.parse::<f64>().unwrap_or_default() * f64::from(1 << 30)) as u64
}

impl RawHealthCheck {
    fn check(self, profile: &Profile, problems: &mut Vec<Problem>) -> HealthCheck {
        let defaults = &profile.health_check;
        let mut check = defaults.check();
        if let Some(protocol) = self.protocol {
            match protocol.value.as_str() {
                "HTTP" | "http" => check.protocol = Protocol::Http,
                "TCP" | "tcp" => check.protocol = Protocol::Tcp,
                other => problems.push(problem(&protocol, format!("protocol `{other}` is neither HTTP nor TCP"))),
            }
        }
        if let Some(path) = self.path {
            if !path.value.starts_with('/') || path.value.contains(char::is_whitespace) {
                problems.push(problem(&path, format!("path `{}` must begin with / and have no spaces", path.value)));
            }
            check.path = path.value;
        }
        let numbers = [
            ("interval", self.interval, &mut check.interval),
            ("timeout", self.timeout, &mut check.timeout),
            ("healthy_threshold", self.healthy_threshold, &mut check.healthy_threshold),
            ("unhealthy_threshold", self.unhealthy_threshold, &mut check.unhealthy_threshold),
        ];
        for (name, written, number) in numbers {
            let Some(written) = written else { continue };
            let range = defaults.lowest..=defaults.highest;
            match written.value.0.parse::<u32>().ok().filter(|n| range.contains(n)) {
                Some(good) => *number = good,
                None => {
                    let (low, high) = (defaults.lowest, defaults.highest);
                    let message = format!("{name} `{}` is not a whole number from {low} to {high}", written.value.0);
                    problems.push(problem(&written, message));
                }
            }
        }
        check
    }
}

impl RawCheck {
    fn check(self, problems: &mut Vec<Problem>) -> HttpCheck {
        if !self.path.value.starts_with('/') {
            problems.push(problem(&self.path, format!("path `{}` must begin with /", self.path.value)));
        }
        let method = self.method.as_ref().map_or_else(|| "GET".to_owned(), |m| m.value.to_ascii_uppercase());
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        if let Some(written) = self.method.filter(|_| !known.contains(&method.as_str())) {
            problems.push(problem(&written, format!("`{}` is not an HTTP method", written.value)));
        }
        let within = self.within.as_ref().map_or(CHECK_WITHIN, |within| {
            parse_duration(&within.value).unwrap_or_else(|message| {
                problems.push(problem(within, message));
                CHECK_WITHIN
            })
        });
        HttpCheck {
            name: self.name.unwrap_or_else(|| format!("{method} {}", self.path.value)),
            method,
            path: self.path.value,
            body: self.body.map(|body| body.to_string()),
            status: self.status.map_or(200, |s| s.value),
            json: self.json,
            within,
        }
    }
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
    fn unknown_keys_and_wrong_types_have_a_place() {
        insta::assert_snapshot!(
            ["port: 1\nprot: 2\n", "env: [a]\n", "a: b: c\n", "env:\n  A: 1\n  A: 2\n"]
                .map(|text| read(text).expect_err(text))
                .join("\n---\n")
        );
    }
}
