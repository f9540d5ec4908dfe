//! One row for each kind of condition: its name, its argument, and how the argument is read.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::{Condition, Host};
use crate::model::units::{parse_duration, show_duration};

/// Whether a condition takes an argument, and an example of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Argument {
    /// It takes none.
    None,
    /// It may be left out.
    Optional(&'static str),
    /// It must be there.
    Required(&'static str),
}

/// What `*` stands for where a platform's battery names a kind for all of something: `env.unset:*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Each {
    /// The kind has no such form.
    Nothing,
    /// Every variable of the service.
    Variable,
    /// Every variable that is a secret.
    Secret,
    /// Every host among the upstreams.
    Host,
    /// The CPU of the instance.
    Cpu,
    /// The memory of the instance.
    Memory,
}

/// A row of the table of conditions.
pub struct Kind {
    /// `kind.variant`.
    pub name: &'static str,
    /// Its argument.
    pub argument: Argument,
    /// One line for a list.
    pub about: &'static str,
    /// True when `@NAME` confines it to one name.
    pub takes_name: bool,
    /// What `*` as its argument stands for.
    pub each: Each,
    read: Read,
}

/// Makes a condition of what was written, or says in a sentence what is wrong with it.
type Read = fn(Written<'_>) -> Result<Condition, String>;

impl Kind {
    pub(super) const fn new(name: &'static str, argument: Argument, about: &'static str, read: Read) -> Self {
        Self { name, argument, about, takes_name: false, each: Each::Nothing, read }
    }

    pub(super) const fn for_each(self, each: Each) -> Self {
        Self { each, ..self }
    }

    pub(super) const fn with_name(self) -> Self {
        Self { takes_name: true, ..self }
    }

    /// How it is written, with an example of its argument.
    #[must_use]
    pub fn example(&self) -> String {
        match self.argument {
            Argument::Required(example) => format!("{}:{example}", self.name),
            Argument::Optional(_) | Argument::None => self.name.to_owned(),
        }
    }

    /// Reads what follows the name: `argument` after the colon, `name` after the `@`.
    pub(super) fn read(&self, argument: Option<&str>, name: Option<&str>) -> Result<Condition, String> {
        match (self.argument, argument) {
            (Argument::None, Some(_)) => return Err("takes no argument".to_owned()),
            (Argument::Required(example), None | Some("")) | (Argument::Optional(example), Some("")) => {
                return Err(format!("needs an argument: `{}:{example}`", self.name));
            }
            _ => {}
        }
        let name = name.map(Host::from_str).transpose()?;
        if let Some(address) = name.as_ref().filter(|name| name.address().is_some()) {
            return Err(format!("`{address}` is an address; nobody asks a resolver for it"));
        }
        (self.read)(Written { argument: argument.unwrap_or_default(), name })
    }
}

/// Rows are the same when their names are.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What was written after a condition's name.
pub(super) struct Written<'a> {
    /// After the colon; empty where there is no argument.
    pub(crate) argument: &'a str,
    /// After the `@`.
    pub(crate) name: Option<Host>,
}

impl<'a> Written<'a> {
    /// A length of time up to ten minutes.
    pub(crate) fn time(&self) -> Result<Duration, String> {
        time(self.argument)
    }

    /// The argument, read as what it stands for.
    pub(crate) fn parse<T: FromStr<Err = String>>(&self) -> Result<T, String> {
        self.argument.parse()
    }

    /// The two parts around the first `=`; `form` says what was expected.
    pub(crate) fn pair(&self, form: &str) -> Result<(&'a str, &'a str), String> {
        self.argument.split_once('=').ok_or_else(|| format!("needs {form}"))
    }
}

/// A length of time that a condition may have.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    within(parse_duration(text)?, Duration::from_millis(1)..=Duration::from_secs(600), show_duration)
}

/// The value, when it is in the range.
pub(super) fn within<T: PartialOrd + Copy>(
    value: T,
    range: RangeInclusive<T>,
    show: impl Fn(T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("{}: must be between {} and {}", show(value), show(*range.start()), show(*range.end())))
}
