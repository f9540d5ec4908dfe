//! The most frequent causes of a class of failure: 61 field cases of services that ran with `docker run` and failed on
//! App Runner, counted by their true cause.

use super::FailureClass;
use crate::model::explanation::Likely;

/// A cause of field cases.
struct Known {
    id: &'static str,
    text: &'static str,
    field_cases: Option<u32>,
    check: &'static str,
    classes: &'static [FailureClass],
    /// Exit codes that occur with it; empty for any.
    codes: &'static [i64],
    /// Whether the application usually printed nothing.
    silent: bool,
}

use FailureClass::{A, B, C};

/// Most frequent first.
const KNOWN: &[Known] = &[
    Known {
        id: "arch-mismatch",
        text: "the image is not built for linux/amd64 (an Apple laptop builds arm64 by default): `exec format error`, or no \
               log at all",
        field_cases: Some(10),
        check: "docker image inspect --format '{{.Os}}/{{.Architecture}}' IMAGE, or exitone why IMAGE, which reads it first",
        classes: &[B, C],
        codes: &[1, 255],
        silent: true,
    },
    Known {
        id: "environment",
        text: "the environment differs: a variable is missing or was wiped by an update that replaced the whole map, a \
               production mode is switched on, a value has quotes or a line break in it",
        field_cases: Some(9),
        check: "exitone why IMAGE --service service.json (every variable unset or empty, every secret with a line break or as \
                JSON; quotes: --with env.quoted:NAME)",
        classes: &[B, C],
        codes: &[],
        silent: true,
    },
    Known {
        id: "upstream-needed",
        text: "something that the program needs at start cannot be reached: no NAT gateway behind the VPC connector, a \
               database, an AWS API, another company's service",
        field_cases: Some(8),
        check: "exitone why IMAGE --with egress.drop --with dns.servfail",
        classes: &[B, C],
        codes: &[],
        silent: true,
    },
    Known {
        id: "start-command-split",
        text: "the start command needs a shell (`&&`, quotes, `$VAR`), or an old one of the service beats the Dockerfile's",
        field_cases: Some(7),
        check: "exitone why IMAGE --service service.json --with command.split",
        classes: &[B, C],
        codes: &[1, 2, 126, 127],
        silent: false,
    },
    Known {
        id: "plain-bug",
        text: "a plain bug that the laptop hid: a bind mount, development dependencies, another version of the runtime",
        field_cases: Some(6),
        check: "exitone run --image IMAGE --service service.json (friendly conditions: it fails there as well)",
        classes: &[B],
        codes: &[],
        silent: false,
    },
    Known {
        id: "bind-host-name",
        text: "the server binds HOSTNAME or the loopback instead of 0.0.0.0",
        field_cases: Some(6),
        check: "exitone why IMAGE --with hostname.platform --with ports.privileged",
        classes: &[B, C],
        codes: &[],
        silent: false,
    },
    Known {
        id: "migration-failed",
        text: "a migration that runs before the server fails or takes too long",
        field_cases: Some(5),
        check: "exitone run scenarios/database.yaml, with your image and its start command",
        classes: &[B, C],
        codes: &[],
        silent: false,
    },
    Known {
        id: "port-mismatch",
        text: "the server listens on another port than the one that is checked, or the check's path answers 401 or 404",
        field_cases: Some(5),
        check: "exitone run --image IMAGE --service service.json",
        classes: &[C],
        codes: &[],
        silent: false,
    },
    Known {
        id: "slow-start",
        text: "the server opens its port later than the health check waits",
        field_cases: Some(5),
        check: "exitone why IMAGE --service service.json --with cpu.limit:0.25",
        classes: &[C],
        codes: &[],
        silent: false,
    },
    Known {
        id: "secret-as-json",
        text: "a secret that holds JSON arrives as the whole document",
        field_cases: Some(4),
        check: "exitone why IMAGE --service service.json --with env.json:NAME",
        classes: &[B],
        codes: &[],
        silent: false,
    },
    Known {
        id: "aws-credentials",
        text: "an AWS SDK is called at start without an instance role or a region",
        field_cases: Some(3),
        check: "exitone why IMAGE --service service.json --with metadata.none",
        classes: &[B],
        codes: &[],
        silent: false,
    },
    Known {
        id: "privileged-port",
        text: "a port below 1024 and an image that does not run as root",
        field_cases: Some(2),
        check: "exitone why IMAGE --service service.json --with ports.privileged",
        classes: &[B, C],
        codes: &[],
        silent: false,
    },
    Known {
        id: "out-of-memory",
        text: "more memory is needed than the instance has: code 137, often suspected and seldom true",
        field_cases: None,
        check: "exitone why IMAGE --service service.json --with memory.limit:512m",
        classes: &[B],
        codes: &[137],
        silent: true,
    },
    Known {
        id: "instance-role",
        text: "the instance role is not ready yet, or its trust policy names build.apprunner.amazonaws.com instead of \
               tasks.apprunner.amazonaws.com",
        field_cases: None,
        check: "aws iam get-role --role-name NAME: Principal, and a role that is some minutes old",
        classes: &[A],
        codes: &[],
        silent: true,
    },
    Known {
        id: "secret-reference",
        text: "a secret's ARN is cut, of another region or deleted, or the instance role may not read it \
               (secretsmanager:GetSecretValue, ssm:GetParameters, kms:Decrypt)",
        field_cases: None,
        check: "aws secretsmanager get-secret-value --secret-id ARN, as the instance role",
        classes: &[A],
        codes: &[],
        silent: true,
    },
    Known {
        id: "vpc-connector",
        text: "the VPC connector is inactive, or its subnets or security groups are gone",
        field_cases: None,
        check: "aws apprunner list-vpc-connectors; aws ec2 describe-subnets --subnet-ids …",
        classes: &[A],
        codes: &[],
        silent: true,
    },
    Known {
        id: "image-pull",
        text: "the access role may not read the repository, the tag is gone, or the index has no linux/amd64",
        field_cases: None,
        check: "aws ecr describe-images --repository-name NAME --image-ids imageTag=TAG",
        classes: &[A],
        codes: &[],
        silent: true,
    },
    Known {
        id: "account",
        text: "a quota of the account is used up, or the account has a hold",
        field_cases: None,
        check: "aws service-quotas list-service-quotas --service-code apprunner; AWS Health",
        classes: &[A],
        codes: &[],
        silent: true,
    },
];

