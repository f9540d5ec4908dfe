//! The gate's scenario file, and the image that it builds.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::git::Repo;
use crate::cli::failure::Failure;
use crate::cli::flags::On;
use crate::cli::input::{folder_of, read_text};
use crate::cli::scenarios::with_deployed;
use crate::model::units::parse_duration;
use crate::scenario::{Build as Written, Scenario, content, file};

/// Where a scenario is looked for, relative to the top of the repository.
pub(crate) const PLACES: [&str; 3] = [".exitone.yaml", "exitone.yaml", "scenarios/gate.yaml"];
/// The git setting with another path.
pub(crate) const SETTING: &str = "exitone.gate.scenario";

/// An image built from the repository. Paths are relative to the top of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    /// The Dockerfile.
    pub(crate) dockerfile: String,
    /// The build context; empty for the whole repository.
    pub(crate) context: String,
    /// The image's name.
    pub(crate) image: String,
}

impl Build {
    /// Reads a build of the scenario. `folder` is the scenario's directory, `scenario` the file relative to the top of
    /// the repository.
    fn of(written: &Written, folder: &Path, scenario: Option<&Path>, top: &Path) -> Result<Self, String> {
        let Some(scenario) = scenario else {
            return Err("`build` needs a scenario file inside the repository".to_owned());
        };
        let place = |path: &Path| {
            let path = path.strip_prefix(folder).unwrap_or(path);
            join(&folder_of(scenario), &path.to_string_lossy())
        };
        let (dockerfile, context) = (place(&written.dockerfile)?, place(&written.context)?);
        if dockerfile.is_empty() || top.join(&dockerfile).is_dir() {
            return Err("`build.dockerfile` names a folder".to_owned());
        }
        Ok(Self { dockerfile, context, image: written.image.clone() })
    }

    /// The file that replaces the context's .dockerignore for some builders.
    pub(crate) fn own_ignore(&self) -> String {
        format!("{}.dockerignore", self.dockerfile)
    }
}

/// A scenario as the gate runs it.
pub(crate) struct Named {
    /// The file, relative to the top of the repository if it is inside.
    pub(crate) path: PathBuf,
    /// The build; `None` if the candidates are existing images.
    pub(crate) build: Option<Build>,
    /// Its content; its candidates count if nothing is built.
    pub(crate) scenario: Scenario,
    /// The file's content without comments and layout.
    content: serde_json::Value,
    /// The same with the platform, as text.
    pub(crate) document: String,
    /// Paths the scenario is read from, relative to the top of the repository.
    pub(crate) sources: Vec<String>,
}

impl Named {
    /// What a commit has instead of this file, if it has something else. Comments and layout do not matter.
    pub(crate) async fn otherwise_in(&self, repo: &Repo, commit: &str) -> Option<&'static str> {
        if self.path.is_absolute() {
            return None;
        }
        // git separates folders by `/` everywhere.
        let parts: Option<Vec<&str>> = self.path.iter().map(|part| part.to_str()).collect();
        match repo.text(commit, &parts?.join("/")).await {
            None => Some("does not have it"),
            Some(there) if content(&there).as_ref() != Some(&self.content) => Some("has a different version"),
            Some(_) => None,
        }
    }
}

/// The scenario to run: the given one, or the first that exists.
///
/// # Errors
/// There is none.
pub(crate) async fn find(repo: &Repo, asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        // A path on the command line is relative to the current directory.
        let here =
            std::env::current_dir().map_err(|e| Failure::internal(format!("finding the current directory: {e}")))?;
        return Ok(here.join(path));
    }
    if let Some(path) = repo.setting(SETTING).await {
        return Ok(repo.top.join(path));
    }
    let found = PLACES.iter().map(|place| repo.top.join(place)).find(|path| path.exists());
    found.ok_or_else(|| {
        let (places, top) = (PLACES.join(", "), repo.top.display());
        Failure::usage(format!("no scenario to run: none of {places} exists in {top}")).with_hint(
            "Write one with `exitone import service.json -o exitone.yaml`, or name one with `exitone gate --scenario FILE`.",
        )
    })
}

