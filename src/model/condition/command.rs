//! How the platform reads the start command: `command.*`.

use super::{Argument, Changes, Condition, Family, Kind};

/// How the start command is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CommandFault {
    /// It is split at white space, quote characters stay in the words.
    Split,
    /// It takes the place of ENTRYPOINT as well.
    NoEntrypoint,
}

static SPLIT: Kind =
    Kind::new("command.split", Argument::None, "the start command is split at white space; no shell reads it", |_| {
        Ok(Condition::Command(CommandFault::Split))
    });
static NO_ENTRYPOINT: Kind =
    Kind::new("command.no-entrypoint", Argument::None, "the start command replaces ENTRYPOINT too", |_| {
        Ok(Condition::Command(CommandFault::NoEntrypoint))
    });
pub(super) const KINDS: &[&Kind] = &[&SPLIT, &NO_ENTRYPOINT];

impl Family for CommandFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::Split => &SPLIT,
            Self::NoEntrypoint => &NO_ENTRYPOINT,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Split => "no shell reads the start command".to_owned(),
            Self::NoEntrypoint => "the start command replaces ENTRYPOINT".to_owned(),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        match self {
            Self::Split => changes.container.split_command = true,
            Self::NoEntrypoint => changes.container.replace_entrypoint = true,
        }
    }
}
