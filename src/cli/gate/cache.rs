//! The gate's cache: verdicts, built images, durations. An unreadable file counts as missing.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::context::hex;

/// The directory, inside the state directory.
pub(crate) const FOLDER: &str = "gate";
/// The file with the salt.
const SALT: &str = "salt";
/// Entries unused for this many days are removed.
const KEPT_DAYS: u64 = 60;

/// The gate's cache directory.
pub(crate) struct Cache {
    folder: PathBuf,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Entry<T> {
    /// Seconds since the epoch.
    at: i64,
    what: T,
}

impl Cache {
    /// Opens the directory; creates it and its salt if missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(state: &Path) -> std::io::Result<Self> {
        let folder = state.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        }
        let salt = salt(&folder)?;
        Ok(Self { folder, salt })
    }

    /// A key for these parts; without the salt nobody can guess the parts.
    pub(crate) fn key<S: AsRef<str>>(&self, parts: impl IntoIterator<Item = S>) -> String {
        let mut digest = Sha256::new();
        digest.update(self.salt.as_bytes());
        for part in parts {
            // Including its length, so that two lists of parts never collide.
            digest.update((part.as_ref().len() as u64).to_be_bytes());
            digest.update(part.as_ref().as_bytes());
        }
        hex(&digest.finalize())[..40].to_owned()
    }

    fn path(&self, kind: &str, key: &str) -> PathBuf {
        self.folder.join(format!("{kind}-{key}.json"))
    }

    /// An entry and its age in seconds, unless it is older than `most`.
    pub(crate) fn read<T: DeserializeOwned>(&self, kind: &str, key: &str, most: Duration) -> Option<(T, u64)> {
        let bytes = std::fs::read(self.path(kind, key)).ok()?;
        let kept: Entry<T> = serde_json::from_slice(&bytes).ok()?;
        let age = age(kept.at, Timestamp::now().as_second())?;
        (Duration::from_secs(age) < most).then_some((kept.what, age))
    }

    /// Stores an entry; an unwritable directory only costs time.
    pub(crate) fn write<T: Serialize>(&self, kind: &str, key: &str, what: &T) {
        let kept = Entry { at: Timestamp::now().as_second(), what };
        let written = serde_json::to_vec(&kept).map_err(Into::into).and_then(|bytes| {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&bytes)?;
            file.persist(self.path(kind, key)).map(drop).map_err(|e| e.error)
        });
        if let Err(error) = written {
            tracing::warn!(%error, folder = %self.folder.display(), "cannot write the gate's cache");
        }
    }

    /// Removes an entry.
    pub(crate) fn remove(&self, kind: &str, key: &str) {
        let _ = std::fs::remove_file(self.path(kind, key));
    }

    /// All entries of a kind with their keys, newest first.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<(String, T)> {
        let start = format!("{kind}-");
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let keys = names.filter_map(|name| Some(name.strip_prefix(&start)?.strip_suffix(".json")?.to_owned()));
        let mut all: Vec<(i64, String, T)> = keys
            .filter_map(|key| {
                let kept: Entry<T> = serde_json::from_slice(&std::fs::read(self.path(kind, &key)).ok()?).ok()?;
                Some((kept.at, key, kept.what))
            })
            .collect();
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.into_iter().map(|(_, key, what)| (key, what)).collect()
    }

    /// Removes entries that are too old.
    pub(crate) fn sweep(&self) {
        let oldest = Duration::from_secs(KEPT_DAYS * 24 * 3600);
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if entry.file_name() != SALT && age.is_some_and(|age| age > oldest) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Seconds from then to now; `None` if then is in the future, because a clock was wrong.
fn age(then: i64, now: i64) -> Option<u64> {
    now.checked_sub(then).and_then(|age| u64::try_from(age).ok())
}

/// The salt, created once; only its owner may read it (temporary files are created with that mode).
fn salt(folder: &Path) -> std::io::Result<String> {
    let path = folder.join(SALT);
    let good = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let damaged = match std::fs::read_to_string(&path) {
        Ok(text) if good(&text) => return Ok(text),
        Ok(_) => true,
        Err(e) if e.kind() == std::io::ErrorKind::InvalidData => true,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(e),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(random()?.as_bytes())?;
    if damaged {
        file.persist(&path).map_err(|e| e.error)?;
    } else if let Err(e) = file.persist_noclobber(&path) {
        // Two first starts at the same time: both use the first one's salt.
        if e.error.kind() != std::io::ErrorKind::AlreadyExists {
            return Err(e.error);
        }
    }
    let text = std::fs::read_to_string(&path)?;
    if good(&text) { Ok(text) } else { Err(std::io::Error::other(format!("{}: not a salt", path.display()))) }
}

/// Sixty-four random hexadecimal digits.
fn random() -> std::io::Result<String> {
    use std::io::Read;
    let mut digest = Sha256::new();
    if cfg!(unix) {
        let mut bytes = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        digest.update(bytes);
    }
    // The standard library's randomness is seeded by the system.
    for _ in 0..8 {
        digest.update(RandomState::new().build_hasher().finish().to_be_bytes());
    }
    Ok(hex(&digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn finds_stored_entries_again() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(state.path()).expect("opened");
        let key = cache.key(["a", "b"]);
        assert_eq!(cache.read::<u32>("x", &key, DAY), None);
        cache.write("x", &key, &7_u32);
        let again = Cache::open(state.path()).expect("opened");
        assert_eq!(again.key(["a", "b"]), key, "the salt is kept");
        assert_eq!(again.read::<u32>("x", &key, DAY).map(|(value, _)| value), Some(7));
        assert_eq!(again.read::<u32>("x", &key, Duration::ZERO), None, "everything is too old");
        assert_eq!(again.read::<u32>("y", &key, DAY), None, "another kind");
        assert_eq!(again.all::<u32>("x"), [(key.clone(), 7)]);
        std::fs::write(cache.path("x", &key), "{\"at\":1,").expect("written");
        assert_eq!(again.read::<u32>("x", &key, DAY), None, "a damaged file is as good as none");
        std::fs::write(cache.path("x", &key), format!("{{\"at\":{},\"what\":7}}", i64::MAX)).expect("written");
        assert_eq!(again.read::<u32>("x", &key, DAY), None, "from the future");
        std::fs::write(cache.path("x", &key), "{\"at\":1000000,\"what\":7}").expect("written");
        assert_eq!(again.read::<u32>("x", &key, DAY), None, "too old");
        std::fs::remove_dir_all(state.path().join(FOLDER)).expect("removed");
        assert_ne!(Cache::open(state.path()).expect("opened").key(["a", "b"]), key, "another salt");
    }

    #[test]
    fn keys_distinguish_parts_and_depend_on_the_salt() {
        let state = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(state.path()).expect("opened");
        let keys = [cache.key(["ab", "c"]), cache.key(["a", "bc"]), cache.key(["abc"]), cache.key(["abc", ""])];
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), 40);
            assert!(!keys[..i].contains(key), "{i}");
        }
        let elsewhere = tempfile::tempdir().expect("a folder");
        assert_ne!(Cache::open(elsewhere.path()).expect("opened").key(["abc"]), keys[2]);
    }

    #[cfg(unix)]
    #[test]
    fn salt_is_private_and_replaced_if_damaged() {
        use std::os::unix::fs::PermissionsExt;
        let state = tempfile::tempdir().expect("a folder");
        let first = Cache::open(state.path()).expect("opened").key(["a"]);
        let path = state.path().join(FOLDER).join(SALT);
        let mode = || path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        std::fs::write(&path, [0xff, 0xfe]).expect("written");
        assert_ne!(Cache::open(state.path()).expect("opened").key(["a"]), first);
        assert_eq!(mode(), 0o600);
    }
}