/// Reads a scenario.
///
/// # Errors
/// Every error in the file.
pub(crate) fn read(repo: &Repo, path: &Path, on: &On) -> Result<Named, Failure> {
    let text = read_text(path)?;
    let within = within(repo, path);
    let shown = within.as_deref().unwrap_or(path).display().to_string();
    let folder = folder_of(path);
    let scenario = with_deployed(file::read(&shown, &text, &folder, on.platform.as_ref())?, &shown);
    let build = match &scenario.build {
        Some(written) => {
            let build = Build::of(written, &folder, within.as_deref(), &repo.top);
            Some(build.map_err(|why| Failure::file(format!("{shown}: {why}")))?)
        }
        None => None,
    };
    let content = content(&text).ok_or_else(|| Failure::internal(format!("{shown}: cannot read it again")))?;
    let mut sources = Vec::new();
    if let Some(within) = &within {
        sources.extend(within.to_str().map(str::to_owned));
        let env_file = content["service"]["env_file"].as_str();
        sources.extend(env_file.and_then(|file| join(&folder_of(within), file).ok()));
    }
    Ok(Named {
        path: within.unwrap_or_else(|| path.to_owned()),
        build,
        // The same file on another platform is a different question.
        document: format!("{content} on {}", scenario.service.platform.id),
        content,
        scenario,
        sources,
    })
}

/// A path relative to the top of the repository; `None` if it is outside.
pub(crate) fn within(repo: &Repo, path: &Path) -> Option<PathBuf> {
    let real = |path: &Path| path.canonicalize().ok();
    Some(real(path)?.strip_prefix(real(&repo.top)?).ok()?.to_owned())
}

/// Joins a path to one relative to the top of the repository, without `.` and `..`.
fn join(folder: &Path, path: &str) -> Result<String, String> {
    let outside = || format!("`{path}` is outside the repository");
    let mut parts: Vec<&str> = Vec::new();
    let whole = folder.join(path);
    for part in whole.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(parts.pop().ok_or_else(outside)?),
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(outside)?),
            Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(parts.join("/"))
}

/// An age such as `7d`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str, scenario: &str) -> Result<Build, String> {
        let (folder, text) = (folder_of(Path::new(scenario)), format!("candidates: [\"app:1\"]\n{text}\n"));
        let read = file::read(scenario, &text, &folder, None).map_err(|e| e.to_string())?;
        Build::of(&read.build.ok_or("none")?, &folder, Some(Path::new(scenario)), Path::new("/src/My App"))
    }

    #[test]
    fn reads_the_image_to_build() {
        for (text, scenario, expected) in [
            ("build: {dockerfile: Dockerfile, context: ., image: app}", ".exitone.yaml", ["Dockerfile", "", "app"]),
            ("build: {}", "exitone.yaml", ["Dockerfile", "", "app:1"]),
            (
                "build: {dockerfile: ../api/Dockerfile, context: ../api}",
                "scenarios/gate.yaml",
                ["api/Dockerfile", "api", "app:1"],
            ),
            ("build: {context: ../api/}", "scenarios/gate.yaml", ["api/Dockerfile", "api", "app:1"]),
        ] {
            let Build { dockerfile, context, image } = build(text, scenario).expect(text);
            assert_eq!([dockerfile, context, image], expected, "{text}");
        }
        for (text, words) in [
            ("build: {context: ..}", "outside the repository"),
            ("build: {dockerfile: /etc/passwd}", "outside the repository"),
            ("build: {dockerfile: .}", "names a folder"),
            ("build: {dockerfil: x}", "did you mean `dockerfile`?"),
        ] {
            assert!(build(text, ".exitone.yaml").expect_err(text).contains(words), "{text}");
        }
    }
}
