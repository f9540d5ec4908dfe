//! What it means that a failure needs a condition: with it the image fails, without it the same image passes. That is
//! an experiment and not a sign, so each condition of a minimal set has a cause, whatever the log says. Pure.

use super::rules::{filled, fixes};
use crate::model::condition::{DnsFault, EnvChange, MetadataFault, Reach, UpstreamFault};
use crate::model::outcome::Cause;
use crate::model::{Condition, ConditionSet, Platform};

/// Causes that say nothing which an experiment does not say better.
const VAGUE: [&str; 2] = ["uncaught-exception", "no-output"];

/// What a condition means, and what to do.
struct Meaning {
    id: &'static str,
    text: String,
    fix: String,
    /// Rules that say the same from what was seen, and say it closer.
    told_by: &'static [&'static str],
}

/// The causes of a failure that needs all of these conditions: those that were seen, and for each condition that none
/// of them speaks of, what its being needed means. `runs`: how many failed with them, of how many.
#[must_use]
pub fn with_needed(seen: Vec<Cause>, needed: &ConditionSet, runs: [u32; 2], platform: &Platform) -> Vec<Cause> {
    let (vague, mut all): (Vec<Cause>, Vec<Cause>) =
        seen.into_iter().partition(|cause| VAGUE.contains(&cause.id.as_str()));
    for condition in needed.iter() {
        let meaning = meaning(condition);
        let told = all.iter().any(|c| c.id == meaning.id || meaning.told_by.contains(&c.id.as_str()));
        // Settings name their fields in small letters.
        let names = |text: &str, name: &str| text.to_ascii_uppercase().contains(&name.to_ascii_uppercase());
        let named = subject(condition).is_none_or(|name| all.iter().any(|c| names(&c.text, &name)));
        if told && named {
            continue;
        }
        let with =
            if needed.iter().count() > 1 { format!("{needed}, of which it needs each") } else { needed.to_string() };
        let evidence = format!("runs: {} of {} under {with} failed; without {condition} it passes", runs[0], runs[1]);
        let fix = filled(&meaning.fix, &|word: &str| platform.ways.get(word).cloned());
        all.push(Cause { id: meaning.id.to_owned(), text: meaning.text, fix, evidence: vec![evidence] });
    }
    all.extend(vague);
    all
}

/// The variable that a condition is about: a cause that does not name it does not tell of it.
fn subject(condition: &Condition) -> Option<String> {
    if let Condition::Env(name, _) = condition { Some(name.clone()) } else { None }
}

const NAT: &str = "Do not need the network to start: connect when the first request needs it, with a time-out and retries; or \
                   give the subnets of {network} a NAT gateway (or a VPC endpoint of the service that is called).";
const EGRESS: &[&str] = &["outbound-call-at-startup", "database-unreachable", "never-listened", "name-not-resolved"];
const DATABASE: &[&str] =
    &["database-unreachable", "database-credentials", "outbound-call-at-startup", "never-listened", "migration-failed"];

