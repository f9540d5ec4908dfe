//! A session: the name under which everything that one invocation creates can be found and removed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::RunError;
use crate::engine::context::hex;
use crate::engine::{OWNER_LABEL, ROLE_LABEL, SESSION_LABEL};

/// A session and the lock that says that its process lives.
#[derive(Debug)]
pub struct Session {
    /// Twelve hexadecimal digits.
    pub name: String,
    /// Who may sweep it: this machine and user.
    pub owner: String,
    lock_path: PathBuf,
    // The system frees the lock when the process ends, however it ends.
    _lock: File,
}

/// The folder of this user's state: `$XDG_STATE_HOME/exitone` or `~/.local/state/exitone`.
#[must_use]
pub fn state_dir() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("exitone")
}

/// This machine and user, as twelve hexadecimal digits.
fn owner() -> String {
    let machine = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostname"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default();
    digest(&format!("{}\n{}", machine.trim(), std::env::home_dir().unwrap_or_default().display()))
}

fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..12].to_owned()
}

impl Session {
    /// Begins a session: its lock is taken before anything is created under its name.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn begin(state: &Path) -> Result<Self, RunError> {
        let folder = state.join("sessions");
        std::fs::create_dir_all(&folder).map_err(|e| RunError::host(format!("creating {}", folder.display()), e))?;
        let now = jiff::Timestamp::now().as_nanosecond();
        let name = digest(&format!("{now} {}", std::process::id()));
        let lock_path = folder.join(format!("{name}.lock"));
        let wrong = |e: std::io::Error| RunError::host(format!("locking {}", lock_path.display()), e);
        let lock = File::create_new(&lock_path).map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        Ok(Self { name, owner: owner(), lock_path, _lock: lock })
    }

    /// The labels of something that is created for `role`.
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

/// True when the process of a session of this user lives: somebody holds its lock.
#[must_use]
pub fn lives(state: &Path, session: &str) -> bool {
    let plain = session.len() == 12 && session.bytes().all(|b| b.is_ascii_hexdigit());
    let path = state.join("sessions").join(format!("{session}.lock"));
    let Some(file) = plain.then(|| File::open(&path).ok()).flatten() else { return false };
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
    fn a_session_lives_as_long_as_its_lock() {
        let state = tempfile::tempdir().expect("a temporary folder");
        let session = Session::begin(state.path()).expect("begun");
        let name = session.name.clone();
        assert!(lives(state.path(), &name));
        assert!(!lives(state.path(), "000000000000"));
        assert!(!lives(state.path(), "../../etc/pw"));
        assert_eq!(session.labels("candidate")[SESSION_LABEL], name);
        drop(session);
        assert!(!lives(state.path(), &name));
    }
}
