//! Runs git as a child process, never through a shell.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::cli::failure::Failure;

/// Maximum number of names on one command line.
const MOST_REFS: usize = 500;

/// A repository with a working tree.
pub(crate) struct Repo {
    /// The top of the working tree.
    pub(crate) top: PathBuf,
}

async fn git<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> std::io::Result<Output> {
    let mut command = Command::new("git");
    // Never prompt: this may be a hook without a terminal.
    command.args(args).current_dir(folder).env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).kill_on_drop(true);
    command.output().await
}

fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned()
}

impl Repo {
    /// The repository of the current directory.
    ///
    /// # Errors
    /// git is missing, or there is no repository, or it has no working tree.
    pub(crate) async fn find() -> Result<Self, Failure> {
        let output = match git(Path::new("."), &["rev-parse", "--show-toplevel"]).await {
            Ok(output) => output,
            Err(e) => return Err(Failure::usage(format!("git cannot be started: {e}"))),
        };
        let top = line(&output.stdout);
        if !output.status.success() || top.is_empty() {
            let said = line(&output.stderr);
            let said = said.trim_start_matches("fatal: ");
            return Err(Failure::usage(format!("the gate works in a git repository with a working tree: {said}")));
        }
        Ok(Self { top: PathBuf::from(top) })
    }

    /// git's output.
    ///
    /// # Errors
    /// git's error message.
    pub(crate) async fn bytes<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Vec<u8>, String> {
        let output = git(&self.top, args).await.map_err(|e| format!("git: {e}"))?;
        if output.status.success() { Ok(output.stdout) } else { Err(line(&output.stderr)) }
    }

    /// One line of git's output; `None` if it fails.
    pub(crate) async fn line<S: AsRef<OsStr>>(&self, args: &[S]) -> Option<String> {
        self.bytes(args).await.ok().map(|bytes| line(&bytes)).filter(|text| !text.is_empty())
    }

    /// The commit that a name refers to, if this repository has it.
    pub(crate) async fn commit(&self, name: &str) -> Option<String> {
        let name = format!("{name}^{{commit}}");
        self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await
    }

    /// The id of a directory's tree or of a file in a commit; the empty path is the whole tree.
    pub(crate) async fn object(&self, commit: &str, path: &str) -> Option<String> {
        self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{commit}:{path}")]).await
    }

    /// Whether the path is a plain file or directory without any link in it.
    pub(crate) async fn is_plain(&self, commit: &str, path: &str) -> bool {
        if path.is_empty() {
            return true;
        }
        // A path through a link is not found.
        let found = self.line(&["ls-tree", "--full-tree", "--format=%(objectmode)", commit, "--", path]).await;
        found.is_some_and(|mode| ["100644", "100755", "040000"].contains(&mode.as_str()))
    }

    /// The text of a file in a commit.
    pub(crate) async fn text(&self, commit: &str, path: &str) -> Option<String> {
        let bytes = self.bytes(&["cat-file", "blob", &format!("{commit}:{path}")]).await.ok()?;
        String::from_utf8(bytes).ok()
    }

    /// The nearest commit that a remote has, as far as this repository knows.
    pub(crate) async fn base(&self, commit: &str, remote: &str) -> Option<String> {
        let pattern = format!("refs/remotes/{remote}/");
        let refs = self.bytes(&["for-each-ref", "--format=%(refname)", &pattern]).await.ok()?;
        let refs = String::from_utf8(refs).ok()?;
        let refs: Vec<&str> = refs.lines().collect();
        if refs.is_empty() || refs.len() > MOST_REFS {
            return None;
        }
        self.line(&[&["merge-base", commit], refs.as_slice()].concat()).await
    }

    /// The paths that differ between two commits; `None` if unknown.
    pub(crate) async fn changed(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let args = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", from, to];
        let bytes = self.bytes(&args).await.ok()?;
        let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        names.map(|name| String::from_utf8(name.to_vec()).ok()).collect()
    }

    /// Writes the files of a commit into a directory. It touches neither the user's working tree nor their index, runs
    /// no hook, and omits no file, as `git archive` would for some attributes.
    ///
    /// # Errors
    /// git's error message.
    pub(crate) async fn check_out(&self, commit: &str, to: &Path, index: &Path) -> Result<(), String> {
        let folder = self.line(&["rev-parse", "--absolute-git-dir"]).await.ok_or("git reports no repository folder")?;
        let mut command = Command::new("git");
        command
            .args(["-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false", "-c", "core.bare=false"])
            .arg(format!("--git-dir={folder}"))
            .arg("--work-tree")
            .arg(to)
            .args(["read-tree", "--reset", "-u", commit])
            .env("GIT_INDEX_FILE", index)
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(to)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = command.output().await.map_err(|e| format!("git: {e}"))?;
        if output.status.success() { Ok(()) } else { Err(line(&output.stderr)) }
    }

    /// A git setting of this repository or user.
    pub(crate) async fn setting(&self, name: &str) -> Option<String> {
        self.line(&["config", "--get", name]).await
    }
}
