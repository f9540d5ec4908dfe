//! What is in the images of a session: looked at once, beside the first case of each.

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

/// An image, the words of its command, and whether every file was read.
type Key = (String, Vec<String>, bool);

/// The folder of what was read of images, in the state folder.
pub(crate) const FOLDER: &str = "images";
/// What is kept is read by the version that wrote it only.
const FORMAT: &str = concat!("1 ", env!("CARGO_PKG_VERSION"));
/// So many images are kept.
const MOST_KEPT: usize = 256;

/// What was read of an image. Reading every file takes seconds, and the image's name is its content.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: String,
    /// A digest of the command: its words may hold a secret.
    command: String,
    /// The names that were looked for.
    wanted: BTreeSet<String>,
    files: ImageFiles,
}

/// Looks at images; every answer is kept for the session, and what took a reading of every file longer.
pub struct Inspector {
    engine: Arc<dyn Engine>,
    session: Arc<Session>,
    folder: PathBuf,
    /// False: no image is read to its last file.
    whole: bool,
    known: Mutex<HashMap<Key, Arc<OnceCell<Option<ImageFiles>>>>>,
    /// The variables whose names are looked for.
    names: Mutex<BTreeSet<String>>,
}

impl Inspector {
    /// Nothing is looked at yet. `whole`: every file is read where a case asks what its image names.
    #[must_use]
    pub(crate) fn new(engine: Arc<dyn Engine>, session: Arc<Session>, state: &Path, whole: bool) -> Self {
        Self { engine, session, folder: state.join(FOLDER), whole, known: Mutex::default(), names: Mutex::default() }
    }

    /// Names of variables that will be asked about: one reading of an image serves all of its cases.
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

    /// What is in the image of a case; nothing when it could not be looked at, which is no reason to fail a case.
    pub(crate) async fn look(&self, service: &Service, candidate: &Candidate, case: &Case) -> Option<ImageFiles> {
        let facts = &candidate.facts;
        let words = words(service, candidate, case);
        let asked: BTreeSet<String> = variables(case).collect();
        let deep = self.whole && (!asked.is_empty() || case.conditions.iter().any(Condition::is_of_image));
        let wanted = {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            if !asked.is_subset(&names) {
                names.extend(asked);
                // What was read before did not look for these.
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
            if let Some(files) = self.kept(&facts.id.0, &words, &wanted).filter(|_| deep) {
                return Some(files);
            }
            match inspect(self.engine.as_ref(), labels, facts, &words, &wanted, deep).await {
                Ok(files) => {
                    if deep {
                        self.keep(&facts.id.0, &words, &wanted, &files);
                    }
                    Some(files)
                }
                Err(error) => {
                    tracing::debug!(%error, image = facts.reference, "an image could not be looked at");
                    None
                }
            }
        };
        cell.get_or_init(read).await.clone()
    }
}

impl Inspector {
    fn path(&self, image: &str) -> PathBuf {
        let name: String = image.chars().filter(char::is_ascii_alphanumeric).collect();
        self.folder.join(format!("{name}.json"))
    }

    fn kept(&self, image: &str, words: &[String], wanted: &BTreeSet<String>) -> Option<ImageFiles> {
        let kept: Kept = serde_json::from_slice(&std::fs::read(self.path(image)).ok()?).ok()?;
        (kept.format == FORMAT && kept.command == digest(words) && wanted.is_subset(&kept.wanted)).then_some(kept.files)
    }

    /// A folder that cannot be written costs only time.
    fn keep(&self, image: &str, words: &[String], wanted: &BTreeSet<String>, files: &ImageFiles) {
        let kept =
            Kept { format: FORMAT.to_owned(), command: digest(words), wanted: wanted.clone(), files: files.clone() };
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let mut others: Vec<_> = std::fs::read_dir(&self.folder)?.flatten().collect();
            if others.len() >= MOST_KEPT {
                others.sort_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
                std::fs::remove_file(others[0].path())?;
            }
            std::fs::write(self.path(image), serde_json::to_vec(&kept)?)
        });
        if let Err(error) = written {
            tracing::debug!(%error, "what was read of an image is not kept");
        }
    }
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
    let (entrypoint, cmd) = spec::command(service, &case.conditions);
    let entrypoint = entrypoint.map_or_else(|| (candidate.facts.entrypoint.clone(), cmd), |e| (e, Some(Vec::new())));
    let (mut words, cmd) = entrypoint;
    words.extend(cmd.unwrap_or_else(|| candidate.facts.cmd.clone()));
    words
}
