//! What the files of an image say before anything runs: what would be executed, and what the program may ask for.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What was read from the files of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageFiles {
    /// What the first word of the effective command is.
    pub(crate) program: Program,
    /// Shared objects and programs for another processor: the first of them.
    pub(crate) native: Vec<ForeignFile>,
    /// How many there are in all.
    pub(crate) native_count: usize,
    /// True when every file was looked at for `native`.
    pub(crate) native_checked: bool,
    /// A file that holds certificate authorities: a bundle, a Java keystore, a runtime that carries its own.
    pub(crate) ca_bundle: Option<String>,
    /// Names of variables that occur in some file.
    pub(crate) mentions: BTreeSet<String>,
    /// True when every file was searched for the names.
    pub(crate) scanned: bool,
    /// Packed files (`.jar`, `.zip`, self-extracting programs), the first of them: names inside stay unseen.
    pub(crate) packed: Vec<String>,
    /// Folders that programs write to and that exist, WORKDIR among them.
    pub(crate) folders: Vec<String>,
}

impl ImageFiles {
    /// True when no file can name the variable. A program that puts the name together (a prefix and a field's name) is
    /// not seen.
    #[must_use]
    pub(crate) fn never_mentions(&self, name: &str) -> bool {
        self.scanned && self.packed.is_empty() && !self.mentions.contains(name)
    }
}

/// A file for another processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignFile {
    /// Where it is.
    pub(crate) path: String,
    /// What it is built for.
    pub(crate) machine: Machine,
}

/// What the kernel is given to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Program {
    /// A program for some processor.
    Elf {
        /// Where it is, links followed.
        path: String,
        /// What it is built for.
        machine: Machine,
        /// Its loader (PT_INTERP); nothing: a static program.
        interpreter: Option<String>,
        /// False when the loader is named and missing.
        interpreter_found: bool,
        /// What it executes in its place, where that is its purpose (`env`, `tini`, `sh -c`).
        next: Option<Box<Program>>,
    },
    /// Text.
    Script {
        /// Where it is, links followed.
        path: String,
        /// Its first line, shortened.
        first_line: String,
        /// What its `#!` line names, as it stands there.
        interpreter: Option<String>,
        /// The rest of that line, which the kernel hands over as one word.
        argument: Option<String>,
        /// True when that line ends with a carriage return.
        crlf: bool,
        /// What the interpreter is; nothing without one, or where the carriage return spoils its name.
        next: Option<Box<Program>>,
    },
    /// Something that Linux does not execute: a program of another system, or no program.
    Alien {
        /// Where it is.
        path: String,
        /// What it looks like.
        format: String,
    },
    /// A file without the permission to execute it.
    NotExecutable {
        /// Where it is.
        path: String,
    },
    /// No such file.
    Missing {
        /// The word as it stands; empty: there is no command at all.
        word: String,
    },
    /// A folder.
    Directory {
        /// Where it is.
        path: String,
    },
    /// It could not be read.
    Unknown {
        /// Where it is.
        path: String,
    },
}

impl Default for Program {
    fn default() -> Self {
        Self::Unknown { path: String::new() }
    }
}

/// What an ELF file is built for: the fields of its header
/// (<https://gabi.xinuos.com/elf/02-eheader.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// `e_machine`.
    pub(crate) number: u16,
    /// 32 or 64.
    pub(crate) bits: u8,
}

/// Processors that Linux runs on, by their `e_machine`.
const PROCESSORS: [(u16, &str); 13] = [
    (2, "sparc"),
    (3, "i386"),
    (8, "mips"),
    (18, "sparc32plus"),
    (20, "ppc"),
    (21, "ppc64"),
    (22, "s390x"),
    (40, "arm"),
    (43, "sparc64"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
    (258, "loong64"),
];

impl Machine {
    /// The processor of App Runner.
    pub(crate) const AMD64: Self = Self { number: 62, bits: 64 };
    /// The processor of an Apple laptop's containers.
    #[cfg(test)]
    pub(crate) const ARM64: Self = Self { number: 183, bits: 64 };

    /// True for what App Runner's processors execute in their own mode.
    #[must_use]
    pub(crate) fn is_amd64(self) -> bool {
        self == Self::AMD64
    }

    /// True for a processor that an x86-64 kernel cannot stand in for. Programs for 32-bit x86 may run there; code for
    /// graphics cards and for the kernel's own virtual machine is no program at all.
    #[must_use]
    pub(crate) fn is_foreign(self) -> bool {
        let x86 = self.number == 3 || self.number == 62;
        !x86 && PROCESSORS.iter().any(|(number, _)| *number == self.number)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match PROCESSORS.iter().find(|(number, _)| *number == self.number) {
            Some((62, _)) if self.bits == 32 => f.write_str("x32"),
            Some((_, name)) => f.write_str(name),
            None => write!(f, "machine {}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_have_names() {
        for (number, bits, name, foreign) in [
            (62, 64, "amd64", false),
            (62, 32, "x32", false),
            (3, 32, "i386", false),
            (183, 64, "arm64", true),
            (40, 32, "arm", true),
            (247, 64, "machine 247", false),
        ] {
            let machine = Machine { number, bits };
            assert_eq!((machine.to_string().as_str(), machine.is_foreign()), (name, foreign), "{number}");
        }
        assert!(Machine::AMD64.is_amd64() && !Machine::ARM64.is_amd64());
    }

    #[test]
    fn only_a_whole_search_rules_a_name_out() {
        let mentions = BTreeSet::from(["PORT".to_owned()]);
        let files = ImageFiles { mentions, scanned: true, ..ImageFiles::default() };
        assert!(files.never_mentions("STRIPE_KEY") && !files.never_mentions("PORT"));
        let packed = ImageFiles { packed: vec!["/app.jar".to_owned()], ..files.clone() };
        assert!(!packed.never_mentions("STRIPE_KEY"));
        assert!(!ImageFiles { scanned: false, ..files }.never_mentions("STRIPE_KEY"));
    }
}
