//! Installs and removes the hook.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::git::Repo;
use crate::cli::failure::Failure;

/// The script. Its second line identifies it.
const SCRIPT: &str = include_str!("pre-push.sh");
const MARK: &str = "# exitone gate, pre-push hook.";
const NAME: &str = "pre-push";
/// The previous hook, which the script calls first.
const BEFORE: &str = "pre-push.before-exitone";

/// The result of an installation or removal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Installed; true if another hook is called first.
    Installed(bool),
    /// Already installed; true if another hook is called first.
    AlreadyInstalled(bool),
    /// Removed; true if the previous hook is back.
    Removed(bool),
    /// There was no hook.
    NotInstalled,
}

/// The directory that git takes hooks from.
///
/// # Errors
/// When it does not belong to this repository.
pub(crate) async fn folder(repo: &Repo) -> Result<PathBuf, Failure> {
    let path = repo.line(&["rev-parse", "--git-path", "hooks"]).await;
    let path = path.ok_or_else(|| Failure::usage("git reports no hooks folder"))?;
    let folder = repo.top.join(path);
    let origin = repo.line(&["config", "--show-scope", "--get", "core.hooksPath"]).await;
    let origin = origin.as_deref().and_then(|line| line.split_whitespace().next());
    if let Some(scope @ ("global" | "system")) = origin {
        return Err(Failure::usage(format!(
            "core.hooksPath is set for all repositories ({scope}): a hook in {} would gate every one of them; call \
             `exitone gate --hook \"$@\"` from the pre-push hook there, or set core.hooksPath for this repository",
            folder.display()
        )));
    }
    if let Some(manager) = manager(&folder) {
        return Err(Failure::usage(format!(
            "the hooks in {} are managed by {manager}, which would overwrite this one; have it run \
             `exitone gate --hook \"$@\"` before a push",
            folder.display()
        )));
    }
    Ok(folder)
}

/// Programs that rewrite hooks whenever they run.
fn manager(folder: &Path) -> Option<&'static str> {
    let parts: Vec<String> = folder.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let husky = parts.iter().any(|part| part == ".husky");
    let text = std::fs::read(folder.join(NAME)).unwrap_or_default();
    let lefthook = String::from_utf8_lossy(&text).contains("lefthook");
    if husky { Some("husky") } else { lefthook.then_some("lefthook") }
}

fn unwritable(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |e| {
        Failure::unwritable(format!("cannot write the hook {}: {e}", path.display()))
            .with_hint("Nothing was changed; check the folder's owner and mode, and `git config core.hooksPath`.")
    }
}

/// Whether anything exists there, even a dangling link.
fn there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn ours(path: &Path) -> bool {
    let text = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().nth(1).is_some_and(|line| line.starts_with(MARK))
}

/// Whether both names are the same file: an installation was interrupted between its two steps.
fn same(one: &Path, other: &Path) -> bool {
    match (std::fs::read(one), std::fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Installs the hook.
///
/// # Errors
/// When the directory cannot be written, or two hooks are in the way; then nothing is changed.
pub(crate) fn install(folder: &Path) -> Result<Done, Failure> {
    let (hook, before) = (folder.join(NAME), folder.join(BEFORE));
    if ours(&hook) {
        if std::fs::read(&hook).is_ok_and(|text| text == SCRIPT.as_bytes()) && is_executable(&hook) {
            return Ok(Done::AlreadyInstalled(there(&before)));
        }
        written(folder)?.persist(&hook).map_err(|e| unwritable(&hook)(e.error))?;
        return Ok(Done::Installed(there(&before)));
    }
    if hook.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", hook.display())));
    }
    if there(&hook) && there(&before) && !same(&hook, &before) {
        return Err(Failure::usage(format!(
            "both {} and {} exist, and neither is the gate's: move one of them away",
            hook.display(),
            before.display()
        )));
    }
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let new = written(folder)?;
    let kept = there(&hook);
    if !kept {
        new.persist_noclobber(&hook).map_err(|e| unwritable(&hook)(e.error))?;
        return Ok(Done::Installed(there(&before)));
    }
    // Link it first, so that there is always a hook; without hard links, move it.
    if !there(&before) && std::fs::hard_link(&hook, &before).is_err() {
        std::fs::rename(&hook, &before).map_err(unwritable(&before))?;
    }
    if let Err(e) = new.persist(&hook) {
        let _ = std::fs::rename(&before, &hook);
        // A rename onto another name of the same file does nothing.
        if there(&hook) {
            let _ = std::fs::remove_file(&before);
        }
        return Err(unwritable(&hook)(e.error));
    }
    Ok(Done::Installed(true))
}

fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        path.metadata().is_ok_and(|m| m.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.exists()
}

/// The script in a temporary file next to its place.
fn written(folder: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    let new = || -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(".pre-push.exitone-").tempfile_in(folder)?;
        file.write_all(SCRIPT.as_bytes())?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755))?;
        }
        file.as_file().sync_all()?;
        Ok(file)
    };
    new().map_err(unwritable(folder))
}

