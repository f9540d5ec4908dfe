//! Where the program may write: `disk.full`, `rootfs.readonly`.

use super::{Argument, ByHand, Changes, Condition, Family, Kind};

/// How the file system fails.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FileFault {
    /// No space is left where the process may write.
    DiskFull,
    /// The container's root file system is read-only. Volumes stay writable, those that the image declares included
    /// (ECS: `readonlyRootFilesystem`,
    /// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>; Kubernetes:
    /// `securityContext.readOnlyRootFilesystem`).
    ReadOnlyRoot,
}

static DISK_FULL: Kind = Kind::new("disk.full", Argument::None, "no space is left on the disk", |_| {
    Ok(Condition::Files(FileFault::DiskFull))
});
static READ_ONLY_ROOT: Kind =
    Kind::new("rootfs.readonly", Argument::None, "the root file system is read-only; volumes are not", |_| {
        Ok(Condition::Files(FileFault::ReadOnlyRoot))
    });
pub(super) const KINDS: &[&Kind] = &[&DISK_FULL, &READ_ONLY_ROOT];

impl Family for FileFault {
    fn kind(&self) -> &'static Kind {
        match self {
            Self::DiskFull => &DISK_FULL,
            Self::ReadOnlyRoot => &READ_ONLY_ROOT,
        }
    }

    fn slot(&self) -> Option<String> {
        Some("where the program may write".to_owned())
    }

    fn words(&self) -> String {
        match self {
            Self::DiskFull => "the disk is full".to_owned(),
            Self::ReadOnlyRoot => "the root file system is read-only".to_owned(),
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
            Self::ReadOnlyRoot => container.read_only = true,
        }
    }

    fn by_hand(&self) -> ByHand {
        match self {
            Self::DiskFull => ByHand::Options {
                options: "--read-only --tmpfs /tmp:nr_inodes=1 --tmpfs /var/tmp:nr_inodes=1".to_owned(),
                remark: "\n# The folders of temporary files hold not one file (ENOSPC). Any other folder is read-only (EROFS, \
                         where\n# a full disk would say ENOSPC).",
            },
            Self::ReadOnlyRoot => ByHand::Options { options: "--read-only".to_owned(), remark: "" },
        }
    }
}
