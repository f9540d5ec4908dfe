//! Repairs: `user.root`, `folder.empty`, `check.*`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone};
use crate::model::condition::Repair;
use crate::model::deployment::{Applies, Ground, Revision};

impl Knowledge for Repair {
    fn not_exercised(&self, _: &Seen<'_>) -> Option<String> {
        None
    }

    fn suspicion(&self, _: &Failure<'_>) -> f64 {
        1.0
    }

    fn standing(&self, _: &Revision) -> Ground {
        Ground::new(Applies::RuledOut, "it is a repair, which the sandbox alone has")
    }

    fn undone(&self) -> Undone {
        Undone::proof("nothing is repaired")
    }

    fn meaning(&self) -> Meaning {
        Meaning { id: "repair", text: "A repair was imposed.".to_owned(), fix: "Leave the repair out.", told_by: &[] }
    }
}