/// The true causes of such a failure, most frequent first; of a failed health check, those that never show as an exit.
pub(super) fn causes(class: Option<FailureClass>, exit_code: Option<i64>, application_log: bool) -> Vec<Likely> {
    let class = class.unwrap_or(B);
    let fits = |known: &&Known| {
        let code = known.codes.is_empty() || exit_code.is_none_or(|code| known.codes.contains(&code));
        known.classes.contains(&class) && (code || class == C)
    };
    let mut found: Vec<&Known> = KNOWN.iter().filter(fits).collect();
    if !application_log {
        // An empty log favours the silent causes; the order among them stays.
        found.sort_by_key(|known| !known.silent);
    }
    if class == C {
        found.sort_by_key(|known| known.classes != [C]);
    }
    let likely = |known: &Known| Likely {
        id: known.id.to_owned(),
        text: known.text.to_owned(),
        field_cases: known.field_cases,
        check: known.check.to_owned(),
    };
    found.into_iter().map(likely).collect()
}

/// The comparison that shows whether a class A failure is caused by the image.
pub(super) fn ab_test() -> Vec<String> {
    vec![
        "aws apprunner create-service with the same roles, secrets, connector and instance size, and the image \
         public.ecr.aws/aws-containers/hello-app-runner:latest (port 8000): if that fails as well, the image has no part in it"
            .to_owned(),
        "if it succeeds, take away one thing of yours after the other (secrets, then the connector, then the role) until the \
         deployment of your own image starts"
            .to_owned(),
    ]
}
