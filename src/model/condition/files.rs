//! Where the program may write: `disk.full`.

use super::family::{ByHand, Changes, Family};
use super::{Argument, Condition, Kind};

/// How the file system fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileFault {
    /// No space is left where the process may write.
    DiskFull,
}

static DISK_FULL: Kind = Kind::new("disk.full", Argument::None, "no space is left on the disk", |_| {
    Ok(Condition::Files(FileFault::DiskFull))
});
pub(super) const KINDS: &[&Kind] = &[&DISK_FULL];

impl Family for FileFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::DiskFull => &DISK_FULL,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::DiskFull => "the disk is full".to_owned(),
        }
    }

    fn impose(&self, changes: &mut Changes) {
        let container = &mut changes.container;
        match self {
            Self::DiskFull => {
                container.full_disk = true;
                // What no full volume covers must not take anything either.
                container.read_only = true;
            }
        }
    }

    fn by_hand(&self) -> ByHand {
        match self {
            Self::DiskFull => ByHand::Options {
                options: "--read-only --tmpfs /tmp:nr_inodes=1 --tmpfs /var/tmp:nr_inodes=1".to_owned(),
                remark: "\n# The folders of temporary files hold not one file (ENOSPC). Any other folder is read-only (EROFS, \
                         where\n# a full disk would say ENOSPC).",
            },
        }
    }
}
