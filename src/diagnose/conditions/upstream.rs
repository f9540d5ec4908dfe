//! `upstream.*`.

use super::super::run::Seen;
use super::egress::goes_to;
use super::{Failure, Knowledge, Meaning, NAMED, Start, Undone, if_fits, nothing_excludes_it};
use crate::model::condition::{Target, Upstream, UpstreamFault};
use crate::model::deployment::{Ground, Revision};
use crate::model::observation::{Fate, MOST_KEPT};

const DATABASE: &[&str] =
    &["database-unreachable", "database-credentials", "outbound-call-at-startup", "never-listened", "migration-failed"];

impl Knowledge for Upstream {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        if run.evidence.connects.len() >= MOST_KEPT {
            return None;
        }
        let target = Target::Host(self.host.clone());
        let tried = run.evidence.outbound().any(|c| {
            let reached =
                matches!(self.fault, UpstreamFault::Down | UpstreamFault::Refused) || c.fate == Fate::Answered;
            reached && goes_to(c, &target)
        });
        (!tried).then(|| format!("no connection to {} was made", self.host))
    }

    fn is_touched(&self, run: &Seen<'_>) -> bool {
        self.not_exercised(run).is_none()
    }

    fn is_needed_to_start(&self, start: &Start<'_>) -> bool {
        start.early.iter().any(|attempt| attempt.name.as_deref() == Some(self.host.as_str()))
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        if failure.says(&[self.host.as_str()]) {
            return NAMED;
        }
        let connects = &failure.run.evidence.connects;
        if_fits(connects.iter().any(|c| c.name.as_deref() == Some(self.host.as_str())))
    }

    fn standing(&self, _: &Revision) -> Ground {
        nothing_excludes_it()
    }

    fn undone(&self) -> Undone {
        Undone::proof(format!("{} answers", self.host))
    }

    fn meaning(&self) -> Meaning {
        let (id, what) = match self.fault {
            UpstreamFault::Down => ("upstream-needed", "does not answer".to_owned()),
            UpstreamFault::Refused => ("upstream-needed", "refuses the connection".to_owned()),
            UpstreamFault::Slow(length) => ("upstream-slow", format!("takes {} s to answer", length.as_secs_f64())),
            UpstreamFault::Denied => ("upstream-credentials", "refuses the credentials".to_owned()),
        };
        let host = &self.host;
        Meaning {
            id,
            text: format!("The program needs {host} to start: it fails when {host} {what}."),
            fix: "Let the program start without it and connect with retries; there, look at the security groups, the \
                  subnets and the secret.",
            told_by: DATABASE,
        }
    }
}
