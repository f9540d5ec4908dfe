//! The last crash that a log tells of: which language, which error, and where in the application's own code. Pure.
//!
//! Every language writes its own form; each has a file here. A log may hold several crashes: the one that was written
//! last is the one that ended the process.

mod dotnet;
mod go;
mod java;
mod node;
mod php;
mod python;
mod ruby;
mod rust;

/// Who wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    /// CPython.
    Python,
    /// Node.js.
    Node,
    /// The JVM, whatever was compiled for it.
    Java,
    /// Ruby.
    Ruby,
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// .NET.
    DotNet,
    /// PHP.
    Php,
}

/// A place in a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// The file as it was written there.
    pub(crate) file: String,
    /// The line in it; from 1 on.
    pub(crate) line: u32,
    /// The function; `<module>` for the body of a Python module. Empty where it was not said.
    pub(crate) function: String,
    /// The line's text, where it was written.
    pub(crate) source: String,
}

/// A crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Crash {
    /// Who wrote it.
    pub(crate) language: Language,
    /// The error's class: `KeyError`, `java.net.ConnectException`, `panic`.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) message: String,
    /// The line of the log that names it.
    pub(crate) headline: String,
    /// The deepest place in the application's own code.
    pub(crate) own: Option<Frame>,
    /// True when that was reached while a module was loaded, before the program served anything.
    pub(crate) importing: bool,
    /// The number of its first line in the log, from 0 on: that of the first error in a chain.
    pub(crate) begins: usize,
    /// The number of its last line in the log.
    pub(crate) ends: usize,
}

impl Crash {
    /// `KeyError: 'X'`, as rules read it.
    #[must_use]
    pub(crate) fn said(&self) -> String {
        match (self.kind.is_empty(), self.message.is_empty()) {
            (false, false) => format!("{}: {}", self.kind, self.message),
            (false, true) => self.kind.clone(),
            (true, _) => self.message.clone(),
        }
    }
}

/// Reads the last crash of one language.
type Reader = fn(&[&str]) -> Option<Crash>;

/// The last crash of a log; nothing where there is none in a form that is known.
#[must_use]
pub(crate) fn crash(log: &str) -> Option<Crash> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let readers: [Reader; 8] =
        [python::read, node::read, java::read, ruby::read, go::read, rust::read, dotnet::read, php::read];
    readers.iter().filter_map(|read| read(&lines)).max_by_key(|crash| crash.ends)
}

/// `Kind: message` taken apart; a kind is a dotted name.
fn parted(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let (kind, message) = text.split_once(':').unwrap_or((text, ""));
    let named = !kind.is_empty()
        && kind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && kind.chars().all(|c| c.is_alphanumeric() || "._$\\".contains(c));
    named.then(|| (kind.to_owned(), message.trim().to_owned()))
}

/// `FILE:LINE` at the end of a text, a column behind it left out when `column` says that there is one.
fn place(text: &str, column: bool) -> Option<(String, u32)> {
    let text = if column { text.rsplit_once(':')?.0 } else { text };
    let (file, line) = text.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

#[cfg(test)]
mod tests;