fn meaning(condition: &Condition) -> Meaning {
    let of = |id, text: String, fix: &str, told_by| Meaning { id, text, fix: fix.to_owned(), told_by };
    match condition {
        Condition::Env(name, change) => variable(name, change),
        Condition::EgressDrop(reach) => {
            let (what, how) = match reach {
                Reach::Everything => ("the internet".to_owned(), "is dropped, as in a VPC without a NAT gateway"),
                Reach::Only(target) => (target.to_string(), "is dropped"),
                Reach::AllBut(targets) => {
                    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
                    (format!("everything but {}", names.join(", ")), "is dropped")
                }
            };
            of("egress-needed", format!("The program needs to reach the network to start: it fails when what it sends to {what} {how}."), NAT, EGRESS)
        }
        Condition::EgressReject | Condition::EgressUnreachable | Condition::EgressNone => of(
            "egress-needed",
            "The program needs to reach the network to start: it fails when its connections cannot go out.".to_owned(),
            NAT,
            EGRESS,
        ),
        Condition::EgressLate(length) => of(
            "network-not-ready",
            format!("The program needs the network at once: it fails when that comes only after {} s.", length.as_secs_f64()),
            "Try again with growing pauses instead of giving up with the first attempt.",
            &[],
        ),
        Condition::Latency(length) => of(
            "slow-network",
            format!("The program gives up too soon: it fails when every packet takes {} ms longer.", length.as_millis()),
            "Give connections to what is far away longer time-outs, and make fewer round trips before the port opens.",
            &[],
        ),
        Condition::Dns(fault, _) => resolver(fault),
        Condition::HostnamePlatform | Condition::HostnameUnbindable => of(
            "bind-host-name",
            "The program listens on the address that its host name resolves to, and there that is none of the container's."
                .to_owned(),
            fixes::BIND_ALL,
            &["bound-to-host-name"],
        ),
        Condition::CommandSplit => of(
            "start-command-split",
            "The start command needs a shell, and the platform has none: it is split at white space, quotes stay in the \
             words, and `&&` and variables reach the program as they are written."
                .to_owned(),
            "Put the commands into a script in the image and start that, or leave the service's start command out so that \
             the Dockerfile's CMD counts.",
            &["missing-program"],
        ),
        Condition::CommandNoEntrypoint => of(
            "entrypoint-left-out",
            "The image's ENTRYPOINT does something that the program needs, and with a start command of the service it may \
             not run."
                .to_owned(),
            "Begin the start command with the entry point's script, or do that work in the program.",
            &["missing-program"],
        ),
        Condition::ArchMismatch => of(
            "arch-mismatch",
            "The image is not for linux/amd64.".to_owned(),
            "Build it with `docker buildx build --platform linux/amd64 …`.",
            &["exec-format-error"],
        ),
        Condition::CpuLimit(milli) => of(
            "slow-start",
            format!(
                "The program is too slow with {} vCPU: the health check gives up, or a time-out of its own does.",
                f64::from(*milli) / 1000.0
            ),
            "Give the instance more CPU ({more_cpu}), start faster, or give the health check more time \
             ({health_time}).",
            &[],
        ),
        Condition::MemoryLimit(bytes) => of(
            "out-of-memory",
            format!("The program needs more memory than {} to start.", crate::model::units::show_bytes(*bytes)),
            "Give the instance more memory ({more_memory}), or start fewer workers.",
            &["heap-out-of-memory", "killed"],
        ),
        Condition::Metadata(fault) => metadata(fault),
        Condition::PortsPrivileged => of(
            "privileged-port",
            "The program listens on a port below 1024 without being root, which the platform does not allow.".to_owned(),
            fixes::HIGH_PORT,
            &[],
        ),
        Condition::Ipv6Off => of(
            "ipv6-needed",
            "The program needs IPv6, which the platform does not have: it listens on `::`, or connects to `::1`.".to_owned(),
            "Listen on 0.0.0.0, and connect to 127.0.0.1 instead of localhost.",
            &["bind-host-name"],
        ),
        Condition::Upstream(fault, host) => upstream(fault, &host.to_string()),
        Condition::DiskFull => of(
            "disk-full",
            "The program writes to the disk when it starts, and fails when that is full: an instance has 3 GB, the image \
             included."
                .to_owned(),
            "Write less when the program starts, or make the image smaller.",
            &["read-only-files", "missing-file", "file-permission"],
        ),
        Condition::NofileLimit(count) => of(
            "too-many-files",
            format!("The program needs more than {count} open files and connections."),
            fixes::FEWER_FILES,
            &[],
        ),
    }
}

