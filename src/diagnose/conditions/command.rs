//! `command.*`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, NAMED, Undone, if_fits, nothing_excludes_it};
use crate::model::condition::CommandFault;
use crate::model::deployment::{Applies, Ground, Revision};

impl Knowledge for CommandFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        let Some((shell, platform)) = &run.words else { return Some("there is no start command".to_owned()) };
        match self {
            Self::Split => (shell == platform).then(|| "a shell reads the start command in the same words".to_owned()),
            Self::NoEntrypoint => run.facts.entrypoint.is_empty().then(|| "the image has no ENTRYPOINT".to_owned()),
        }
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        // Only a program that was passed the word prints it.
        let split = failure.has_cause(&["start-command-split"]) || failure.says(&["&&"]);
        if split && *self == Self::Split {
            return NAMED;
        }
        if_fits(failure.says(&["unrecognized argument", "&&", "not found", "no such file", "unexpected"]))
    }

    fn standing(&self, revision: &Revision) -> Ground {
        let Some(fact) = &revision.start_command else { return nothing_excludes_it() };
        match (fact.value, self) {
            (false, _) => Ground::of(fact, Applies::RuledOut, "the service has no start command"),
            (true, Self::Split) => {
                Ground::of(fact, Applies::InForce, "the platform splits the start command at spaces")
            }
            (true, Self::NoEntrypoint) => {
                Ground::new(Applies::Possible, "whether ENTRYPOINT is kept before a start command is not documented")
            }
        }
    }

    fn undone(&self) -> Undone {
        match self {
            Self::Split => Undone::setting("a shell reads the start command"),
            Self::NoEntrypoint => Undone::proof("ENTRYPOINT is kept"),
        }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Split => Meaning {
                id: "start-command-split",
                text: "The start command needs a shell, and the platform has none: it is split at white space, quotes stay \
                       in the words, and `&&` and variables reach the program as they are written."
                    .to_owned(),
                fix: "Put the commands into a script in the image and start that, or leave the service's start command out \
                      so that the Dockerfile's CMD counts.",
                told_by: &["missing-program"],
            },
            Self::NoEntrypoint => Meaning {
                id: "entrypoint-left-out",
                text: "The image's ENTRYPOINT does something that the program needs, and with a start command of the \
                       service it may not run."
                    .to_owned(),
                fix: "Begin the start command with the entry point's script, or do that work in the program.",
                told_by: &["missing-program"],
            },
        }
    }
}
