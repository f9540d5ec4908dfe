//! Reads user files with a size limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest accepted file, in bytes.
pub(crate) const LARGEST: usize = 1 << 20;
/// The error for a larger one.
pub(super) const TOO_LARGE: &str = "larger than 1 MiB, the limit for scenario, service and environment files";

/// Reads a file, up to the size limit.
///
/// # Errors
/// Why it cannot be read, without its name.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let said = |e: std::io::Error| e.to_string();
    let file = File::open(path).map_err(said)?;
    let mut bytes = Vec::new();
    file.take(LARGEST as u64 + 1).read_to_end(&mut bytes).map_err(said)?;
    if bytes.len() > LARGEST {
        return Err(TOO_LARGE.to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "not a text file: invalid UTF-8".to_owned())
}
