//! The user's own entries of the catalogue of causes.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::headings::OUTPUT;
use crate::catalogue::read::{Located, parse};
use crate::catalogue::{Catalogue, catalogue, embedded, extend};
use crate::diagnose::samples::{Sample, wrong};
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::{apprunner, service, text};

/// The file of a project's own entries, below the working directory.
const OWN: &str = ".exitone/causes.yaml";

/// A file of entries of the user's own.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Own {
    /// File of your own causes; may be repeated
    #[arg(long, value_name = "FILE", help_heading = OUTPUT, hide_short_help = true)]
    causes: Vec<PathBuf>,
}

impl Own {
    /// Adds the user's own entries to the catalogue.
    ///
    /// # Errors
    /// Every mistake in the files.
    pub(crate) fn install(&self) -> Result<(), Failure> {
        let of_project = Some(PathBuf::from(OWN)).filter(|path| path.is_file());
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        for path in of_project.iter().chain(&self.causes) {
            match checked(path)? {
                Ok(located) => entries.extend(located.into_iter().flat_map(Located::entries)),
                Err(problems) => refused.push(problems.to_string()),
            }
        }
        if !refused.is_empty() {
            return Err(Failure::file(refused.join("\n")));
        }
        if !entries.is_empty() {
            extend(entries);
        }
        // It is needed when the first failure is known: until then it is read beside other work.
        std::thread::spawn(catalogue);
        Ok(())
    }
}

/// Reads a file of entries and holds them against their logs.
///
/// # Errors
/// The file cannot be read. Inside: every mistake in it.
pub(crate) fn checked(path: &Path) -> Result<Result<Vec<Located>, Refused>, Failure> {
    let name = path.display().to_string();
    let text = text::read(path).map_err(|message| Failure::file(format!("{name}: {message}")))?;
    let field = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (located, mut problems) = match parse(&name, &text, &field) {
        Ok(parsed) => parsed,
        Err(refused) => return Ok(Err(refused)),
    };
    let built_in = embedded();
    let own = located.iter().filter(|one| one.is_whole).cloned().flat_map(Located::entries);
    let catalogue = Catalogue::new(own.chain(built_in.iter().cloned()).collect());
    let service = service::defaults(&apprunner());
    for one in &located {
        if built_in.iter().any(|known| known.id == one.entry.id) {
            problems.push(Problem::of(one.place, format!("duplicate id `{}`: a built-in cause has it", one.entry.id)));
        }
        // An entry with a mistake of its own may well not fire.
        let samples = if one.is_whole { wrong(&catalogue, &one.entry, &service) } else { Vec::new() };
        for (sample, message) in samples {
            let place = match sample {
                Sample::Fires(n) => one.fires.get(n),
                Sample::Near(n) => one.near.get(n),
                Sample::Missing => None,
            };
            problems.push(Problem::of(place.copied().unwrap_or(one.place), message));
        }
    }
    Ok(if problems.is_empty() { Ok(located) } else { Err(Refused::new(&name, &text, problems)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("causes.yaml");
        std::fs::write(&path, text).expect("written");
        match checked(&path).expect("read") {
            Ok(located) => format!("{} entries", located.len()),
            Err(refused) => refused.to_string().replace(&folder.path().display().to_string(), ""),
        }
    }

    #[test]
    fn accepts_entries_whose_logs_are_right() {
        let entry = "- id: flux-out-of-phase\n  seen: [exited, line: 'flux (?P<id>\\w+) is out of phase']\n  cause: The flux \
                     {id} is out of phase.\n  fix: Align it.\n  repair: [env.set:FLUX=1]\n  fires: ['E: flux a7 is out of \
                     phase']\n  near: [{log: 'flux a7 is in phase', means: nothing}]\n";
        assert_eq!(said(entry), "1 entries");
    }

    #[test]
    fn shows_every_mistake_with_its_place() {
        let entries = "- id: invalid\n  seen: [line: 'a(']\n  cause: A.\n  fix: B.\n- id: empty\n  seen: [line: '(?:error)?']\n  \
                       cause: A.\n  fix: B.\n- id: empty\n  seen: [line: 'phase (?P<n>\\d+)|no phase']\n  cause: A {n}.\n  \
                       fix: B.\n  repair: [env.explode]\n- id: missing-variable\n  seen: [line: 'flux is odd', cold]\n  \
                       cause: A.\n  fix: B.\n- id: samples\n  seen: [line: 'the flux is odd']\n  cause: A.\n  fix: B.\n  fires: \
                       ['the flux is even']\n  near: [{log: 'the flux is odd today', means: much}]\n- id: nothing\n  seen: []\n  \
                       cause: A.\n";
        insta::assert_snapshot!(said(entries));
    }
}
