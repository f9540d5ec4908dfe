//! `dns.*`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, NAMED, NETWORK, Start, Undone, if_fits, nothing_excludes_it};
use crate::catalogue::fix_of;
use crate::model::condition::{Dns, DnsFault};
use crate::model::deployment::{Ground, Revision};
use crate::model::observation::{DnsQuestion, MOST_KEPT};

impl Dns {
    fn is_about(&self, question: &DnsQuestion) -> bool {
        self.name.as_ref().is_none_or(|name| question.name == name.as_str())
    }
}

impl Knowledge for Dns {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        if run.evidence.dns.len() >= MOST_KEPT {
            return None;
        }
        let Some(first) = run.evidence.questions().find(|q| self.is_about(q)) else {
            return Some(match &self.name {
                Some(name) => format!("the name {name} was not asked for"),
                None => "no name was asked for".to_owned(),
            });
        };
        let silent = run.evidence.questions().filter(|q| self.is_about(q)).any(|q| q.answer == "no answer");
        let late = matches!(self.fault, DnsFault::Late(_)) && !silent;
        late.then(|| format!("the first question came at {:.1} s, after that", first.at_ms / 1000.0))
    }

    fn ruled_out(&self, clean: &Seen<'_>) -> Option<String> {
        let asked = clean.evidence.questions().any(|q| self.is_about(q));
        let what = self.name.as_ref().map_or_else(|| "no name".to_owned(), |name| format!("the name {name} not"));
        (!asked && clean.evidence.dns.len() < MOST_KEPT).then(|| format!("{what} was asked for in a clean start"))
    }

    fn is_touched(&self, run: &Seen<'_>) -> bool {
        self.not_exercised(run).is_none()
    }

    fn is_needed_to_start(&self, start: &Start<'_>) -> bool {
        match self.fault {
            DnsFault::Servfail | DnsFault::Nxdomain | DnsFault::Drop | DnsFault::Truncated => start.asked,
            DnsFault::Delay(_) | DnsFault::Late(_) => false,
        }
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        let asked = failure.run.evidence.questions().any(DnsQuestion::failed);
        if asked && failure.has_cause(&NETWORK) {
            return NAMED;
        }
        if_fits(asked || (matches!(self.fault, DnsFault::Delay(_)) && !failure.run.evidence.dns.is_empty()))
    }

    fn standing(&self, _: &Revision) -> Ground {
        nothing_excludes_it()
    }

    fn undone(&self) -> Undone {
        Undone::proof("names are resolved at once")
    }

    fn meaning(&self) -> Meaning {
        let needed = |id, text: &str| Meaning {
            id,
            text: format!("The program needs a name to be resolved to start: it fails when {text}."),
            fix: fix_of("name-not-resolved"),
            told_by: &["name-not-resolved"],
        };
        match self.fault {
            DnsFault::Servfail => needed("name-not-resolved", "the resolver says SERVFAIL"),
            DnsFault::Nxdomain => needed("name-not-resolved", "a name that it asks for does not exist"),
            DnsFault::Drop => needed("name-not-resolved", "the resolver does not answer"),
            DnsFault::Truncated => Meaning {
                id: "dns-over-tcp",
                text: "The program needs DNS over TCP to start: it fails when answers are too large for UDP and TCP port 53 \
                       is closed."
                    .to_owned(),
                fix: "Admit port 53 for TCP as well as for UDP in security groups, network ACLs and firewalls. Some \
                      resolvers never ask again over TCP (musl before 1.2.4, so Alpine before 3.18): use a newer base \
                      image, or give the name fewer records.",
                told_by: &[],
            },
            DnsFault::Delay(length) => {
                needed("slow-resolver", &format!("the resolver takes {} s to answer", length.as_secs_f64()))
            }
            DnsFault::Late(length) => {
                needed("network-not-ready", &format!("the resolver answers only after {} s", length.as_secs_f64()))
            }
        }
    }
}
