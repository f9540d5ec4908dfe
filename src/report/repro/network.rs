//! The network part of a script: addresses, routes, and the arguments of the two Python programs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{ReproCase, only_needed, quoted};
use crate::model::Condition;
use crate::model::condition::{DnsFault, DnsPlan, Egress, Host, HostnameFault, MetadataFault, RouteFault, Target};

const INTERNET_SH: &str = include_str!("internet.sh");
const INTERNET_PY: &str = include_str!("internet.py");
const REFUSE_PY: &str = include_str!("refuse.py");
const DNS_PY: &str = include_str!("dns.py");

/// The candidate's own address, and that of its name under `hostname.*`. The templates contain both, too.
const OWN: &str = "10.0.61.20";
const SECOND: &str = "10.0.248.213";
/// The candidate's host name, with and without its domain.
const HOSTNAMES: [&str; 2] = ["ip-10-0-248-213.ec2.internal", "ip-10-0-248-213"];
/// Names get addresses from 198.18.0.0/15, which is reserved for tests (RFC 2544). `dns.py` continues after these.
const FIRST_NAME: u32 = u32::from_be_bytes([198, 18, 0, 1]);
const MOST_NAMES: usize = 60_000;

/// Routes out of the candidate's namespace, as arguments of `ip route`.
const OPEN: &str = "via 10.0.61.1 src 10.0.61.20";
const REFUSED: &str = "via 10.0.61.1 dev closed onlink src 10.0.61.20";
const SILENT: &str = "dev void src 10.0.61.20";

/// A veth pair for packets that must vanish.
const VOID: [&str; 5] = [
    "# Packets into this pair vanish: nothing is at its other end. (Netfilter would report dropped UDP to its sender,",
    "# which no cloud does.)",
    "ip link add void type veth peer name void-end",
    "ip link set void arp off up",
    "ip link set void-end up",
];

/// The addresses of names.
struct Addresses(BTreeMap<String, Ipv4Addr>);

impl Addresses {
    /// The hosts of the conditions come first, since they need an address.
    fn of(case: &ReproCase) -> Self {
        let plan = case.plan();
        let hosts = plan.hosts().map(|host| host.as_str().to_owned());
        let names = case.names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let mut known = BTreeMap::new();
        for name in hosts.chain(names).filter(|n| !n.is_empty() && n.parse::<Ipv4Addr>().is_err()).take(MOST_NAMES) {
            let next = FIRST_NAME + u32::try_from(known.len()).unwrap_or_default();
            known.entry(name).or_insert(Ipv4Addr::from(next));
        }
        Self(known)
    }

    fn of_host(&self, host: &Host) -> String {
        self.0.get(host.as_str()).map_or_else(|| host.to_string(), ToString::to_string)
    }

    fn of_target(&self, target: &Target) -> String {
        match target {
            Target::Host(host) => self.of_host(host),
            Target::Network(..) => target.to_string(),
        }
    }
}

/// Sets up the two namespaces, the internet, the routes and the resolver, with every condition in force.
pub(crate) fn set_up(case: &ReproCase) -> String {
    let addresses = Addresses::of(case);
    [namespace(case), internet(case, &addresses), routes(case, &addresses), resolver(case, &addresses)].join("\n")
}

/// Starts the timers that count from the candidate's start.
pub(crate) fn from_the_start(case: &ReproCase) -> String {
    let mut text = String::new();
    let DnsPlan { all, names } = case.plan().dns;
    if all.iter().chain(names.values()).any(|fault| matches!(fault, DnsFault::Late(_))) {
        text += "# dns.late: start its timer\ndocker exec \"$net\" touch /tmp/started\n";
    }
    if let Some((condition, length)) = late(case) {
        let mut lines = vec![format!("sleep {}", length.as_secs_f64())];
        lines.extend(ways_out(case, &Addresses::of(case)));
        let why = case.why(condition);
        text += &format!("{why}\ndocker exec --detach \"$net\" sh -c {}\n", quoted(&lines.join("\n")));
    }
    text
}

