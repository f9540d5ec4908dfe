//! The `upstreams:` of a service: hosts that the candidate needs, each a stub or a real service container.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::image_name::image_problem;
use super::node::{Node, number, time, variables};
use super::problem::Problem;
use crate::model::condition::Host;
use crate::model::service::{ServiceContainer, Step, Stub, Upstream, UpstreamKind};

/// A service container must serve within this time where none is written.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(60);

/// Reads the list; what is wrong is added to `problems`.
pub(crate) fn check(list: Option<&Node>, problems: &mut Vec<Problem>) -> Vec<Upstream> {
    let mut checked: Vec<Upstream> = Vec::new();
    for item in list.map(Node::items).unwrap_or_default() {
        let read = if item.is_scalar() { short(item, problems) } else { long(item, problems) };
        if let Some(upstream) = &read
            && checked.iter().any(|u| (&u.host, u.port) == (&upstream.host, upstream.port))
        {
            let place = item.get("host").unwrap_or(item);
            problems.push(place.problem(format!("duplicate upstream {}:{}", upstream.host, upstream.port)));
        }
        checked.extend(read);
    }
    checked
}

fn short(item: &Node, problems: &mut Vec<Problem>) -> Option<Upstream> {
    let text = item.text();
    let parsed = text.rsplit_once(':').and_then(|(host, port)| {
        let port = port.parse().ok().filter(|p: &u16| *p > 0)?;
        Some(Upstream { host: host.parse().ok()?, port, address: None, kind: UpstreamKind::Stub(Stub::default()) })
    });
    if parsed.is_none() {
        problems.push(item.problem(format!("`{text}` must have the form host:port")));
    }
    parsed
}

fn long(item: &Node, problems: &mut Vec<Problem>) -> Option<Upstream> {
    let host = item.get("host").and_then(|host| match host.text().parse::<Host>() {
        Ok(parsed) => Some(parsed),
        Err(message) => {
            problems.push(host.problem(message));
            None
        }
    });
    let address = item.get("address").and_then(|written| {
        let parsed = written.text().parse::<Ipv4Addr>().ok().filter(|a| usable(*a));
        if parsed.is_none() {
            let message = format!("`{}` is not a usable IPv4 address", written.text());
            problems.push(written.problem(message));
        }
        parsed
    });
    let ways: Vec<_> = ["respond", "script", "container"].into_iter().filter_map(|key| item.entry(key)).collect();
    if let Some(second) = ways.get(1) {
        problems.push(Problem::of(second.place, "`respond`, `script` and `container` are mutually exclusive"));
    }
    let kind = match item.get("container") {
        Some(written) => UpstreamKind::Container(container(written, problems)),
        None => UpstreamKind::Stub(stub(item, problems)),
    };
    Some(Upstream { host: host?, port: item.get("port").map(number)?, address, kind })
}

fn stub(item: &Node, problems: &mut Vec<Problem>) -> Stub {
    let mut stub = Stub::default();
    if let Some(written) = item.get("respond") {
        respond(written, &mut stub, problems);
    }
    for step in item.get("script").map(Node::items).unwrap_or_default() {
        let text = |key: &str| step.get(key).map(|node| node.text().to_owned());
        match (text("send"), text("expect")) {
            (Some(text), None) => stub.script.push(Step::Send(text)),
            (None, Some(text)) if !text.is_empty() => stub.script.push(Step::Expect(text)),
            _ => problems.push(step.problem("a script step needs either `send` or `expect`")),
        }
    }
    stub
}

/// Not one of the addresses that the namespace itself is made of.
fn usable(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // The candidate's, the router's and the services' own, and where names get theirs.
    let taken = (a == 10 && b == 0 && [61, 62, 248].contains(&c)) || (a == 198 && [18, 19].contains(&b));
    !taken && !address.is_loopback() && !address.is_link_local() && !address.is_multicast() && !address.is_unspecified()
}

fn respond(written: &Node, stub: &mut Stub, problems: &mut Vec<Problem>) {
    stub.status = written.get("status").map_or(stub.status, number);
    match (written.get("json"), written.entry("body")) {
        (Some(_), Some(body)) => problems.push(Problem::of(body.place, "`json` and `body` are mutually exclusive")),
        (Some(json), None) => stub.body = json.json().to_string(),
        (None, Some(body)) => {
            body.node.text().clone_into(&mut stub.body);
            "text/plain".clone_into(&mut stub.content_type);
        }
        (None, None) => {}
    }
    if let Some(content_type) = written.get("content_type") {
        content_type.text().clone_into(&mut stub.content_type);
    }
    stub.delay = time(written.get("delay"), stub.delay);
}

fn container(written: &Node, problems: &mut Vec<Problem>) -> ServiceContainer {
    let image = written.get("image").map(Node::text).unwrap_or_default();
    if let Some(place) = written.get("image")
        && let Some(message) = image_problem(image)
    {
        problems.push(place.problem(message));
    }
    let words = |list: &Node| list.items().iter().map(|word| word.text().to_owned()).collect();
    ServiceContainer {
        image: image.to_owned(),
        env: variables(written.get("env")),
        command: written.get("command").map(words),
        ready_within: time(written.get("ready_within"), READY_WITHIN),
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