/// Removes the hook and restores the previous one.
///
/// # Errors
/// When the directory cannot be written, or another hook has taken the gate's place.
pub(crate) fn uninstall(folder: &Path) -> Result<Done, Failure> {
    let (hook, before) = (folder.join(NAME), folder.join(BEFORE));
    let restore = there(&before);
    if there(&hook) && !ours(&hook) {
        if !restore {
            return Ok(Done::NotInstalled);
        }
        return Err(Failure::usage(format!(
            "{} is no longer the gate's, and {} still exists: move one of them away",
            hook.display(),
            before.display()
        )));
    }
    if restore {
        std::fs::rename(&before, &hook).map_err(unwritable(&hook))?;
        return Ok(Done::Removed(true));
    }
    if !there(&hook) {
        return Ok(Done::NotInstalled);
    }
    std::fs::remove_file(&hook).map_err(unwritable(&hook))?;
    Ok(Done::Removed(false))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn listing(folder: &Path) -> Vec<(String, u32, String)> {
        let entries = std::fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
        let mut all: Vec<(String, u32, String)> = entries
            .map(|path| {
                let mode = path.metadata().expect("there").permissions().mode() & 0o777;
                let name = path.file_name().expect("a name").to_string_lossy().into_owned();
                (name, mode, std::fs::read_to_string(&path).expect("read"))
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn existing_hook_is_kept_and_restored() {
        for mode in [0o755, 0o700, 0o644] {
            let folder = tempfile::tempdir().expect("a folder");
            let hook = folder.path().join(NAME);
            std::fs::write(&hook, "#!/bin/sh\nexit 3\n").expect("written");
            std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(mode)).expect("set");
            let was = listing(folder.path());
            assert_eq!(install(folder.path()).ok(), Some(Done::Installed(true)));
            let installed = listing(folder.path());
            assert_eq!(installed.len(), 2, "{installed:?}");
            assert_eq!(install(folder.path()).ok(), Some(Done::AlreadyInstalled(true)));
            assert_eq!(listing(folder.path()), installed);
            assert_eq!(uninstall(folder.path()).ok(), Some(Done::Removed(true)));
            assert_eq!(listing(folder.path()), was);
            assert_eq!(uninstall(folder.path()).ok(), Some(Done::NotInstalled));
            assert_eq!(listing(folder.path()), was);
        }
    }

    #[test]
    fn uninstalling_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let hooks = folder.path().join("hooks");
        assert_eq!(uninstall(&hooks).ok(), Some(Done::NotInstalled));
        assert_eq!(install(&hooks).ok(), Some(Done::Installed(false)));
        // An older version's script is replaced.
        std::fs::write(hooks.join(NAME), format!("#!/bin/sh\n{MARK}\nexit 0\n")).expect("written");
        assert_eq!(install(&hooks).ok(), Some(Done::Installed(false)));
        assert_eq!(listing(&hooks), [(NAME.to_owned(), 0o755, SCRIPT.to_owned())]);
        assert_eq!(uninstall(&hooks).ok(), Some(Done::Removed(false)));
        assert_eq!(listing(&hooks), []);
    }

    #[test]
    fn does_not_touch_foreign_hooks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path(NAME), "one").expect("written");
        std::fs::write(path(BEFORE), "two").expect("written");
        let was = listing(folder.path());
        assert!(install(folder.path()).is_err_and(|e| e.message().contains("move one of them away")));
        assert!(uninstall(folder.path()).is_err());
        assert_eq!(listing(folder.path()), was);
        // An interrupted installation is completed.
        std::fs::write(path(BEFORE), "one").expect("written");
        assert_eq!(install(folder.path()).ok(), Some(Done::Installed(true)));
        assert_eq!(uninstall(folder.path()).ok(), Some(Done::Removed(true)));
        assert_eq!(std::fs::read_to_string(path(NAME)).expect("read"), "one");
        std::fs::remove_file(path(NAME)).expect("removed");
        std::fs::create_dir(path(NAME)).expect("made");
        assert!(install(folder.path()).is_err_and(|e| e.message().contains("is a folder")));
        assert!(install(Path::new("/dev/null")).is_err_and(|e| e.message().contains("cannot write the hook")));
    }

    #[test]
    fn script_is_recognised_by_its_mark() {
        assert!(SCRIPT.lines().nth(1).is_some_and(|line| line.starts_with(MARK)));
        assert!(SCRIPT.lines().all(|line| line.len() <= 120));
        let husky = Path::new("/src/app/.husky/_");
        assert_eq!(manager(husky), Some("husky"));
        assert_eq!(manager(Path::new("/src/app/.git/hooks")), None);
    }
}
