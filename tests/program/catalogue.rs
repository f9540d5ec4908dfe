//! The catalogue of causes: every entry against its own logs and against all others.

use std::collections::BTreeSet;
use std::path::Path;

use exitone::catalogue::{Basis, Catalogue, Entry, FIELDS, Rank, catalogue, embedded, entries};
use exitone::diagnose::samples::{causes_of, wrong};
use exitone::scenario::{apprunner, service};

/// The entries as the files have them now: a change needs no new build.
fn of_files() -> Vec<Entry> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue");
    let of_file = |field: &&str| {
        let text = std::fs::read_to_string(folder.join(format!("{field}.yaml"))).expect("a file");
        entries(field, &text)
    };
    let (mut all, mut refused) = (Vec::new(), Vec::new());
    for file in FIELDS.iter().map(of_file) {
        match file {
            Ok(entries) => all.extend(entries),
            Err(problems) => refused.push(problems.to_string()),
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    all
}

#[test]
fn program_has_the_entries_of_the_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(files, FIELDS.iter().map(ToString::to_string).collect());
    let (embedded, of_files) = (embedded(), of_files());
    assert_eq!(embedded.len(), of_files.len());
    for (embedded, of_file) in embedded.iter().zip(&of_files) {
        assert_eq!(embedded, of_file);
    }
}

#[test]
fn every_log_fires_its_own_entry_and_no_near_miss_does() {
    let service = service::defaults(&apprunner());
    let catalogue = Catalogue::new(of_files());
    let mut all = Vec::new();
    for entry in catalogue.entries() {
        all.extend(
            wrong(&catalogue, entry, &service)
                .into_iter()
                .map(|(sample, message)| format!("{}/{} {sample:?}: {message}", entry.field, entry.id)),
        );
    }
    assert!(all.is_empty(), "{} logs:\n{}", all.len(), all.join("\n"));
}

#[test]
fn every_entry_has_a_source_and_whole_sentences() {
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    let mut known: Vec<Entry> = Vec::new();
    for entry in of_files() {
        // A variant follows its entry.
        let is_variant = known.last().is_some_and(|before| before.id == entry.id);
        if !is_variant && !ids.insert(entry.id.clone()) {
            wrong.push(format!("{}: duplicate id", entry.id));
        }
        let whole = |text: &str| text.trim_end().ends_with(['.', ']', '}', ')', '`']);
        let texts = [&entry.cause, &entry.fix];
        if !entry.harmless && texts.iter().any(|text| !whole(text)) {
            wrong.push(format!("{}: not a whole sentence: {} | {}", entry.id, entry.cause, entry.fix));
        }
        let pages = [&entry.reference, &entry.source];
        if pages.iter().all(|page| !page.starts_with("https://")) {
            wrong.push(format!("{}: no source that was read", entry.id));
        }
        if entry.field != "program" && entry.basis == Basis::Log && !entry.source.starts_with("http") {
            wrong.push(format!("{}: no report that has its lines", entry.id));
        }
        if entry.rank <= Rank::Specific && !entry.harmless && entry.basis == Basis::Log && entry.near.is_empty() {
            wrong.push(format!("{}: no near miss", entry.id));
        }
        known.push(entry);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The pairs of entries that one log fires: the winner, and the other.
pub(crate) fn competing() -> BTreeSet<(String, String)> {
    let service = service::defaults(&apprunner());
    let mut pairs = BTreeSet::new();
    for entry in catalogue().entries() {
        for log in &entry.fires {
            for cause in causes_of(catalogue(), entry, log, &service).into_iter().take(1) {
                pairs.extend(cause.also.iter().map(|other| (cause.id.clone(), other.clone())));
            }
        }
    }
    pairs
}
