//! Reads what the command line names: files, a service, conditions.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::console::say;
use super::failure::Failure;
use super::flags::On;
use crate::model::{ConditionSet, Service};
use crate::scenario::{apprunner, env_file, import, service};

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
fn read_env(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    Ok(env_file::parse(&path.display().to_string(), &read_text(path)?)?)
}

/// The directory that relative paths in a file start from.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The service of a command line, and the image that its file names; the file may be describe-service output. Errors in
/// the files are added to `refusals`.
///
/// # Errors
/// When the service file cannot be read.
pub(crate) fn service_of(
    file: Option<&Path>,
    env_file: Option<&Path>,
    on: &On,
    refusals: &mut Vec<String>,
) -> Result<(Service, Option<String>), Failure> {
    let profile = on.platform.clone().unwrap_or_else(apprunner);
    let (mut service, mut image) = (service::defaults(&profile), None);
    if let Some(path) = file {
        let (name, text) = (path.display().to_string(), read_text(path)?);
        let read = match import::service(&name, &text, &profile) {
            Some(described) => described.map(|described| {
                say(&format!("note: {name}: read as {}", import::Kind::Describe));
                described.notes.iter().for_each(|note| say(&format!("note: {note}")));
                (described.service, described.image)
            }),
            None => service::read_file(&name, &text, &folder_of(path), &profile),
        };
        match read {
            Ok(read) => (service, image) = read,
            Err(refused) => refusals.push(refused.to_string()),
        }
    }
    if let Some(path) = env_file {
        match read_env(path) {
            Ok(env) => service.env.extend(env),
            Err(failure) => refusals.push(failure.message().to_owned()),
        }
    }
    Ok((service, image))
}

/// Parses conditions; reports all errors at once.
pub(crate) fn conditions(texts: &[String]) -> Result<ConditionSet, Vec<String>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for text in texts {
        match text.parse() {
            Ok(condition) => good.push(condition),
            Err(e) => bad.push(format!("--with: {e}")),
        }
    }
    match ConditionSet::new(good) {
        Ok(set) if bad.is_empty() => Ok(set),
        Ok(_) => Err(bad),
        Err(more) => {
            bad.extend(more.into_iter().map(|problem| format!("--with: {problem}")));
            Err(bad)
        }
    }
}

/// The command that runs a case of an image, without its conditions.
pub(crate) fn by_hand(image: &str, service: &Option<PathBuf>, env_file: &Option<PathBuf>, on: &On) -> Vec<String> {
    let words = ["exitone", "run", "--image", image].map(str::to_owned);
    words.into_iter().chain(flags(service, env_file, on)).collect()
}

/// The flags that `run` needs in addition to the image and its conditions.
pub(crate) fn flags(service: &Option<PathBuf>, env_file: &Option<PathBuf>, on: &On) -> Vec<String> {
    let platform = on.platform.iter().flat_map(|profile| ["--platform".to_owned(), profile.platform.id.clone()]);
    let files = [("--service", service), ("--env-file", env_file)].into_iter();
    let files =
        files.flat_map(|(flag, path)| path.iter().flat_map(move |p| [flag.to_owned(), p.display().to_string()]));
    platform.chain(files).collect()
}
