//! The last crash in a log: language, error, and place in the application's own code. Pure.
//!
//! Each language has its own format and a file here. If a log contains several crashes, the last one ended the process.

mod dotnet;
mod go;
mod java;
mod node;
mod php;
mod python;
mod ruby;
mod rust;

/// The language of a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    /// CPython.
    Python,
    /// Node.js.
    Node,
    /// The JVM, whatever language was compiled for it.
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
    /// The file, as written in the log.
    pub(crate) file: String,
    /// The line in it, from 1.
    pub(crate) line: u32,
    /// The function; `<module>` for the body of a Python module. Empty if unknown.
    pub(crate) function: String,
    /// The line's text, if the log has it.
    pub(crate) source: String,
}

/// A crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Crash {
    /// The language.
    pub(crate) language: Language,
    /// The error's class: `KeyError`, `java.net.ConnectException`, `panic`.
    pub(crate) kind: String,
    /// Its message.
    pub(crate) message: String,
    /// The line of the log with the error.
    pub(crate) headline: String,
    /// The deepest place in the application's own code.
    pub(crate) own: Option<Frame>,
    /// Whether that place was reached while a module was loaded, before the program served anything.
    pub(crate) importing: bool,
    /// Index of its first line in the log: that of the first error in a chain.
    pub(crate) begins: usize,
    /// Index of the first line of the errors that were being handled when this one came.
    pub(crate) handles: Option<usize>,
    /// Index of its last line in the log.
    pub(crate) ends: usize,
}

impl Crash {
    /// `KeyError: 'X'`, as the rules see it.
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

/// The last crash of a log; `None` if there is none in a known format.
#[must_use]
pub(crate) fn crash(log: &str) -> Option<Crash> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let readers: [Reader; 8] =
        [python::read, node::read, java::read, ruby::read, go::read, rust::read, dotnet::read, php::read];
    readers.iter().filter_map(|read| read(&lines)).max_by_key(|crash| crash.ends)
}

/// Splits `Kind: message`; a kind is a dotted name.
fn parted(text: &str) -> Option<(String, String)> {
    let text = text.trim();
    let (kind, message) = text.split_once(':').unwrap_or((text, ""));
    let named = !kind.is_empty()
        && kind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && kind.chars().all(|c| c.is_alphanumeric() || "._$\\".contains(c));
    named.then(|| (kind.to_owned(), message.trim().to_owned()))
}

/// Parses `FILE:LINE` at the end of a text, and drops a column after it if `column` is set.
fn place(text: &str, column: bool) -> Option<(String, u32)> {
    let text = if column { text.rsplit_once(':')?.0 } else { text };
    let (file, line) = text.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

#[cfg(test)]
mod tests;
