//! What the gate runs: the scenario file, and the image that it wants built.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::git::Repo;
use crate::cli::common::{Failure, folder_of, read_text};
use crate::model::ConditionSet;
use crate::model::Service;
use crate::model::units::parse_duration;
use crate::scenario::{apprunner, file, read_yaml};

/// Where a scenario is looked for, from the top of the repository.
pub const PLACES: [&str; 3] = [".exitone.yaml", "exitone.yaml", "scenarios/gate.yaml"];
/// Git's setting that names another one.
pub const SETTING: &str = "exitone.gate.scenario";

/// An image that is built from the repository. Paths are from the top of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The folder that is sent along; empty: the whole repository.
    pub context: String,
    /// The image's name.
    pub image: String,
}

impl Build {
    /// The file that takes the place of the context's .dockerignore for some builders.
    pub fn own_ignore(&self) -> String {
        format!("{}.dockerignore", self.dockerfile)
    }
}

/// A scenario as the gate runs it.
pub struct Named {
    /// The file, from the top of the repository where it is in it.
    pub path: PathBuf,
    /// What is built; nothing: the candidates are images that are there.
    pub build: Option<Build>,
    /// The candidates, where nothing is built.
    pub candidates: Vec<String>,
    /// What the platform is told.
    pub service: Service,
    /// The sets of conditions.
    pub sets: Vec<ConditionSet>,
    /// Everything that the file says, without its comments and its layout.
    pub document: String,
    /// Paths from the top of the repository that the scenario is read from.
    pub sources: Vec<String>,
}

/// The scenario to run: the one that is named, or the first that is there.
///
/// # Errors
/// None is there.
pub async fn find(repo: &Repo, asked: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = asked {
        // A name on the command line is seen from where the user stands.
        let here =
            std::env::current_dir().map_err(|e| Failure::internal(format!("finding the current folder: {e}")))?;
        return Ok(here.join(path));
    }
    if let Some(path) = repo.setting(SETTING).await {
        return Ok(repo.top.join(path));
    }
    let found = PLACES.iter().map(|place| repo.top.join(place)).find(|path| path.exists());
    found.ok_or_else(|| {
        Failure::usage(format!(
            "there is no scenario to run: none of {} is in {}; name one with `exitone gate --install --scenario FILE`, \
             or push past the gate with `git push --no-verify`",
            PLACES.join(", "),
            repo.top.display()
        ))
    })
}

/// Reads a scenario.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(repo: &Repo, path: &Path) -> Result<Named, Failure> {
    let text = read_text(path)?;
    let within = within(repo, path);
    let shown = within.as_deref().unwrap_or(path).display().to_string();
    let raw: Keys = read_yaml(&shown, &text)?;
    let build = match raw.build {
        Some(keys) => {
            Some(keys.check(within.as_deref(), &repo.top).map_err(|why| Failure::file(format!("{shown}: {why}")))?)
        }
        None => None,
    };
    let plain = match &build {
        Some(build) => without_build(&text, raw.candidates.is_none().then_some(build.image.as_str())),
        None => text.clone(),
    };
    let scenario = file::read(&shown, &plain, &folder_of(path), &apprunner())?;
    let document: serde_json::Value = read_yaml(&shown, &text)?;
    let mut sources = Vec::new();
    if let Some(within) = &within {
        sources.extend(within.to_str().map(str::to_owned));
        sources.extend(raw.service.env_file.and_then(|file| join(&folder_of(within), &file).ok()));
    }
    Ok(Named {
        path: within.unwrap_or_else(|| path.to_owned()),
        build,
        candidates: scenario.candidates,
        service: scenario.service,
        sets: scenario.sets,
        document: document.to_string(),
        sources,
    })
}

/// A path as it is seen from the top of the repository; nothing for one outside of it.
pub fn within(repo: &Repo, path: &Path) -> Option<PathBuf> {
    let real = |path: &Path| path.canonicalize().ok();
    Some(real(path)?.strip_prefix(real(&repo.top)?).ok()?.to_owned())
}

