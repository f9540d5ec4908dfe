//! The keys of scenario and service files.

use super::shape::{Key, Shape};

/// Seconds and thresholds of a health check.
/// <https://docs.aws.amazon.com/apprunner/latest/api/API_HealthCheckConfiguration.html>
const HEALTH: Shape = Shape::Whole(1, 20);
const TEXT: Shape = Shape::Text;
const BUILD: [Key; 3] = [
    Key::new("image", TEXT, "the name of the built image"),
    Key::new(
        "dockerfile",
        TEXT,
        "the Dockerfile, relative to the scenario's folder; default: Dockerfile in the context",
    ),
    Key::new("context", TEXT, "the build context, relative to the scenario's folder; default: that folder"),
];
const CANDIDATE: [Key; 3] = [Key::required("image", TEXT, "the image's name"), BUILD[1], BUILD[2]];

/// A scenario file.
pub(crate) const SCENARIO: [Key; 9] = [
    Key::new("name", TEXT, "a name for reports; default: the file's name"),
    Key::new("platform", Shape::Word(&crate::profile::NAMES), "the platform to simulate"),
    Key::new("candidates", Shape::List(&Shape::TextOr(&CANDIDATE)), "the images, oldest first"),
    Key::new("build", Shape::Map(&BUILD), "how an image is built: for a run, and for the pre-push gate"),
    Key::new("service", Shape::Map(&SERVICE_IN_SCENARIO), "the service's configuration"),
    Key::new(
        "combine",
        Shape::Word(&["each", "pairs", "all", "why"]),
        "each entry of `conditions` by itself (the default); also every compatible pair; all at once; or \
         a search for all minimal sets that make a candidate fail",
    ),
    Key::new(
        "conditions",
        Shape::OneOrMany(&Shape::OneOrMany(&TEXT)),
        "each entry is a condition, a list of conditions imposed together, or `deployed`: everything that the service \
         says was in force; the baseline always runs",
    ),
    Key::new(
        "expect",
        Shape::Named(&Shape::OneOrMany(&TEXT)),
        "the expected results: candidate (or `*`) to OUTCOME, `OUTCOME under CONDITION + CONDITION`, `OUTCOME under \
         baseline`",
    ),
    Key::new("repeat", Shape::Whole(1, 100), "number of runs of each case; default: 1"),
];

/// The key of a service file that a scenario's service does not have: its candidates name the images.
pub(crate) const IMAGE: &str = "image";

const PORT: Key = Key::new("port", Shape::Port, "the probed port, also passed as PORT; default: 8080");
const ENV: Key = Key::new("env", Shape::Variables, "variables");
const ENV_FILE: Key = Key::new("env_file", TEXT, "a file of NAME=VALUE lines; `env` takes precedence");
const SECRETS: Key = Key::new("secrets", Shape::List(&TEXT), "names of variables whose values are never shown");
const START: Key = Key::new("start_command", TEXT, "replaces CMD");
const CPU: Key = Key::new("cpu", Shape::Scalar, "0.25, 0.5, 1, 2 or 4 vCPU; default: 1");
const MEMORY: Key =
    Key::new("memory", Shape::Scalar, "GB of memory, in a combination with the CPU that App Runner offers; default: 2");
const EGRESS: Key =
    Key::new("egress", Shape::Word(&["DEFAULT", "VPC"]), "checked but not imposed; use the condition egress.drop");
const NAT: Key = Key::new(
    "nat",
    Shape::Word(&["yes", "no", "unknown"]),
    "whether the VPC has a NAT gateway or what else it needs to reach the internet; default: unknown",
);
const ROLE: Key = Key::new(
    "role",
    Shape::Word(&["yes", "no", "unknown"]),
    "whether the service has an instance role; default: unknown",
);
const CHECK: Key = Key::new("health_check", Shape::Map(&HEALTH_CHECK), "the platform's health check");
const UPSTREAMS: Key =
    Key::new("upstreams", Shape::List(&Shape::TextOr(&UPSTREAM)), "hosts the service needs: host:port, or a mapping");
const CHECKS: Key =
    Key::new("checks", Shape::List(&Shape::Map(&REQUEST)), "requests to send once the service is healthy");

/// A service as a scenario has it.
pub(crate) const SERVICE_IN_SCENARIO: [Key; 13] =
    [PORT, ENV, ENV_FILE, SECRETS, START, CPU, MEMORY, EGRESS, NAT, ROLE, CHECK, UPSTREAMS, CHECKS];

/// A service file.
pub(crate) const SERVICE: [Key; 14] = [
    Key::new(IMAGE, TEXT, "the image, unless --image is given"),
    PORT,
    ENV,
    ENV_FILE,
    SECRETS,
    START,
    CPU,
    MEMORY,
    EGRESS,
    NAT,
    ROLE,
    CHECK,
    UPSTREAMS,
    CHECKS,
];

const HEALTH_CHECK: [Key; 6] = [
    Key::new("protocol", Shape::Word(&["HTTP", "TCP"]), "HTTP or TCP; default: TCP"),
    Key::new("path", TEXT, "the path of an HTTP check; default: /"),
    Key::new("interval", HEALTH, "seconds between two probes; default: 5"),
    Key::new("timeout", HEALTH, "timeout of a probe in seconds; default: 2"),
    Key::new("healthy_threshold", HEALTH, "consecutive successes until healthy; default: 1"),
    Key::new("unhealthy_threshold", HEALTH, "consecutive failures until unhealthy; default: 5"),
];

const REQUEST: [Key; 8] = [
    Key::new("name", TEXT, "a name for reports and for `NAME fails`; default: method and path"),
    Key::new("method", Shape::Word(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), "the method; default: GET"),
    Key::required("path", TEXT, "path and query"),
    Key::new("headers", Shape::Named(&Shape::Scalar), "headers to send, such as `X-Forwarded-Proto: https`"),
    Key::new("body", Shape::Json, "a JSON body"),
    Key::new("status", Shape::Whole(100, 599), "the expected status; default: 200"),
    Key::new("json", Shape::Json, "the expected JSON response, complete"),
    Key::new("within", Shape::Time(1), "time limit of the response; default: 10s"),
];

const UPSTREAM: [Key; 6] = [
    Key::required("host", TEXT, "the host's name or address"),
    Key::required("port", Shape::Port, "the port"),
    Key::new("address", TEXT, "the address that its name resolves to"),
    Key::new("respond", Shape::Map(&STUB), "the response over HTTP and HTTPS"),
    Key::new("script", Shape::List(&Shape::Map(&STEP)), "a TCP conversation"),
    Key::new("container", Shape::Map(&CONTAINER), "a real service, a fresh one for every case"),
];

const STUB: [Key; 5] = [
    Key::new("status", Shape::Whole(100, 599), "the status; default: 200"),
    Key::new("json", Shape::Json, "a JSON body; default: {}"),
    Key::new("body", TEXT, "a body of another type"),
    Key::new("content_type", TEXT, "the type of the body"),
    Key::new("delay", Shape::Time(0), "delay of the response; default: none"),
];

const STEP: [Key; 2] = [Key::new("send", TEXT, "the text to send"), Key::new("expect", TEXT, "the text to wait for")];

const CONTAINER: [Key; 4] = [
    Key::required("image", TEXT, "the image"),
    Key::new("env", Shape::Variables, "its variables"),
    Key::new("command", Shape::List(&TEXT), "the words that replace CMD"),
    Key::new("ready_within", Shape::Time(1), "time limit for becoming ready; default: 60s"),
];
