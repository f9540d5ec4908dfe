//! The host name that the platform injects: `hostname.*`.

use super::{Argument, Changes, Condition, Family, Kind};

/// What the injected `HOSTNAME` resolves to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HostnameFault {
    /// An address of the container that the probe does not use.
    Platform,
    /// An address that no interface has.
    Unbindable,
}

static PLATFORM: Kind =
    Kind::new("hostname.platform", Argument::None, "HOSTNAME resolves to an address other than the probed one", |_| {
        Ok(Condition::Hostname(HostnameFault::Platform))
    });
static UNBINDABLE: Kind =
    Kind::new("hostname.unbindable", Argument::None, "HOSTNAME resolves to an address that cannot be bound", |_| {
        Ok(Condition::Hostname(HostnameFault::Unbindable))
    });
pub(super) const KINDS: &[&Kind] = &[&PLATFORM, &UNBINDABLE];

impl Family for HostnameFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::Platform => &PLATFORM,
            Self::Unbindable => &UNBINDABLE,
        }
    }

    fn slot(&self) -> Option<String> {
        Some("the host name".to_owned())
    }

    fn words(&self) -> String {
        match self {
            Self::Platform => "HOSTNAME is not the probed address".to_owned(),
            Self::Unbindable => "HOSTNAME cannot be bound".to_owned(),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        changes.network.hostname = Some(*self);
        changes.container.platform_hostname = true;
    }

    fn is_covered_by(&self, failing: &Condition) -> bool {
        // A process that lives on and one that ends: what is seen of the two has nothing in common.
        matches!(failing, Condition::Hostname(known) if !(*known == Self::Platform && *self == Self::Unbindable))
    }
}
