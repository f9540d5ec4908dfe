//! The parsed content of a file, before it is written as a scenario.

use super::Kind;
use super::hide;
use crate::model::condition::variable_name;
use crate::scenario::problem::Problem;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Its path: `Service.InstanceConfiguration.Cpu`.
    pub(crate) path: String,
    /// Line and column, if known.
    pub(crate) place: Option<(usize, usize)>,
}

impl Origin {
    /// An error at this place.
    pub(crate) fn problem(&self, message: &str) -> Problem {
        let message = if self.path.is_empty() { message.to_owned() } else { format!("{}: {message}", self.path) };
        match self.place {
            Some((line, column)) => Problem::at(line, column, message),
            None => Problem::of_file(message),
        }
    }
}

/// A text and its origin.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// The text as written.
    pub(crate) text: String,
    /// Its origin.
    pub(crate) from: Origin,
}

/// Where a secret is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// AWS Secrets Manager; `whole` if no key of a JSON document is given.
    SecretsManager {
        /// Whether the whole secret is passed: the JSON document, if it is one.
        whole: bool,
    },
    /// The Parameter Store of Systems Manager.
    ParameterStore,
}

impl Store {
    /// Parses the reference in the service's configuration: an ARN, or the name of a parameter.
    ///
    /// `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:KEY[:STAGE[:VERSION]]]`
    pub(crate) fn of(reference: &str) -> Self {
        let parts: Vec<&str> = reference.split(':').collect();
        match parts.get(2) {
            Some(&"secretsmanager") => Self::SecretsManager { whole: parts.get(7).is_none_or(|key| key.is_empty()) },
            _ => Self::ParameterStore,
        }
    }

    /// Its name; never the ARN, which contains the account number.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SecretsManager { .. } => "Secrets Manager",
            Self::ParameterStore => "the SSM Parameter Store",
        }
    }
}

/// What is known about a variable's value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Its value.
    Plain(String),
    /// Where it is stored.
    Secret(Store),
}

/// A variable of the service.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: Value,
    /// Its origin.
    pub(crate) from: Origin,
}

impl Variable {
    /// The placeholder for a value that may not be written; `None` if it may.
    pub(crate) fn hidden(&self) -> Option<String> {
        match &self.value {
            Value::Plain(value) => hide::value(&self.name, value),
            Value::Secret(_) => Some(hide::placeholder(&self.name)),
        }
    }
}

/// A proposed condition.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    /// The condition.
    pub(crate) condition: String,
    /// Why.
    pub(crate) why: String,
}

/// The parsed content.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The detected kind of file.
    pub(crate) kind: Kind,
    /// The service's name.
    pub(crate) name: Option<String>,
    /// The image.
    pub(crate) image: Option<Field>,
    /// The port.
    pub(crate) port: Option<Field>,
    /// The start command.
    pub(crate) start_command: Option<Field>,
    /// CPU.
    pub(crate) cpu: Option<Field>,
    /// Memory.
    pub(crate) memory: Option<Field>,
    /// DEFAULT or VPC.
    pub(crate) egress: Option<Field>,
    /// Whether there is an instance role, if the file says.
    pub(crate) role: Option<bool>,
    /// Whether there are IPv6 addresses, too, if the file says.
    pub(crate) dual_stack: Option<bool>,
    /// The service's ARN.
    pub(crate) arn: Option<String>,
    /// Its status, such as CREATE_FAILED.
    pub(crate) status: Option<String>,
    /// When the service was last changed, as `aws` prints it.
    pub(crate) updated: Option<String>,
    /// Whether the file has a map of variables, and one of secrets: `update-service` replaces each as a whole.
    pub(crate) maps: [bool; 2],
    /// Keys of `health_check` and their values.
    pub(crate) health: Vec<(&'static str, Field)>,
    /// Variables in order.
    pub(crate) env: Vec<Variable>,
    /// Proposed conditions.
    pub(crate) proposals: Vec<Proposal>,
    /// What the file does not say, and what readers should know.
    pub(crate) notes: Vec<String>,
    /// Errors in the file.
    pub(crate) problems: Vec<Problem>,
    /// The lines of the file that may be shown next to an error; the others are empty.
    pub(crate) shown: String,
}

impl Draft {
    /// An empty draft.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            image: None,
            port: None,
            start_command: None,
            cpu: None,
            memory: None,
            egress: None,
            role: None,
            dual_stack: None,
            arn: None,
            status: None,
            updated: None,
            maps: [false; 2],
            health: Vec::new(),
            env: Vec::new(),
            proposals: Vec::new(),
            notes: Vec::new(),
            problems: Vec::new(),
            shown: String::new(),
        }
    }

    /// Adds a variable; a duplicate is an error.
    pub(crate) fn add(&mut self, variable: Variable, problems: &mut Vec<Problem>) {
        // An invalid name may be part of a secret: the error does not contain it.
        let named = variable_name(&variable.name).is_ok();
        if named && self.env.iter().any(|v| v.name == variable.name) {
            problems.push(variable.from.problem(&format!("duplicate variable `{}`", variable.name)));
        } else if matches!(&variable.value, Value::Plain(value) if value.contains('\0')) {
            problems.push(
                variable.from.problem("its value contains a NUL character, which an environment variable cannot"),
            );
        } else {
            self.env.push(variable);
        }
    }

    /// Proposes a condition.
    pub(crate) fn propose(&mut self, condition: impl Into<String>, why: impl Into<String>) {
        self.proposals.push(Proposal { condition: condition.into(), why: why.into() });
    }

    /// Stores the problems, and adds what follows from variables and the start command, regardless of their origin.
    pub(crate) fn finish(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        let whole: Vec<String> = self
            .env
            .iter()
            .filter(|v| matches!(v.value, Value::Secret(Store::SecretsManager { whole: true })))
            .filter(|v| variable_name(&v.name).is_ok())
            .map(|v| v.name.clone())
            .collect();
        for name in whole {
            let why = "the secret is taken whole: where it is stored as a JSON document, that document arrives";
            self.propose(format!("env.json:{name}"), why);
        }
        let Some(command) = self.start_command.as_ref().filter(|c| !c.text.trim().is_empty()) else { return self };
        if command.text.contains(['"', '\'', '&', '|', ';', '$', '<', '>', '*', '`', '\\']) {
            let why = "App Runner splits the start command at white space; no shell reads its quotes and operators";
            self.propose("command.split", why);
        }
        if self.kind == Kind::Describe && self.image.is_some() {
            let why = "whether ENTRYPOINT is kept before the start command is not documented; without one it changes \
                       nothing";
            self.propose("command.no-entrypoint", why);
            self.notes.push(
                "The image's ENTRYPOINT: App Runner does not document whether it is kept before a start command. Here \
                 it is; `command.no-entrypoint` runs without it."
                    .to_owned(),
            );
            self.notes.push(
                "Whether the start command is still meant: update-service keeps one that it is not given, so it may \
                 be left from an earlier version of the service."
                    .to_owned(),
            );
        }
        self
    }

    /// Names of variables whose values are stored elsewhere.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        self.env.iter().filter(|v| matches!(v.value, Value::Secret(_))).map(|v| v.name.as_str()).collect()
    }

    /// What the file does not say, if the draft is used directly as a service.
    pub(crate) fn details_of_service(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        let proposed: Vec<String> = self.proposals.iter().map(|p| format!("--with {}", p.condition)).collect();
        if !proposed.is_empty() {
            notes.push(format!("Nothing of this is imposed by itself; to try it: {}", proposed.join(", ")));
        }
        notes
    }
}
