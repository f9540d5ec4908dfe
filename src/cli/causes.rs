//! `exitone causes`: lists, searches and explains the catalogue, and checks a user's own entries.

use std::path::PathBuf;

use super::console::print;
use super::failure::Failure;
use super::own::{Own, checked};
use crate::catalogue::{Entry, catalogue};
use crate::model::condition::nearest;
use crate::report::causes::{explained, list};
use crate::report::view::plural;
use crate::scenario::apprunner;

/// What `exitone causes --help` says.
pub(crate) const ABOUT: &str = "List, search or explain the known causes of failures

Without WORD, lists every cause. With the id of one, explains it: what it looks like in a log, what to do, and what it is \
not to be confused with. With any other word, lists the causes that mention it.

Entries of your own, in the format of the built-in ones, are read from .exitone/causes.yaml and from `--causes FILE` of \
`run`, `why`, `bisect` and `explain`. They come before the built-in ones.";

/// Arguments of `causes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of a cause, or a word to search for
    #[arg(value_name = "WORD")]
    word: Option<String>,
    /// Check a file of entries: each must fire on its own logs, and not on its near misses
    #[arg(long, value_name = "FILE", conflicts_with = "word")]
    check: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// A file with mistakes; an unknown word.
pub(crate) fn execute(args: &Args) -> Result<u8, Failure> {
    if let Some(path) = &args.check {
        let located = checked(path)?.map_err(|refused| Failure::file(refused.to_string()))?;
        let logs: usize = located.iter().map(|one| one.entry.fires.len() + one.entry.near.len()).sum();
        let entries = if located.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", located.len()) };
        print(&format!("{}: {entries}, {} checked\n", path.display(), plural(logs, "log")))?;
        return Ok(0);
    }
    Own::default().install()?;
    let platform = apprunner().platform;
    let all = catalogue().entries();
    let firsts: Vec<&Entry> = all.iter().filter(|entry| catalogue().get(&entry.id) == Some(*entry)).collect();
    let Some(word) = &args.word else {
        return print(&list(&firsts, &platform)).map(|()| 0);
    };
    if let Some(entry) = catalogue().get(word) {
        let variants: Vec<&Entry> = all.iter().filter(|other| other.id == entry.id).skip(1).collect();
        return print(&explained(entry, &variants, &platform)).map(|()| 0);
    }
    let found: Vec<&Entry> = firsts.iter().copied().filter(|entry| mentions(entry, word)).collect();
    if found.is_empty() {
        let near = nearest(word, firsts.iter().map(|entry| entry.id.as_str()));
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let failure = Failure::usage(format!("no cause mentions `{word}`"));
        return Err(match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        });
    }
    print(&list(&found, &platform)).map(|()| 0)
}

fn mentions(entry: &Entry, word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let logs = entry.fires.iter();
    let texts = [&entry.id, &entry.field, &entry.cause, &entry.fix].into_iter().chain(logs);
    texts.into_iter().any(|text| text.to_ascii_lowercase().contains(&word))
}