#[derive(Deserialize)]
struct Keys {
    build: Option<BuildKeys>,
    candidates: Option<serde_json::Value>,
    #[serde(default)]
    service: ServiceKeys,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceKeys {
    env_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildKeys {
    dockerfile: Option<String>,
    context: Option<String>,
    image: Option<String>,
}

impl BuildKeys {
    /// `scenario`: the file, from the top of the repository.
    fn check(self, scenario: Option<&Path>, top: &Path) -> Result<Build, String> {
        let Some(scenario) = scenario else {
            return Err("`build` needs a scenario file that is in the repository".to_owned());
        };
        let folder = folder_of(scenario);
        let context = join(&folder, self.context.as_deref().unwrap_or("."))?;
        let dockerfile = match &self.dockerfile {
            Some(path) => join(&folder, path)?,
            None => join(Path::new(&context), "Dockerfile")?,
        };
        if dockerfile.is_empty() {
            return Err("`build.dockerfile` names a folder".to_owned());
        }
        let own = || top.file_name().map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Build { dockerfile, context, image: self.image.unwrap_or_else(own) })
    }
}

/// A path from the top of the repository, without `.` and `..`.
fn join(folder: &Path, path: &str) -> Result<String, String> {
    let outside = || format!("`{path}` is outside of the repository");
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

/// The text without its `build:` block, every other line in its place. `candidate` stands there instead where the file
/// names none.
fn without_build(text: &str, candidate: Option<&str>) -> String {
    let mut inside = false;
    let mut plain = String::new();
    for line in text.lines() {
        if !line.starts_with([' ', '\t', '#']) && !line.is_empty() {
            inside = ["build:", "\"build\":", "'build':"].iter().any(|key| line.starts_with(key));
            if let Some(image) = candidate.filter(|_| inside) {
                plain.push_str(&format!("candidates: [{}]", serde_json::Value::from(image)));
            }
        }
        if !inside {
            plain.push_str(line);
        }
        plain.push('\n');
    }
    plain
}

/// An age such as `7d`.
pub fn age(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str, scenario: &str) -> Result<Build, String> {
        let keys: Keys = read_yaml("s.yaml", text).map_err(|e| e.to_string())?;
        keys.build.ok_or("none")?.check(Some(Path::new(scenario)), Path::new("/src/My App"))
    }

    #[test]
    fn the_image_that_is_built() {
        for (text, scenario, expected) in [
            ("build: {dockerfile: Dockerfile, context: ., image: app}", ".exitone.yaml", ["Dockerfile", "", "app"]),
            ("build: {}", "exitone.yaml", ["Dockerfile", "", "My App"]),
            (
                "build: {dockerfile: ../api/Dockerfile, context: ../api}",
                "scenarios/gate.yaml",
                ["api/Dockerfile", "api", "My App"],
            ),
            ("build: {context: ../api/}", "scenarios/gate.yaml", ["api/Dockerfile", "api", "My App"]),
        ] {
            let Build { dockerfile, context, image } = build(text, scenario).expect(text);
            assert_eq!([dockerfile, context, image], expected, "{text}");
        }
        for (text, words) in [
            ("build: {context: ..}", "outside of the repository"),
            ("build: {dockerfile: /etc/passwd}", "outside of the repository"),
            ("build: {dockerfile: .}", "names a folder"),
            ("build: {dockerfil: x}", "did you mean `dockerfile`?"),
        ] {
            assert!(build(text, ".exitone.yaml").expect_err(text).contains(words), "{text}");
        }
    }

    #[test]
    fn the_rest_of_the_file_stays_in_its_place() {
        let text = "build:\n  image: app\n\n# a comment\n  context: .\nservice: {}\nconditions: []\n";
        assert_eq!(without_build(text, None), "\n\n\n\n\nservice: {}\nconditions: []\n");
        let text = "build: {image: app}\nservice: {}\n";
        assert_eq!(without_build(text, Some("app")), "candidates: [\"app\"]\nservice: {}\n");
    }
}
