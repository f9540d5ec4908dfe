//! Reads what the command line names: files, a service, conditions.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::flags::On;
use crate::model::ConditionSet;
use crate::scenario::compose::{self, Compose};
use crate::scenario::env_file;

/// The name and the text of a file, or of standard input for `-`.
///
/// # Errors
/// When it cannot be read or is not text.
pub(crate) fn read_or_stdin(path: &Path) -> Result<(String, String), Failure> {
    if path.as_os_str() != "-" {
        return Ok((path.display().to_string(), read_text(path)?));
    }
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(|e| Failure::file(format!("standard input: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::file("standard input: not UTF-8 text"))?;
    Ok(("standard input".to_owned(), text))
}

/// Reads a file of the user's.
///
/// # Errors
/// When it cannot be read or is not text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    crate::scenario::text::read(path).map_err(|message| Failure::file(format!("{}: {message}", path.display())))
}

/// Reads an environment file.
///
/// # Errors
/// When it cannot be read, or has errors.
pub(crate) fn read_env(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    Ok(env_file::parse(&path.display().to_string(), &read_text(path)?)?)
}

/// Reads a compose file.
///
/// # Errors
/// When it cannot be read, or has errors.
pub(crate) fn read_compose(path: &Path) -> Result<Compose, Failure> {
    Ok(compose::read(&path.display().to_string(), &read_text(path)?, &folder_of(path))?)
}

/// The directory that relative paths in a file start from.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Parses the conditions of flags; reports all errors at once.
pub(crate) fn conditions(given: &[(&str, &[String])]) -> Result<ConditionSet, Vec<String>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (flag, text) in given.iter().flat_map(|(flag, texts)| texts.iter().map(move |text| (flag, text))) {
        match text.parse() {
            Ok(condition) => good.push(condition),
            Err(e) => bad.push(format!("{flag}: {e}")),
        }
    }
    match ConditionSet::new(good) {
        Ok(set) if bad.is_empty() => Ok(set),
        Ok(_) => Err(bad),
        Err(more) => {
            let used = given.iter().filter(|(_, texts)| !texts.is_empty());
            let flags = used.map(|(flag, _)| *flag).collect::<Vec<_>>().join(", ");
            bad.extend(more.into_iter().map(|problem| format!("{flags}: {problem}")));
            Err(bad)
        }
    }
}

/// The command that runs a case of an image, without its conditions. `files`: the flags of its files.
pub(crate) fn by_hand(image: &str, files: &[String], on: &On) -> Vec<String> {
    let words = ["exitone", "run", "--image", image].map(str::to_owned);
    words.into_iter().chain(flags(files, on)).collect()
}

/// The flags that `run` needs in addition to the image and its conditions.
pub(crate) fn flags(files: &[String], on: &On) -> Vec<String> {
    let platform = on.platform.iter().flat_map(|profile| ["--platform".to_owned(), profile.platform.id.clone()]);
    platform.chain(files.iter().cloned()).collect()
}
