//! Remembers in the state folder which engines passed their proof. A proof is valid for one engine with its current
//! setup and for one exitone executable; otherwise it is made again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::context::Ineffective;
use crate::engine::EngineInfo;
use crate::engine::context::hex;

/// The folder in the state folder.
pub(crate) const FOLDER: &str = "proven";
/// Number of engines remembered.
const MOST_KEPT: usize = 64;

/// A passed proof, as stored.
#[derive(Serialize, Deserialize)]
struct Record {
    /// What the proof is valid for, in full: the file's name is only a digest, and files may be copied.
    key: String,
    /// Whether CPU and memory are measured and the figures are the candidate's own.
    usage: bool,
    /// What the engine was not shown to impose.
    ineffective: Ineffective,
}

/// The stored proof of one engine.
pub(crate) struct Proven {
    path: PathBuf,
    key: String,
}

impl Proven {
    /// The stored proof of this engine in a state folder. `image`: the holder's image, whose tag is a digest of the
    /// exitone executable.
    #[must_use]
    pub(crate) fn of(state: &Path, info: &EngineInfo, image: &str) -> Self {
        let EngineInfo { name, version, api, id, platform, kernel, parts, .. } = info;
        let tool = concat!("exitone ", env!("CARGO_PKG_VERSION"));
        let lines = [tool, image, name, version, api, id, platform, kernel].into_iter();
        let key = lines.chain(parts.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
        let path = state.join(FOLDER).join(format!("{}.json", hex(&Sha256::digest(key.as_bytes()))));
        Self { path, key }
    }

    /// Whether CPU and memory are measured on this engine, and what it was not shown to impose; `None` when there is no
    /// valid proof, also when its file cannot be read or parsed.
    #[must_use]
    pub(crate) fn read(&self) -> Option<(bool, Ineffective)> {
        let record: Record = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        (record.key == self.key).then_some((record.usage, record.ineffective))
    }

    /// Stores a passed proof. If the folder is not writable, each session costs about a second more.
    pub(crate) fn remember(&self, usage: bool, ineffective: &Ineffective) {
        if let Err(error) = self.write(usage, ineffective) {
            tracing::debug!(%error, "cannot store the proof of this engine");
        }
    }

    fn write(&self, usage: bool, ineffective: &Ineffective) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut others: Vec<_> = std::fs::read_dir(folder)?.flatten().collect();
        if others.len() >= MOST_KEPT {
            others.sort_by_key(|entry| entry.metadata().and_then(|m| m.modified()).ok());
            std::fs::remove_file(others[0].path())?;
        }
        let record = Record { key: self.key.clone(), usage, ineffective: ineffective.clone() };
        // A concurrent reader sees either the old file or the new one.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, &record)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::engine::fake::FakeEngine;

    #[tokio::test]
    async fn proof_is_valid_until_engine_or_executable_changes() {
        let state = tempfile::tempdir().expect("a folder");
        let info = FakeEngine::new(true).info().await.expect("an engine");
        let of = |info: &EngineInfo, image: &str| Proven::of(state.path(), info, image);
        let proven = of(&info, "exitone/holder:1");
        assert_eq!(proven.read(), None);
        proven.remember(true, &Ineffective::new());
        assert_eq!(of(&info, "exitone/holder:1").read(), Some((true, Ineffective::new())));
        let ignored = Ineffective::from([("memory.limit".to_owned(), "healthy".to_owned())]);
        proven.remember(false, &ignored);
        assert_eq!(proven.read(), Some((false, ignored)), "the last proof counts");
        assert_eq!(of(&info, "exitone/holder:2").read(), None, "another executable");
        let changes: [fn(&mut EngineInfo); 6] = [
            |info| info.id.push('x'),
            |info| info.version.push('x'),
            |info| info.name.push('x'),
            |info| info.kernel.push('x'),
            |info| info.platform.push('x'),
            |info| info.parts.push("storage=vfs".to_owned()),
        ];
        for change in changes {
            let mut other = info.clone();
            change(&mut other);
            assert_eq!(of(&other, "exitone/holder:1").read(), None);
        }
        for text in ["", "{", "{\"usage\":true}", "{\"key\":\"another engine\",\"usage\":true}"] {
            std::fs::write(&proven.path, text).expect("written");
            assert_eq!(proven.read(), None, "{text}");
        }
        std::fs::remove_file(&proven.path).expect("removed");
        std::fs::create_dir(&proven.path).expect("a folder in its place");
        proven.remember(true, &Ineffective::new());
        assert_eq!(proven.read(), None, "not writable, which is not an error");
    }

    #[tokio::test]
    async fn oldest_proofs_are_dropped() {
        let state = tempfile::tempdir().expect("a folder");
        let info = FakeEngine::new(true).info().await.expect("an engine");
        for n in 0..MOST_KEPT + 3 {
            Proven::of(state.path(), &info, &n.to_string()).remember(true, &Ineffective::new());
        }
        let kept = std::fs::read_dir(state.path().join(FOLDER)).expect("a folder").count();
        assert_eq!(kept, MOST_KEPT);
        assert_eq!(
            Proven::of(state.path(), &info, &(MOST_KEPT + 2).to_string()).read(),
            Some((true, Ineffective::new()))
        );
    }
}
