//! Answers that the sandbox made up: whether the failure of a baseline depends on them.

use super::Inquiry;
use crate::diagnose::signature::{Signature, signature};
use crate::diagnose::stand_ins::{made_up_answer, may_depend_on_servers};
use crate::model::observation::{Reply, StandIn};
use crate::model::outcome::Need;
use crate::model::{Condition, ConditionSet, Verdict};

/// Most servers whose answers are changed.
const MOST_SERVERS: usize = 8;

impl Inquiry<'_, '_> {
    /// The servers whose made-up answers a failed baseline may depend on.
    pub(super) fn made_up_servers(&self) -> Vec<StandIn> {
        let Some(failed) = self.memory.failure(&ConditionSet::baseline()) else { return Vec::new() };
        if !failed.outcome.as_ref().is_some_and(|of| may_depend_on_servers(of, &failed.evidence, &failed.causes)) {
            return Vec::new();
        }
        let is_made_up = |server: &&StandIn| server.reply == Reply::Http && server.name.is_some();
        failed.evidence.stand_ins.iter().filter(is_made_up).take(MOST_SERVERS).cloned().collect()
    }

    /// The servers whose made-up answers a failed baseline depends on: when all of them refuse it, it fails in another
    /// way, or not at all. This takes one run.
    pub(super) async fn made_up_answers(&mut self) -> Vec<Need> {
        let baseline = ConditionSet::baseline();
        let servers = self.made_up_servers();
        let refuses = |server: &StandIn| format!("upstream.denied:{}", server.name.as_deref()?).parse().ok();
        let Ok(refused) = ConditionSet::new(servers.iter().filter_map(refuses).collect::<Vec<Condition>>()) else {
            return Vec::new();
        };
        if refused.is_empty() || self.is_over() {
            return Vec::new();
        }
        if self.memory.last_answer(&refused).is_none() && !self.is_running(&refused) {
            self.report_activity("changing the answers that are made up");
            self.start(refused.clone());
        }
        while self.is_running(&refused) && !self.is_over() {
            self.next_result().await;
        }
        let of = |set: &ConditionSet| -> Vec<Option<Signature>> {
            let decided = self.memory.results().iter().filter(|r| r.verdict != Verdict::Unresolved);
            decided.filter(|r| r.conditions == *set).map(|r| signature(r)).collect()
        };
        let (before, after) = (of(&baseline), of(&refused));
        // A failure that varies by itself tells nothing.
        let varies = before.iter().any(|one| *one != before[0]);
        if varies || after.is_empty() || after.iter().any(|one| *one == before[0]) {
            return Vec::new();
        }
        servers.iter().map(made_up_answer).collect()
    }
}
