//! What an image's files show before it runs: what would be executed, and what the program may ask for.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What was read from the files of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageFiles {
    /// The program of the effective command's first word.
    pub(crate) program: Program,
    /// The first shared objects and programs for another processor.
    pub(crate) native: Vec<ForeignFile>,
    /// Their total number.
    pub(crate) native_count: usize,
    /// Whether every file was checked for `native`.
    pub(crate) native_checked: bool,
    /// A file with certificate authorities: a bundle, a Java keystore, or a runtime with its own.
    pub(crate) ca_bundle: Option<String>,
    /// Names of variables that occur in a file.
    pub(crate) mentions: BTreeSet<String>,
    /// Whether every file was searched for the names.
    pub(crate) scanned: bool,
    /// The first packed files (`.jar`, `.zip`, self-extracting programs): names inside are not visible.
    pub(crate) packed: Vec<String>,
    /// Existing directories that programs write to, including WORKDIR.
    pub(crate) folders: Vec<String>,
}

impl ImageFiles {
    /// Whether no file can name the variable. A program that composes the name (a prefix and a field's name) is not
    /// recognised.
    #[must_use]
    pub(crate) fn never_mentions(&self, name: &str) -> bool {
        self.scanned && self.packed.is_empty() && !self.mentions.contains(name)
    }
}

/// A file for another processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForeignFile {
    /// Its path.
    pub(crate) path: String,
    /// The machine it is built for.
    pub(crate) machine: Machine,
}

/// A file that the kernel is asked to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Program {
    /// A program for some processor.
    Elf {
        /// Its path after following links.
        path: String,
        /// The machine it is built for.
        machine: Machine,
        /// Its loader (PT_INTERP); `None` for a static program.
        interpreter: Option<String>,
        /// Whether the loader exists, if one is named.
        interpreter_found: bool,
        /// What it executes in turn, if that is its purpose (`env`, `tini`, `sh -c`).
        next: Option<Box<Program>>,
    },
    /// Text.
    Script {
        /// Its path after following links.
        path: String,
        /// Its first line, shortened.
        first_line: String,
        /// The interpreter in its `#!` line, as written.
        interpreter: Option<String>,
        /// The rest of that line, which the kernel passes as one word.
        argument: Option<String>,
        /// Whether that line ends with a carriage return.
        crlf: bool,
        /// The interpreter; `None` if there is none, or the carriage return spoils its name.
        next: Option<Box<Program>>,
    },
    /// Something that Linux cannot execute: a program for another system, or not a program.
    Alien {
        /// Its path.
        path: String,
        /// Its apparent format.
        format: String,
    },
    /// A file without the permission to execute it.
    NotExecutable {
        /// Its path.
        path: String,
    },
    /// The file does not exist.
    Missing {
        /// The word as written; empty if there is no command.
        word: String,
    },
    /// A directory.
    Directory {
        /// Its path.
        path: String,
    },
    /// It could not be read.
    Unknown {
        /// Its path.
        path: String,
    },
}

impl Default for Program {
    fn default() -> Self {
        Self::Unknown { path: String::new() }
    }
}

/// The machine an ELF file is built for: the fields of its header (<https://gabi.xinuos.com/elf/02-eheader.html>).
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
    /// App Runner's processor.
    #[cfg(test)]
    pub(crate) const AMD64: Self = Self { number: 62, bits: 64 };
    /// The processor of containers on an Apple laptop.
    #[cfg(test)]
    pub(crate) const ARM64: Self = Self { number: 183, bits: 64 };

    /// Whether it is of this architecture, as images name it.
    #[must_use]
    pub(crate) fn is(self, architecture: &str) -> bool {
        self.bits == 64 && PROCESSORS.contains(&(self.number, architecture))
    }

    /// Whether an x86-64 kernel cannot execute it at all. Programs for 32-bit x86 may run; code for graphics cards and
    /// for the kernel's own virtual machine is not a program.
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
        assert!(Machine::AMD64.is("amd64") && !Machine::ARM64.is("amd64"));
        assert!(Machine::ARM64.is("arm64"));
        assert!(!Machine { bits: 32, ..Machine::AMD64 }.is("amd64"));
    }

    #[test]
    fn only_a_complete_search_rules_out_a_name() {
        let mentions = BTreeSet::from(["PORT".to_owned()]);
        let files = ImageFiles { mentions, scanned: true, ..ImageFiles::default() };
        assert!(files.never_mentions("STRIPE_KEY") && !files.never_mentions("PORT"));
        let packed = ImageFiles { packed: vec!["/app.jar".to_owned()], ..files.clone() };
        assert!(!packed.never_mentions("STRIPE_KEY"));
        assert!(!ImageFiles { scanned: false, ..files }.never_mentions("STRIPE_KEY"));
    }
}
