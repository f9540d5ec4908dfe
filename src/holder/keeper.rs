//! Keeps folders in memory mounted, takes their last space away, and counts who writes to them.
//!
//! A keeper is a container of its own beside a candidate under `disk.full`. The folders are volumes in memory: the
//! engine fills them with what the image has there, the keeper shrinks them to just that. A write then fails with ENOSPC
//! as on a disk that is full.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::statvfs::statvfs;

use super::protocol::{FromKeeper, KEPT_DIR, ToKeeper, line};

/// Folders below the kept ones are watched up to this number: one watch each.
const MOST_WATCHES: usize = 4096;

/// Serves until standard input ends.
///
/// # Errors
/// When standard input or output fails.
pub(crate) fn serve() -> io::Result<()> {
    // An image without any of the folders leaves nothing to keep.
    let folders: Vec<PathBuf> = std::fs::read_dir(KEPT_DIR).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let mut watch = None;
    for text in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&text?) {
            Ok(ToKeeper::Fill) => fill(&folders).map(|new| {
                watch = Some(new);
                FromKeeper::Full
            }),
            Ok(ToKeeper::Count) => Ok(FromKeeper::Writes(watch.as_ref().map_or(0, count))),
            Err(e) => Err(format!("not understood: {e}")),
        };
        let mut out = io::stdout().lock();
        out.write_all(&line(&answer.unwrap_or_else(FromKeeper::Failed))?)?;
        out.flush()?;
    }
    Ok(())
}

/// Shrinks every folder to what is in it, and watches what is written from then on.
fn fill(folders: &[PathBuf]) -> Result<Inotify, String> {
    let wrong = |what: &str, e: nix::Error| format!("{what}: {e}");
    for folder in folders {
        let has = statvfs(folder).map_err(|e| wrong("looking at a folder", e))?;
        let used = (has.blocks() - has.blocks_free()) * has.fragment_size();
        // No size at all would mean: any size (Documentation/filesystems/tmpfs.rst).
        let size = format!("size={}", used.max(has.fragment_size()));
        mount(None::<&str>, folder, None::<&str>, MsFlags::MS_REMOUNT, Some(size.as_str()))
            .map_err(|e| wrong("shrinking a folder", e))?;
        if used == 0 {
            // The one page that is left. What the image has there may be a link to anywhere: it is never followed.
            fill_page(folder).map_err(|e| format!("filling a folder: {e}"))?;
        }
    }
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK).map_err(|e| wrong("watching folders", e))?;
    let mut watched = 0;
    for folder in folders {
        watch_all(&inotify, folder, &mut watched).map_err(|e| wrong("watching a folder", e))?;
    }
    Ok(inotify)
}

/// Writes one page into a file that was not there.
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
    // A write that fails shows as a file that is made, or closed after being open for writing.
    inotify.add_watch(folder, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE)?;
    *watched += 1;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) && *watched < MOST_WATCHES {
            watch_all(inotify, &entry.path(), watched)?;
        }
    }
    Ok(())
}

/// How many events there were since the last count.
fn count(inotify: &Inotify) -> u64 {
    let mut writes = 0;
    while let Ok(events) = inotify.read_events() {
        writes += events.len() as u64;
    }
    writes
}
