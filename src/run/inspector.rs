//! Reads the files of a session's images: once for each image, in parallel with its first case.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::inspect::inspect;
use super::session::Session;
use super::spec;
use crate::engine::Engine;
use crate::engine::context::hex;
use crate::model::files::ImageFiles;
use crate::model::{Candidate, Case, Condition, Plan, Service};

/// An image, the words of its command, and whether every file is read.
type Key = (String, Vec<String>, bool);

/// The cache's folder in the state folder.
pub(crate) const FOLDER: &str = "images";
/// Version of the cache's format. Only the version of exitone that wrote an entry reads it.
const FORMAT: &str = concat!("2 ", env!("CARGO_PKG_VERSION"));
/// Maximum number of cached images.
const MOST_CACHED: usize = 512;

/// A cached image, whose id is a digest of its content. Reading every file takes seconds, and reading some keeps the engine
/// busy while the first case starts.
#[derive(Serialize, Deserialize)]
struct Cached {
    format: String,
    /// A digest of the command, whose words may contain a secret.
    command: String,
    /// The names of variables that were searched for.
    wanted: BTreeSet<String>,
    files: ImageFiles,
}

/// Reads images. Every answer is kept for the session, and cached for those to come.
pub struct Inspector {
    engine: Arc<dyn Engine>,
    session: Arc<Session>,
    folder: PathBuf,
    /// Whether every file of an image may be read.
    whole: bool,
    known: Mutex<HashMap<Key, Arc<OnceCell<Option<ImageFiles>>>>>,
    /// The names of variables to search for.
    names: Mutex<BTreeSet<String>>,
}

impl Inspector {
    /// An inspector that has read nothing. `whole`: whether to read every file when a case depends on the content.
    #[must_use]
    pub(crate) fn new(engine: Arc<dyn Engine>, session: Arc<Session>, state: &Path, whole: bool) -> Self {
        Self { engine, session, folder: state.join(FOLDER), whole, known: Mutex::default(), names: Mutex::default() }
    }

    /// Adds the names of variables that the plan's cases depend on, so that one read of an image serves all its cases.
    pub(crate) fn expect(&self, plan: &Plan) {
        let searched = plan.searches.iter().flat_map(|search| &search.conditions);
        let named = plan
            .cases
            .iter()
            .flat_map(|case| case.conditions.iter())
            .chain(searched)
            .filter_map(Condition::variable)
            .map(|env| env.name.clone());
        self.names.lock().unwrap_or_else(PoisonError::into_inner).extend(named);
    }

    /// The files of a case's image; `None` when they could not be read, which does not fail the case.
    pub(crate) async fn files(&self, service: &Service, candidate: &Candidate, case: &Case) -> Option<ImageFiles> {
        let facts = &candidate.facts;
        let words = words(service, candidate, case);
        let asked: BTreeSet<String> = variables(case).collect();
        let deep = self.whole && (!asked.is_empty() || case.conditions.iter().any(Condition::is_of_image));
        let wanted = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if !asked.is_subset(&names) {
                names.extend(asked);
                // Earlier reads did not search for these.
                self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, _, deep), _| !deep);
            }
            names.clone()
        };
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.entry((facts.id.0.clone(), words.clone(), deep)).or_default().clone()
        };
        let labels = self.session.labels("inspected");
        let read = async || {
            let path = self.path(&facts.id.0, deep);
            if let Some(files) = cached(&path, &words, &wanted, deep) {
                return Some(files);
            }
            match inspect(self.engine.as_ref(), labels, facts, &words, &wanted, deep).await {
                Ok(files) => {
                    self.store(&path, &words, &wanted, &files);
                    Some(files)
                }
                Err(error) => {
                    tracing::debug!(%error, image = facts.reference, "cannot read the files of an image");
                    None
                }
            }
        };
        cell.get_or_init(read).await.clone()
    }
}

impl Inspector {
    /// Where an image is cached; a full read has a file of its own.
    fn path(&self, image: &str, deep: bool) -> PathBuf {
        let name: String = image.chars().filter(char::is_ascii_alphanumeric).collect();
        let read = if deep { "all" } else { "some" };
        self.folder.join(format!("{name}-{read}.json"))
    }

    /// Caches what was read. A folder that is not writable only costs time.
    fn store(&self, path: &Path, words: &[String], wanted: &BTreeSet<String>, files: &ImageFiles) {
        let cached =
            Cached { format: FORMAT.to_owned(), command: digest(words), wanted: wanted.clone(), files: files.clone() };
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let mut others: Vec<_> = std::fs::read_dir(&self.folder)?.flatten().collect();
            if others.len() >= MOST_CACHED {
                others.sort_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
                std::fs::remove_file(others[0].path())?;
            }
            std::fs::write(path, serde_json::to_vec(&cached)?)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "cannot cache the files of an image");
        }
    }
}

fn cached(path: &Path, words: &[String], wanted: &BTreeSet<String>, deep: bool) -> Option<ImageFiles> {
    let cached: Cached = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let covers = !deep || wanted.is_subset(&cached.wanted);
    (cached.format == FORMAT && cached.command == digest(words) && covers).then_some(cached.files)
}

fn digest(words: &[String]) -> String {
    hex(&Sha256::digest(words.join("\0").as_bytes()))
}

/// The variables that a case changes.
fn variables(case: &Case) -> impl Iterator<Item = String> {
    case.conditions.iter().filter_map(Condition::variable).map(|env| env.name.clone())
}

/// ENTRYPOINT and CMD of a case as one list.
fn words(service: &Service, candidate: &Candidate, case: &Case) -> Vec<String> {
    let (entrypoint, cmd) = spec::command(&candidate.facts, service, &case.conditions);
    let entrypoint = entrypoint.map_or_else(|| (candidate.facts.entrypoint.clone(), cmd), |e| (e, Some(Vec::new())));
    let (mut words, cmd) = entrypoint;
    words.extend(cmd.unwrap_or_else(|| candidate.facts.cmd.clone()));
    words
}
