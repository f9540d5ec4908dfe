//! Keeps in-memory directories mounted, takes their remaining space, and counts who writes to them.
//!
//! A keeper is a separate container beside a candidate under `disk.full`. The directories are in-memory volumes: the
//! engine fills them with what the image has there, and the keeper shrinks them to that size. A write then fails with
//! ENOSPC, as on a full disk.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::statvfs::statvfs;

use super::protocol::{FromKeeper, KEPT_DIR, ToKeeper, line};

/// Maximum number of watched subdirectories: each needs one watch.
const MOST_WATCHES: usize = 4096;

/// Serves until standard input ends.
///
/// # Errors
/// When standard input or output fails.
pub(crate) fn serve() -> io::Result<()> {
    // An image without any of the directories leaves nothing to keep.
    let folders: Vec<PathBuf> = std::fs::read_dir(KEPT_DIR).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let mut watch = None;
    for text in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&text?) {
            Ok(ToKeeper::Fill) => fill(&folders).map(|new| {
                watch = Some(new);
                FromKeeper::Full
            }),
            Ok(ToKeeper::Count) => Ok(FromKeeper::Writes(watch.as_ref().map_or(0, count))),
            Err(e) => Err(format!("invalid message: {e}")),
        };
        let mut out = io::stdout().lock();
        out.write_all(&line(&answer.unwrap_or_else(FromKeeper::Failed))?)?;
        out.flush()?;
    }
    Ok(())
}

/// Shrinks every directory to its contents, and watches writes from then on.
fn fill(folders: &[PathBuf]) -> Result<Inotify, String> {
    let wrong = |what: &str, e: nix::Error| format!("{what}: {e}");
    for folder in folders {
        let has = statvfs(folder).map_err(|e| wrong("inspecting a directory", e))?;
        let used = (has.blocks() - has.blocks_free()) * has.fragment_size();
        // Size 0 would mean unlimited (Documentation/filesystems/tmpfs.rst).
        let size = format!("size={}", used.max(has.fragment_size()));
        mount(None::<&str>, folder, None::<&str>, MsFlags::MS_REMOUNT, Some(size.as_str()))
            .map_err(|e| wrong("shrinking a folder", e))?;
        if used == 0 {
            // Fill the one page that is left. The image's content may be a link to anywhere, so it is never followed.
            fill_page(folder).map_err(|e| format!("filling a directory: {e}"))?;
        }
    }
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).map_err(|e| wrong("watching directories", e))?;
    let mut watched = 0;
    for folder in folders {
        watch_all(&inotify, folder, &mut watched).map_err(|e| wrong("watching a folder", e))?;
    }
    Ok(inotify)
}

/// Writes one page to a new file.
fn fill_page(folder: &Path) -> io::Result<()> {
    for number in 0.. {
        let made =
            std::fs::OpenOptions::new().write(true).create_new(true).open(folder.join(format!(".full-{number}")));
        match made {
            Ok(mut file) => return file.write_all(&[0; 4096]),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn watch_all(inotify: &Inotify, folder: &Path, watched: &mut usize) -> nix::Result<()> {
    // A failing write shows as a created file, or as one closed after being opened for writing.
    inotify.add_watch(folder, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE)?;
    *watched += 1;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) && *watched < MOST_WATCHES {
            watch_all(inotify, &entry.path(), watched)?;
        }
    }
    Ok(())
}

/// Number of events since the last count.
fn count(inotify: &Inotify) -> u64 {
    let mut writes = 0;
    while let Ok(events) = inotify.read_events() {
        writes += events.len() as u64;
    }
    writes
}
