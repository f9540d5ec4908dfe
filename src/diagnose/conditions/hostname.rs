//! `hostname.*`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone, nothing_excludes_it};
use crate::catalogue::fix_of;
use crate::model::condition::HostnameFault;
use crate::model::deployment::{Ground, Revision};
use crate::model::observation::Listening;

impl Knowledge for HostnameFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        let own = |l: &Listening| !l.address.is_unspecified() && !l.address.is_loopback();
        let bound = run.evidence.listens.iter().any(own);
        (run.healthy && !bound)
            .then(|| "the program did not bind its host name (a silent attempt would be invisible)".to_owned())
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        cannot_bind(failure)
    }

    fn standing(&self, _: &Revision) -> Ground {
        nothing_excludes_it()
    }

    fn undone(&self) -> Undone {
        Undone::proof("the host name resolves to the container's own address")
    }

    fn meaning(&self) -> Meaning {
        Meaning {
            id: "bind-host-name",
            text: "The program listens on the address that its host name resolves to, which on the platform is not an \
                   address of the container."
                .to_owned(),
            fix: fix_of("bind-host-name"),
            told_by: &["bound-to-host-name"],
        }
    }
}

/// An address that could not be bound: the host name's, or an IPv6 one.
pub(super) fn cannot_bind(failure: &Failure<'_>) -> f64 {
    let says = failure.says(&["EADDRNOTAVAIL", "annot assign requested"]);
    failure.suspicion(&["bind-host-name", "bound-to-host-name"], says)
}