fn variable(name: &str, change: &EnvChange) -> Meaning {
    let of = |id, text: String, fix: &str, told_by| Meaning { id, text, fix: fix.to_owned(), told_by };
    let told: &'static [&'static str] =
        &["missing-variable", "settings-validation", "malformed-value", "database-url", "settings-attribute-case"];
    match change {
        EnvChange::Unset => of(
            "missing-variable",
            format!("The program fails without the variable `{name}`."),
            fixes::SET_VARIABLE,
            told,
        ),
        EnvChange::Empty => of(
            "missing-variable",
            format!("The program fails when the variable `{name}` is empty."),
            fixes::SET_VARIABLE,
            told,
        ),
        EnvChange::Set(value) => of(
            "variable-value",
            format!(
                "`{name}={}` leads the program into a branch that fails; with the value that the service has it starts.",
                value.shown(name)
            ),
            "Run that branch in a test, with the value that the platform has; or set the variable to the value that works.",
            &[],
        ),
        EnvChange::Quoted => of(
            "quoted-value",
            format!("The program cannot read `{name}` when quotes stand around its value."),
            "Enter the value without quotes: the platform's console and API keep them as a part of it.",
            &[],
        ),
        EnvChange::Newline => of(
            "trailing-newline",
            format!("The program cannot read `{name}` when its value ends with a line break."),
            "Make the secret without one (`printf %s`, not `echo`; `aws secretsmanager put-secret-value`), or strip it when it \
             is read.",
            &[],
        ),
        EnvChange::Json => of(
            "secret-as-json",
            format!("The program cannot read `{name}` when it is the secret's whole JSON document."),
            "Name the key in the service's configuration: `arn:…:secret:NAME:KEY::` instead of the secret's own ARN, which \
             gives the whole document.",
            &[],
        ),
    }
}

fn resolver(fault: &DnsFault) -> Meaning {
    let (id, text) = match fault {
        DnsFault::Delay(length) => {
            ("slow-resolver", format!("the resolver takes {} s to answer", length.as_secs_f64()))
        }
        DnsFault::Late(length) => {
            ("network-not-ready", format!("the resolver answers only after {} s", length.as_secs_f64()))
        }
        DnsFault::Servfail => ("name-not-resolved", "the resolver says SERVFAIL".to_owned()),
        DnsFault::Nxdomain => ("name-not-resolved", "a name that it asks for does not exist".to_owned()),
        DnsFault::Drop => ("name-not-resolved", "the resolver does not answer".to_owned()),
    };
    Meaning {
        id,
        text: format!("The program needs a name to be resolved to start: it fails when {text}."),
        fix: fixes::RESOLVE_LATER.to_owned(),
        told_by: &["name-not-resolved"],
    }
}

fn metadata(fault: &MetadataFault) -> Meaning {
    let text = match fault {
        MetadataFault::None => "there is no metadata endpoint, as in a service without an instance role".to_owned(),
        MetadataFault::Denied => "the credentials endpoint refuses".to_owned(),
        MetadataFault::Slow(length) => format!("the credentials endpoint takes {} s to answer", length.as_secs_f64()),
    };
    Meaning {
        id: "aws-credentials",
        text: format!("The program needs AWS credentials to start: it fails when {text}."),
        fix: "Give the service {role}, and do not need AWS to start.".to_owned(),
        told_by: &["aws-region"],
    }
}

fn upstream(fault: &UpstreamFault, host: &str) -> Meaning {
    let (id, what) = match fault {
        UpstreamFault::Down => ("upstream-needed", "does not answer".to_owned()),
        UpstreamFault::Refused => ("upstream-needed", "refuses the connection".to_owned()),
        UpstreamFault::Slow(length) => ("upstream-slow", format!("takes {} s to answer", length.as_secs_f64())),
        UpstreamFault::Denied => ("upstream-credentials", "refuses the credentials".to_owned()),
    };
    Meaning {
        id,
        text: format!("The program needs {host} to start: it fails when {host} {what}."),
        fix: "Let the program start without it and connect with retries; there, look at the security groups, the subnets and \
              the secret."
            .to_owned(),
        told_by: DATABASE,
    }
}

#[cfg(test)]
mod tests;
