//! `disk.full`, `rootfs.readonly`.

use super::super::run::Seen;
use super::{Failure, Knowledge, Meaning, Undone, nothing_excludes_it, unseen};
use crate::model::condition::FileFault;
use crate::model::deployment::{Ground, Revision};

/// How the C library and most runtimes report that a program cannot write.
const NO_SPACE: [&str; 2] = ["o space left", "ENOSPC"];
const READ_ONLY: [&str; 2] = ["ead-only file system", "EROFS"];

impl Knowledge for FileFault {
    fn not_exercised(&self, run: &Seen<'_>) -> Option<String> {
        match self {
            Self::DiskFull if run.evidence.full_disk_writes > 0 => None,
            Self::DiskFull => unseen(run, &[NO_SPACE, READ_ONLY].concat(), "something was written"),
            // Nobody counts refused writes: the kernel refuses them before any file system is asked.
            Self::ReadOnlyRoot => unseen(run, &READ_ONLY, "it wrote to the root file system"),
        }
    }

    /// It does not show in a run that could write.
    fn ruled_out(&self, _: &Seen<'_>) -> Option<String> {
        None
    }

    fn suspicion(&self, failure: &Failure<'_>) -> f64 {
        match self {
            Self::DiskFull => {
                failure.suspicion(&["disk-full", "read-only-files"], failure.says(&[NO_SPACE, READ_ONLY].concat()))
            }
            Self::ReadOnlyRoot => failure.suspicion(&["read-only-files"], failure.says(&READ_ONLY)),
        }
    }

    fn standing(&self, _: &Revision) -> Ground {
        nothing_excludes_it()
    }

    fn undone(&self) -> Undone {
        Undone::proof("files can be written")
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::DiskFull => Meaning {
                id: "disk-full",
                text:
                    "The program writes to the disk when it starts, and fails when that is full: an instance has 3 GB, \
                       the image included."
                        .to_owned(),
                fix: "Write less when the program starts, or make the image smaller.",
                told_by: &["read-only-files", "missing-file", "file-permission"],
            },
            Self::ReadOnlyRoot => Meaning {
                id: "read-only-files",
                text: "The program writes to the container's root file system when it starts, and fails when that is \
                       read-only."
                    .to_owned(),
                fix: "Mount a volume on the folder that it writes to (on /tmp a tmpfs will do), or write nothing at \
                      startup, including logs; otherwise keep the root file system writable.",
                told_by: &["missing-file", "file-permission"],
            },
        }
    }
}
