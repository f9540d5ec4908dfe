//! The socket of an engine on another machine, forwarded by one `ssh` process for all connections: a server drops sessions
//! beyond its limits (sshd_config(5), MaxStartups, MaxSessions).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::super::{EngineError, EngineResult};

/// The engine's socket if the address does not name one.
const SOCKET: &str = "/var/run/docker.sock";
/// Prefix of the folders in the temporary folder, each with a socket and a lock.
const PREFIX: &str = "exitone-ssh-";
const LOCK: &str = "lock";
/// Runs on the other machine: says that the forwarding works, and ends with its standard input, that is, with this process.
const REMOTE: &str = "echo ready; exec cat >/dev/null";

/// A forwarding; it ends with this process, however that ends.
#[derive(Debug)]
pub(super) struct Forwarding {
    ssh: Child,
    folder: TempDir,
    // Held for as long as this process lives: the next one removes a folder without a holder of its lock.
    _lock: File,
}

impl Forwarding {
    /// Starts a forwarding, and waits until it works. `address`: `ssh://[USER@]HOST[:PORT][/SOCKET]`.
    ///
    /// # Errors
    /// [`EngineError::Address`] for another address, [`EngineError::NoEngine`] with what `ssh` says.
    pub(super) fn open(address: &str) -> EngineResult<Self> {
        let no_engine = |cause: String| EngineError::NoEngine { host: address.to_owned(), cause };
        let parts = Parts::of(address)?;
        sweep(&std::env::temp_dir());
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().map_err(|e| no_engine(e.to_string()))?;
        let lock = locked(folder.path()).map_err(|e| no_engine(e.to_string()))?;
        let mut command = Command::new("ssh");
        command.args(["-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes"]);
        command.arg("-L").arg(format!("{}:{}", socket(folder.path()).display(), parts.socket));
        command.args(parts.port.iter().flat_map(|port| ["-p", port]));
        command.args(["--", parts.host, REMOTE]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C must not end it before the session is cleaned up.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut ssh = command.spawn().map_err(|e| no_engine(format!("starting ssh: {e}")))?;
        let mut said = String::new();
        let stdout = ssh.stdout.take().ok_or_else(|| no_engine("ssh has no output".to_owned()))?;
        let read = BufReader::new(stdout).read_line(&mut said);
        if read.is_err() || said.trim() != "ready" {
            let mut why = String::new();
            if let Some(mut stderr) = ssh.stderr.take() {
                let _ = stderr.read_to_string(&mut why);
            }
            let _ = ssh.kill().and_then(|()| ssh.wait());
            return Err(no_engine(why.trim().lines().last().unwrap_or("ssh ended").to_owned()));
        }
        Ok(Self { ssh, folder, _lock: lock })
    }

    /// The local socket.
    pub(super) fn socket(&self) -> PathBuf {
        socket(self.folder.path())
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.ssh.kill().and_then(|()| self.ssh.wait());
        // The watchdog's may be the last one.
        sweep(&std::env::temp_dir());
    }
}

/// The lock of a folder, which is held before it has its name.
fn locked(folder: &Path) -> std::io::Result<File> {
    let draft = folder.join("draft");
    let lock = File::create(&draft)?;
    lock.lock()?;
    std::fs::rename(draft, folder.join(LOCK))?;
    Ok(lock)
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("engine.sock")
}

/// Removes the folders of processes that were killed.
fn sweep(all: &Path) {
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let Ok(lock) = File::open(entry.path().join(LOCK)) else { continue };
        if is_ours && lock.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The parts of an address.
#[derive(Debug, PartialEq, Eq)]
struct Parts<'a> {
    /// `user@host`, as ssh takes it.
    host: &'a str,
    port: Option<&'a str>,
    socket: &'a str,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> EngineResult<Self> {
        let wrong =
            || EngineError::Address { problem: format!("{address}: expected ssh://[USER@]HOST[:PORT][/SOCKET]") };
        let rest = address.strip_prefix("ssh://").ok_or_else(wrong)?;
        let at = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(']') || !port.contains(']') => (host, Some(port)),
            _ => (host, None),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok();
        if host.is_empty() || host.starts_with('-') || port.is_some_and(|port| !is_port(port)) {
            return Err(wrong());
        }
        Ok(Self { host, port, socket: if path.len() > 1 { path } else { SOCKET } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_parts() {
        for (address, host, port, socket) in [
            ("ssh://build.example", "build.example", None, SOCKET),
            ("ssh://me@build.example:2222", "me@build.example", Some("2222"), SOCKET),
            ("ssh://me@build.example/", "me@build.example", None, SOCKET),
            (
                "ssh://core@h:22/run/user/1000/podman/podman.sock",
                "core@h",
                Some("22"),
                "/run/user/1000/podman/podman.sock",
            ),
        ] {
            assert_eq!(Parts::of(address), Ok(Parts { host, port, socket }), "{address}");
        }
        for address in ["ssh://", "ssh://-oProxyCommand=x", "ssh://host:many", "tcp://host"] {
            assert!(Parts::of(address).is_err(), "{address}");
        }
    }

    #[test]
    fn folders_of_killed_processes_are_removed() {
        let all = tempfile::tempdir().expect("a folder");
        let folder = |name: &str| {
            let folder = all.path().join(format!("{PREFIX}{name}"));
            std::fs::create_dir(&folder).expect("made");
            locked(&folder).expect("locked")
        };
        drop(folder("dead"));
        let _lives = folder("alive");
        sweep(all.path());
        let left: Vec<_> = std::fs::read_dir(all.path()).expect("listed").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["exitone-ssh-alive"]);
    }
}
