//! The `upstreams:` of a service: hosts that the candidate needs, each a stub or a real service container.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::Problem;
use super::yaml::{Placed, Text, problem};
use crate::model::condition::{Host, variable_name};
use crate::model::service::{ServiceContainer, Step, Stub, Upstream, UpstreamKind};
use crate::model::units::parse_duration;

/// A service container must serve within this time where none is written.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// `host:port`, or a mapping.
#[derive(Debug)]
pub enum RawUpstream {
    /// `host:port`.
    Short(String),
    /// A mapping.
    Long(Box<RawLong>),
}

/// An upstream as a mapping.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLong {
    host: String,
    port: u16,
    address: Option<String>,
    respond: Option<RawStub>,
    script: Option<Vec<RawStep>>,
    container: Option<RawContainer>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStub {
    status: Option<u16>,
    json: Option<serde_json::Value>,
    body: Option<String>,
    content_type: Option<String>,
    delay: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    send: Option<String>,
    expect: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContainer {
    image: String,
    #[serde(default)]
    env: BTreeMap<String, Text>,
    command: Option<Vec<String>>,
    ready_within: Option<String>,
}

impl<'de> Deserialize<'de> for RawUpstream {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = RawUpstream;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("host:port or a mapping with host and port")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawUpstream::Short(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                RawLong::deserialize(MapAccessDeserializer::new(map)).map(|long| RawUpstream::Long(Box::new(long)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Checks the list; what is wrong is added to `problems`.
pub fn check(raw: Vec<Placed<RawUpstream>>, problems: &mut Vec<Problem>) -> Vec<Upstream> {
    let mut checked: Vec<Upstream> = Vec::new();
    for placed in raw {
        let mut wrong = Vec::new();
        let read = match &placed.value {
            RawUpstream::Short(text) => short(text, &mut wrong),
            RawUpstream::Long(long) => long.check(&mut wrong),
        };
        if let Some(upstream) = &read
            && checked.iter().any(|u| (&u.host, u.port) == (&upstream.host, upstream.port))
        {
            wrong.push(format!("the upstream {}:{} stands twice", upstream.host, upstream.port));
        }
        problems.extend(wrong.into_iter().map(|message| problem(&placed, message)));
        checked.extend(read);
    }
    checked
}

fn short(text: &str, wrong: &mut Vec<String>) -> Option<Upstream> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse().ok().filter(|p: &u16| *p > 0)?;
        Some(Upstream { host: host.parse().ok()?, port, address: None, kind: UpstreamKind::Stub(Stub::default()) })
    });
    if parsed.is_none() {
        wrong.push(format!("`{text}` is not of the form host:port"));
    }
    parsed
}

impl RawLong {
    fn check(&self, wrong: &mut Vec<String>) -> Option<Upstream> {
        let host: Option<Host> = self.host.parse().map_err(|message| wrong.push(message)).ok();
        if self.port == 0 {
            wrong.push("port 0 is not a number from 1 to 65535".to_owned());
        }
        let address = self.address.as_ref().and_then(|text| {
            let parsed = text.parse::<Ipv4Addr>().ok().filter(|a| usable(*a));
            if parsed.is_none() {
                wrong.push(format!("`{text}` is not an IPv4 address that a host can have here"));
            }
            parsed
        });
        let ways = [self.respond.is_some(), self.script.is_some(), self.container.is_some()];
        if ways.iter().filter(|w| **w).count() > 1 {
            wrong.push("`respond`, `script` and `container` exclude each other".to_owned());
        }
        let kind = match &self.container {
            Some(container) => UpstreamKind::Container(container.check(wrong)),
            None => UpstreamKind::Stub(self.stub(wrong)),
        };
        Some(Upstream { host: host?, port: self.port, address, kind })
    }

    fn stub(&self, wrong: &mut Vec<String>) -> Stub {
        let mut stub = Stub::default();
        if let Some(raw) = &self.respond {
            raw.check(&mut stub, wrong);
        }
        for step in self.script.iter().flatten() {
            match (&step.send, &step.expect) {
                (Some(text), None) => stub.script.push(Step::Send(text.clone())),
                (None, Some(text)) if !text.is_empty() => stub.script.push(Step::Expect(text.clone())),
                _ => wrong.push("a step of a script has either `send` or `expect`".to_owned()),
            }
        }
        stub
    }
}

/// Not one of the addresses that the namespace itself is made of.
fn usable(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // The candidate's, the router's and the services' own, and where names get theirs.
    let taken = (a == 10 && b == 0 && [61, 62, 248].contains(&c)) || (a == 198 && [18, 19].contains(&b));
    !taken && !address.is_loopback() && !address.is_link_local() && !address.is_multicast() && !address.is_unspecified()
}

impl RawStub {
    fn check(&self, stub: &mut Stub, wrong: &mut Vec<String>) {
        if let Some(status) = self.status {
            if !(100..=599).contains(&status) {
                wrong.push(format!("status {status} is not from 100 to 599"));
            }
            stub.status = status;
        }
        match (&self.json, &self.body) {
            (Some(_), Some(_)) => wrong.push("`json` and `body` exclude each other".to_owned()),
            (Some(json), None) => stub.body = json.to_string(),
            (None, Some(body)) => {
                stub.body.clone_from(body);
                stub.content_type = "text/plain".to_owned();
            }
            (None, None) => {}
        }
        if let Some(content_type) = &self.content_type {
            stub.content_type.clone_from(content_type);
        }
        if let Some(delay) = &self.delay {
            match parse_duration(delay) {
                Ok(delay) => stub.delay = delay,
                Err(message) => wrong.push(message),
            }
        }
    }
}

impl RawContainer {
    fn check(&self, wrong: &mut Vec<String>) -> ServiceContainer {
        if self.image.trim().is_empty() {
            wrong.push("`image` is empty".to_owned());
        }
        let mut env = BTreeMap::new();
        for (name, value) in &self.env {
            if let Err(message) = variable_name(name) {
                wrong.push(message);
            }
            env.insert(name.clone(), value.0.clone());
        }
        let ready_within = self.ready_within.as_ref().map_or(READY_WITHIN, |text| {
            parse_duration(text).unwrap_or_else(|message| {
                wrong.push(message);
                READY_WITHIN
            })
        });
        ServiceContainer { image: self.image.clone(), env, command: self.command.clone(), ready_within }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Service;
    use crate::scenario::{apprunner, service};

    fn read(text: &str) -> Result<Service, String> {
        let read = service::read_file("service.yaml", text, Path::new("."), &apprunner());
        read.map(|(service, _)| service).map_err(|e| e.to_string())
    }

    #[test]
    fn stubs_and_containers() {
        let service = read(
            "upstreams:\n  - Verify.twilio.com:443\n  - host: api.internal\n    port: 80\n    respond: {status: 201, json: \
             {a: 1}, delay: 200ms}\n  - host: old.internal\n    port: 7000\n    script: [{expect: HELLO}, {send: OK}]\n  - \
             host: db.internal\n    port: 5432\n    address: 10.0.3.4\n    container: {image: 'postgres:16', env: \
             {POSTGRES_PASSWORD: x}, ready_within: 5s}\n",
        )
        .expect("good");
        let hosts: Vec<String> = service.upstreams.iter().map(|u| u.host.to_string()).collect();
        assert_eq!(hosts, ["verify.twilio.com", "api.internal", "old.internal", "db.internal"]);
        let UpstreamKind::Stub(stub) = &service.upstreams[1].kind else { panic!("a stub") };
        assert_eq!((stub.status, stub.body.as_str(), stub.delay), (201, "{\"a\":1}", Duration::from_millis(200)));
        let UpstreamKind::Stub(stub) = &service.upstreams[2].kind else { panic!("a stub") };
        assert_eq!(stub.script, [Step::Expect("HELLO".to_owned()), Step::Send("OK".to_owned())]);
        let UpstreamKind::Container(container) = &service.upstreams[3].kind else { panic!("a container") };
        assert_eq!((container.image.as_str(), container.ready_within), ("postgres:16", Duration::from_secs(5)));
        assert!(!format!("{:?}", service.upstreams).contains("\"x\""), "values are not shown");
    }

    #[test]
    fn every_mistake_has_a_place() {
        let bad = read(
            "upstreams:\n  - nowhere\n  - host: 'http://x'\n    port: 0\n    address: 10.0.61.20\n  - host: a.b\n    port: \
             1\n    respond: {status: 999, delay: soon}\n    script: [{send: a, expect: b}]\n  - a.b:1\n",
        );
        insta::assert_snapshot!(bad.expect_err("bad"));
    }
}
