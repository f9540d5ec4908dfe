//! A session: the name by which everything that one invocation creates can be found and removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::RunError;
use crate::engine::context::hex;
use crate::engine::{OWNER_LABEL, ROLE_LABEL, SESSION_LABEL, VolumeMount};
use crate::holder::protocol::SHARED_DIR;

/// A session and the lock that shows that its process runs.
#[derive(Debug)]
pub struct Session {
    /// Twelve hexadecimal digits.
    pub name: String,
    /// The state folder's owner; sessions with the same owner may sweep each other.
    pub owner: String,
    lock_path: PathBuf,
    /// Number of additional volumes created so far.
    created: AtomicU64,
    // The system releases the lock however the process ends.
    _lock: File,
}

/// This user's state folder: `$XDG_STATE_HOME/exitone` or `~/.local/state/exitone`.
#[must_use]
pub(crate) fn state_dir() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("exitone")
}

/// The owner of a state folder; `None` before its first session.
#[must_use]
pub fn known_owner(state: &Path) -> Option<String> {
    std::fs::read_to_string(state.join("owner")).ok().map(|name| name.trim().to_owned()).filter(|name| is_name(name))
}

/// The owner of a state folder, created on first use. It is kept in the folder, next to the locks it belongs to.
fn owner(state: &Path) -> std::io::Result<String> {
    let path = state.join("owner");
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
    // Of two concurrent first starts, the second reads what the first wrote.
    file.lock()?;
    let mut known = String::new();
    file.read_to_string(&mut known)?;
    if is_name(known.trim()) {
        return Ok(known.trim().to_owned());
    }
    let name = new_name();
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(name.as_bytes())?;
    Ok(name)
}

/// Whether a text can be the name of a session or an owner.
#[must_use]
pub(crate) fn is_name(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A new unique name of twelve hexadecimal digits; its randomness is the standard library's, seeded by the system.
fn new_name() -> String {
    let random = RandomState::new().build_hasher().finish();
    let now = jiff::Timestamp::now().as_nanosecond();
    let digest = Sha256::digest(format!("{random} {now} {}", std::process::id()).as_bytes());
    hex(&digest)[..12].to_owned()
}

impl Session {
    /// Begins a session. Its lock is taken before anything is created under its name.
    ///
    /// # Errors
    /// When the state folder is not writable.
    pub fn begin(state: &Path) -> Result<Self, RunError> {
        let folder = state.join("sessions");
        std::fs::create_dir_all(&folder).map_err(|e| RunError::host(format!("creating {}", folder.display()), e))?;
        let owner = owner(state).map_err(|e| RunError::host(format!("naming the owner of {}", state.display()), e))?;
        let name = new_name();
        let lock_path = folder.join(format!("{name}.lock"));
        let wrong = |e: std::io::Error| RunError::host(format!("locking {}", lock_path.display()), e);
        let lock = File::create_new(&lock_path).map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        Ok(Self { name, owner, lock_path, created: AtomicU64::new(0), _lock: lock })
    }

    /// The labels of a container, volume or image created for `role`.
    #[must_use]
    pub fn labels(&self, role: &str) -> BTreeMap<String, String> {
        BTreeMap::from([
            (SESSION_LABEL.to_owned(), self.name.clone()),
            (OWNER_LABEL.to_owned(), self.owner.clone()),
            (ROLE_LABEL.to_owned(), role.to_owned()),
        ])
    }

    /// `exitone.session=NAME`.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("{SESSION_LABEL}={}", self.name)
    }

    /// The session's volume in a container; only holders may write to it.
    #[must_use]
    pub fn shared(&self, holder: bool) -> VolumeMount {
        VolumeMount { name: self.volume(), target: SHARED_DIR.to_owned(), read_only: !holder, copy: false }
    }

    /// A new name for an additional volume.
    #[must_use]
    pub(crate) fn another_volume(&self) -> String {
        format!("{}-{}", self.volume(), self.created.fetch_add(1, Ordering::Relaxed))
    }

    /// The name of the session's volume.
    #[must_use]
    pub fn volume(&self) -> String {
        format!("exitone-{}", self.name)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// Whether the process of a session in this state folder runs, that is, whether its lock is held.
#[must_use]
pub(crate) fn lives(state: &Path, session: &str) -> bool {
    let path = state.join("sessions").join(format!("{session}.lock"));
    let Some(file) = is_name(session).then(|| File::open(&path).ok()).flatten() else { return false };
    match file.try_lock() {
        Ok(()) => {
            let _ = std::fs::remove_file(&path);
            false
        }
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_lives_as_long_as_its_lock() {
        let state = tempfile::tempdir().expect("a temporary folder");
        let session = Session::begin(state.path()).expect("begun");
        let name = session.name.clone();
        assert!(lives(state.path(), &name));
        let other = Session::begin(state.path()).expect("begun");
        assert_eq!(session.owner, other.owner, "one folder, one owner");
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        assert_ne!(Session::begin(elsewhere.path()).expect("begun").owner, other.owner);
        assert!(!lives(state.path(), "000000000000"));
        assert!(!lives(state.path(), "../../etc/pw"));
        assert_eq!(session.labels("candidate")[SESSION_LABEL], name);
        drop(session);
        assert!(!lives(state.path(), &name));
    }
}