fn late(case: &ReproCase) -> Option<(&Condition, Duration)> {
    case.conditions.iter().find_map(|condition| match condition.changes().network.egress {
        Egress::Late(length) => Some((condition, length)),
        _ => None,
    })
}

fn namespace(case: &ReproCase) -> String {
    let plan = case.plan();
    let whys = case.whys(|c| {
        let network = c.changes().network;
        network.ipv6_off || network.first_open_port > 0
    });
    format!(
        "# The candidate's namespace. Engines differ in whether ::1 exists and which ports are unprivileged.\n\
         # With tcp_syn_retries, an unanswered connection attempt fails after 7 s instead of 127 s.\n\
         {whys}\
         ipv6=$(docker run --rm --pull never --network none --label exitone.repro \"$TOOLS\" \\\n    \
         sh -c 'test ! -e /proc/sys/net/ipv6 || echo --sysctl net.ipv6.conf.all.disable_ipv6={ipv6}')\n\
         # shellcheck disable=SC2086 # two words, or none on a kernel without IPv6\n\
         tools --name \"$net\" --hostname {hostname} $ipv6 \\\n    \
         --sysctl net.ipv4.tcp_syn_retries=2 --sysctl net.ipv4.ip_unprivileged_port_start={first_open_port}\n",
        ipv6 = u8::from(plan.ipv6_off),
        hostname = HOSTNAMES[1],
        first_open_port = plan.first_open_port,
    )
}

/// Runs a Python program in a container; it returns when it serves.
fn python(container: &str, arguments: &Value, program: &str) -> String {
    let arguments = quoted(&arguments.to_string());
    format!("docker exec --interactive \"${container}\" python3 - {arguments} <<'PYTHON'\n{program}PYTHON\n")
}

fn internet(case: &ReproCase, addresses: &Addresses) -> String {
    let plan = case.plan();
    let (mut slow, mut denied) = (Map::new(), Vec::new());
    for (host, fault) in &plan.responses {
        if fault.denied {
            denied.push(addresses.of_host(host));
        } else {
            slow.insert(addresses.of_host(host), json!(fault.delay.as_secs_f64()));
        }
    }
    let ports: BTreeSet<u16> = case.ports.iter().copied().filter(|port| *port != 0).chain([80]).collect();
    let mut arguments = json!({ "ports": ports });
    let mut program = only_needed(INTERNET_PY, &case.conditions);
    if !slow.is_empty() {
        arguments["slow"] = Value::Object(slow);
    }
    if !denied.is_empty() {
        arguments["denied"] = json!(denied);
        program = format!("{REFUSE_PY}\n\n{program}");
    }
    if let Some(MetadataFault::Slow(delay)) = plan.metadata {
        arguments["metadata"] = json!(delay.as_secs_f64());
    }
    let whys = case.whys(|c| {
        let network = c.changes().network;
        !network.responses.is_empty() || network.metadata.is_some_and(|fault| fault != MetadataFault::None)
    });
    let links = only_needed(INTERNET_SH, &case.conditions);
    format!("{links}{whys}{}", python("internet", &arguments, &program))
}

/// The address that the candidate's own name resolves to.
fn own_name(case: &ReproCase) -> &'static str {
    if case.plan().hostname.is_some() { SECOND } else { OWN }
}

