//! Rules about ports and probes of a process that stays alive and never becomes healthy (class C).

use super::{Basis, Rule, Seen};

const CHECK: &str = "https://docs.aws.amazon.com/apprunner/latest/dg/manage-configure-healthcheck.html";
const STATUS_FIX: &str =
    "Give the service a health check path that answers 200 without credentials ({health_path}){or_tcp}.";

const fn serves(id: &'static str, seen: &'static [Seen], text: &'static str, fix: &'static str) -> Rule {
    Rule { id, basis: Basis::Serving, seen, unless: &[], also: &[], text, fix, reference: CHECK, alone: false }
}

/// The rules, most certain first.
pub(super) const RULES: &[Rule] = &[
    Rule {
        unless: &[Seen::Opening],
        ..serves(
            "bound-to-loopback",
            &[Seen::NeverHealthy, Seen::OtherPortInside],
            "The process listens on {address}:{other_port}, which can be reached only inside of the container, and the \
             health check asks port {port}.",
            "Bind 0.0.0.0 instead, and the port in PORT ({port}).",
        )
    },
    // A metrics port may be open while the program has not yet opened its own.
    Rule {
        unless: &[Seen::Opening],
        ..serves(
            "port-mismatch",
            &[Seen::NeverHealthy, Seen::OtherPort],
            "The process listens on port {other_port}, the health check asks port {port}: the program or its start command \
             has a port of its own and does not read PORT, which the platform sets to {port}.",
            "Let the program listen on the port in PORT, or set the service's port to the one that it uses \
             ({service_port}).",
        )
    },
    serves(
        "bound-to-loopback",
        &[Seen::NeverHealthy, Seen::Loopback],
        "The process listens on {address}:{port}, which can be reached only inside of the container.",
        "Bind 0.0.0.0 instead.",
    ),
    serves(
        "bound-to-host-name",
        &[Seen::NeverHealthy, Seen::OtherAddress],
        "The process listens on {address}:{port}, which is not the address that is probed: it takes the address of \
         its host name.",
        "Bind 0.0.0.0 instead; where the framework reads HOSTNAME for it, set the bind address in the start command \
         (`env HOSTNAME=0.0.0.0 node server.js`).",
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(401, 401)],
        "The health check of {path} is answered with {status}: the route asks for credentials.",
        STATUS_FIX,
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(403, 403)],
        "The health check of {path} is answered with {status}: the route is forbidden to whoever has no credentials.",
        STATUS_FIX,
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(404, 404)],
        "The health check of {path} is answered with {status}: there is no such route in this image[, or what serves it is \
         not started: the service's {start_command} takes the place of the image's own command].",
        "Add the route, deploy the image that has it, or give the service the path of one that answers 200 \
         ({health_path}).{command_stays}",
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(400, 400)],
        "The health check of {path} is answered with {status}: the Host header of the probe, an address, may not be allowed.",
        "Allow every host on the health check's route{or_tcp}.",
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(500, 599)],
        "The health check of {path} is answered with {status}: the route itself fails.",
        "Let the route say that the process lives, not that all it depends on does; the program's log has the error.",
    ),
    serves(
        "probe-status",
        &[Seen::NeverHealthy, Seen::Status(100, 499)],
        "The health check of {path} is answered with {status}, which is not a status that passes.",
        STATUS_FIX,
    ),
    serves(
        "probe-timeout",
        &[Seen::NeverHealthy, Seen::NoAnswer],
        "The port is open, and the health check[ of {path}] has no answer within {timeout} s.",
        "Answer the health check at once: let it ask nothing of the network, and keep what blocks out of the event loop. The \
         time-out can be longer ({health_timeout}).",
    ),
    serves(
        "probe-no-http",
        &[Seen::NeverHealthy, Seen::NoHttp],
        "What answers on port {port} is no HTTP/1.1.",
        "Serve plain HTTP/1.1 there (TLS ends at the platform's edge){or_tcp}.",
    ),
    Rule {
        unless: &[Seen::Waiting, Seen::OtherPort, Seen::Loopback, Seen::OtherAddress],
        ..serves(
            "slow-start",
            &[Seen::NeverListened, Seen::Computing],
            "The process was still starting when it was given up: {waiting}.",
            "Start faster (fewer imports, no work before the port opens), or give the instance more CPU ({more_cpu}) and the \
             health check more time ({health_time}).",
        )
    },
    Rule {
        unless: &[Seen::Loopback, Seen::OtherAddress],
        ..serves(
            "never-listened",
            &[Seen::NeverListened, Seen::Opening, Seen::OtherPort],
            "The process opened port {other_port} and never port {port}: it was waiting for {waiting}.",
            "Open the port first and connect afterwards, with a time-out; or, where {other_port} is the port that serves, let \
             the program read PORT.",
        )
    },
    Rule {
        unless: &[Seen::OtherPort, Seen::Loopback, Seen::OtherAddress],
        ..serves(
            "never-listened",
            &[Seen::NeverListened, Seen::Waiting],
            "The process lives and never opened its port: it was waiting for {waiting}.",
            "Open the port first and connect afterwards, with a time-out; what is waited for may not be there on the platform.",
        )
    },
    Rule {
        unless: &[Seen::Waiting, Seen::Computing, Seen::OtherPort, Seen::Loopback, Seen::OtherAddress],
        ..serves(
            "never-listened",
            &[Seen::NeverListened],
            "The process lives and never opened a port: {waiting}.",
            "Look at what it does first: it may not be a server, wait for standard input, or wait for a child. For an image \
             that serves nothing {platform} is the wrong place.",
        )
    },
];
