//! The endpoint of credentials (169.254.170.2): `metadata.*`.

use std::time::Duration;

use super::{Argument, Changes, Condition, Family, Kind, Wait, shorter};
use crate::model::platform::Platform;
use crate::model::units::show_duration;

/// How the endpoint of credentials fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MetadataFault {
    /// It is not there, and nothing names it: the service has no instance role.
    None,
    /// It refuses.
    Denied,
    /// It answers this much later.
    Slow(Duration),
}

static NONE: Kind =
    Kind::new("metadata.none", Argument::None, "there are no credentials: the service has no instance role", |_| {
        Ok(Condition::Metadata(MetadataFault::None))
    });
static DENIED: Kind = Kind::new("metadata.denied", Argument::None, "the credentials endpoint refuses", |_| {
    Ok(Condition::Metadata(MetadataFault::Denied))
});
static SLOW: Kind =
    Kind::new("metadata.slow", Argument::Required("5s"), "the credentials endpoint answers this much later", |w| {
        Ok(Condition::Metadata(MetadataFault::Slow(w.time()?)))
    });
pub(super) const KINDS: &[&Kind] = &[&NONE, &DENIED, &SLOW];

impl Family for MetadataFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::None => &NONE,
            Self::Denied => &DENIED,
            Self::Slow(_) => &SLOW,
        }
    }

    fn argument(&self) -> String {
        if let Self::Slow(length) = self { format!(":{}", show_duration(*length)) } else { String::new() }
    }

    fn slot(&self) -> Option<String> {
        Some("the metadata".to_owned())
    }

    fn words(&self) -> String {
        match self {
            Self::None => "there are no credentials".to_owned(),
            Self::Denied => "credentials are refused".to_owned(),
            Self::Slow(length) => format!("credentials come {} late", show_duration(*length)),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        changes.network.metadata = Some(*self);
        changes.container.no_role = *self == Self::None;
    }

    fn wait(&self) -> Wait {
        if let Self::Slow(length) = self { Wait::For(*length) } else { Wait::Nothing }
    }

    fn milder(&self, _: &Platform) -> Vec<Condition> {
        let Self::Slow(length) = self else { return Vec::new() };
        shorter(*length, |length| Condition::Metadata(Self::Slow(length)))
    }
}