/// Sets up the candidate's links, addresses, routes and names.
fn routes(case: &ReproCase, addresses: &Addresses) -> String {
    let mut lines = vec![format!("ip address add {OWN}/32 dev eth0")];
    let named = |fault| case.conditions.iter().find(move |c| c.changes().network.hostname == Some(fault));
    if let Some(condition) = named(HostnameFault::Platform) {
        lines.extend([case.why(condition), format!("ip address add {SECOND}/32 dev eth0")]);
    }
    lines.extend(["eth0", "closed"].map(|link| format!("ip link set {link} up")));
    lines.push(format!("ip route add 10.0.61.1 dev eth0 src {OWN}"));
    let ways_out = ways_out(case, addresses);
    if ways_out.iter().any(|line| line.ends_with(SILENT)) {
        lines.extend(VOID.map(ToOwned::to_owned));
    }
    match late(case) {
        Some((condition, _)) => lines.push(case.why(condition)),
        None => lines.extend(ways_out),
    }
    lines.extend(metadata(case));
    lines.extend(named(HostnameFault::Unbindable).map(|condition| case.why(condition)));
    let own_name = own_name(case);
    let names = HOSTNAMES.join(" ");
    lines.push(format!("printf '127.0.0.1\\tlocalhost\\n::1\\tlocalhost ip6-localhost ip6-loopback\\n{own_name}\\t{names}\\n' >/etc/hosts"));
    lines.push("printf 'nameserver 127.0.0.1\\n' >/etc/resolv.conf".to_owned());
    format!(
        "# The candidate's links, routes and names: it shares this namespace and both files.\n\
         docker exec --interactive \"$net\" sh -eu <<'SH'\n{}\nSH\n",
        lines.join("\n")
    )
}

/// Metadata is local to the host: faults of the route out do not affect it.
fn metadata(case: &ReproCase) -> [String; 3] {
    let none = case.conditions.iter().find(|c| c.changes().network.metadata == Some(MetadataFault::None));
    let credentials = none.map_or_else(|| "# Credentials are at 169.254.170.2".to_owned(), |c| case.why(c));
    [
        format!("{credentials}. The metadata of a virtual machine (169.254.169.254) is never there."),
        format!("ip route replace 169.254.170.2 {}", if none.is_some() { REFUSED } else { OPEN }),
        format!("ip route replace 169.254.169.254 {REFUSED}"),
    ]
}

/// The default route, and routes to hosts and networks with their own.
fn ways_out(case: &ReproCase, addresses: &Addresses) -> Vec<String> {
    let mut lines = Vec::new();
    let mut way_out = format!("ip route add default {OPEN}");
    for condition in &case.conditions {
        way_out = match condition.changes().network.egress {
            Egress::Drop => format!("ip route add default {SILENT}"),
            Egress::Reject => format!("ip route add default {REFUSED}"),
            Egress::Unreachable => "ip route add unreachable default".to_owned(),
            // Without a default route, hosts are not reachable, either.
            Egress::None => return vec![case.why(condition)],
            Egress::Open | Egress::Late(_) => continue,
        };
        lines.push(case.why(condition));
    }
    lines.push(way_out);
    for condition in &case.conditions {
        let routes = condition.changes().network.routes;
        let Some((_, first)) = routes.first() else { continue };
        let open = *first == RouteFault::Open;
        lines.push(if open { "# These are still reachable.".to_owned() } else { case.why(condition) });
        for (target, fault) in &routes {
            let way = match fault {
                RouteFault::Open => OPEN,
                RouteFault::Silent => SILENT,
                RouteFault::Refused => REFUSED,
            };
            lines.push(format!("ip route replace {} {way}", addresses.of_target(target)));
        }
    }
    lines
}

fn resolver(case: &ReproCase, addresses: &Addresses) -> String {
    let (own_name, plan) = (own_name(case), case.plan());
    let mut names = Map::new();
    names.extend(addresses.0.iter().map(|(name, address)| (name.clone(), json!(address.to_string()))));
    names.insert("localhost".to_owned(), json!("127.0.0.1"));
    names.extend(HOSTNAMES.map(|name| (name.to_owned(), json!(own_name))));
    let mut arguments = json!({ "names": names });
    let mut faults = Map::new();
    let named = plan.dns.names.iter().map(|(name, fault)| (name.as_str(), fault));
    for (name, fault) in plan.dns.all.iter().map(|fault| ("*", fault)).chain(named) {
        let (word, length) = fault.parts();
        faults.insert(name.to_owned(), json!([word, length.as_secs_f64()]));
    }
    if !faults.is_empty() {
        arguments["faults"] = Value::Object(faults);
    }
    let whys = case.whys(|c| c.changes().network.dns != DnsPlan::default());
    format!("# The resolver.\n{whys}{}", python("net", &arguments, &only_needed(DNS_PY, &case.conditions)))
}
