//! The user's own entries of the catalogue of causes.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::catalogue::read::{Located, read};
use crate::catalogue::{Catalogue, Entry, catalogue, embedded, extend};
use crate::diagnose::samples::{Sample, wrong};
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::{apprunner, service, text};

/// The file of a project's own entries, below the working directory.
const OWN: &str = ".exitone/causes.yaml";

/// A file of entries of the user's own.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct Own {
    /// File of your own causes; may be repeated
    #[arg(long, value_name = "FILE")]
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
                Ok(located) => entries.extend(located.into_iter().flat_map(of)),
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

/// The entry and its variants.
fn of(located: Located) -> impl Iterator<Item = Entry> {
    std::iter::once(located.entry).chain(located.variants)
}

/// Reads a file of entries and holds them against their logs.
///
/// # Errors
/// The file cannot be read. Inside: every mistake in it.
pub(crate) fn checked(path: &Path) -> Result<Result<Vec<Located>, Refused>, Failure> {
    let name = path.display().to_string();
    let text = text::read(path).map_err(|message| Failure::file(format!("{name}: {message}")))?;
    let field = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let located = match read(&name, &text, &field) {
        Ok(located) => located,
        Err(refused) => return Ok(Err(refused)),
    };
    let built_in = embedded();
    let mut problems = Vec::new();
    let own = located.iter().flat_map(|one| std::iter::once(&one.entry).chain(&one.variants)).cloned();
    let catalogue = Catalogue::new(own.chain(built_in.iter().cloned()).collect());
    let service = service::defaults(&apprunner());
    for one in &located {
        if built_in.iter().any(|known| known.id == one.entry.id) {
            problems.push(Problem::of(one.place, format!("duplicate id `{}`: a built-in cause has it", one.entry.id)));
        }
        for (sample, message) in wrong(&catalogue, &one.entry, &service) {
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
