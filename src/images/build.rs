//! Builds missing images and loads them in one archive that contains shared layers once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::base::{self, Base};
use super::recipe::{BASE, CANDIDATES, DEBIAN_PACKAGES, POSTGRES, POSTGRES_NAME, Recipe, SOURCES};
use super::tree::{embedded, pack_folder};
use super::{BuildError, CONTENT_LABEL, Source, postgres};
use crate::engine::archive::{self, Layer, NewImage};
use crate::engine::context::hex;
use crate::engine::{Engine, EngineError, IMAGE_LABEL};
use crate::model::condition::nearest;

/// Part of every content digest: changing it rebuilds everything.
const BUILDER: &str = "2";
const DISK_HINT: &str = "About 1 GB of temporary space is needed; TMPDIR sets its location.";
/// The directory of the packages in a candidate.
const SITE: &str = "opt/site";

/// The result of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// The images that were built.
    pub(crate) built: Vec<String>,
    /// The images that existed already.
    pub(crate) present: Vec<String>,
    /// Images for another architecture that cannot be built here, and why; the others do not need them.
    pub(crate) skipped: Vec<(String, String)>,
}

/// Builds the named images, or all candidates, unless the engine has them with the current sources.
///
/// # Errors
/// The engine's errors; a package or an image that cannot be fetched; an unknown name.
pub async fn build(
    engine: &dyn Engine,
    names: &[String],
    source: &Source,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Built, BuildError> {
    let mut report = Built::default();
    let mut missing = Vec::new();
    for one in select(names)? {
        if one.is_built(engine).await? {
            report.present.push(one.name());
        } else {
            missing.push(one);
        }
    }
    if missing.is_empty() {
        return Ok(report);
    }
    let folder = tempfile::tempdir().map_err(|e| BuildError::step("creating a work directory", e, DISK_HINT))?;
    let work = Work { engine, source, folder: folder.path(), progress };
    let mut images = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let recipes: Vec<&Recipe> =
            missing.iter().filter_map(|one| one.recipe()).filter(|r| r.architecture == architecture).collect();
        if recipes.is_empty() {
            continue;
        }
        match work.candidates(architecture, &recipes).await {
            Ok(made) => images.extend(made),
            // Not every registry and engine provides files for a foreign architecture.
            Err(error) if architecture != "amd64" && names.is_empty() => {
                report.skipped.extend(recipes.iter().map(|r| (r.name(), error.to_string())));
            }
            Err(error) => return Err(error),
        }
    }
    if missing.iter().any(|one| one.recipe().is_none()) {
        images.push(work.postgres().await?);
    }
    report.built = images.iter().map(|image| image.tag.clone()).collect();
    if !images.is_empty() {
        work.load(images).await?;
    }
    Ok(report)
}

/// Whether a candidate for the platform's architecture must still be built.
///
/// # Errors
/// The engine's errors; an image of this name that is not ours.
pub(crate) async fn is_missing(engine: &dyn Engine) -> Result<bool, BuildError> {
    for recipe in CANDIDATES.iter().filter(|recipe| recipe.architecture == "amd64") {
        if !Target::Candidate(recipe).is_built(engine).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Something to build.
#[derive(Clone, Copy)]
enum Target {
    Candidate(&'static Recipe),
    Postgres,
}

impl Target {
    fn name(self) -> String {
        self.recipe().map_or_else(|| POSTGRES.to_owned(), Recipe::name)
    }

    fn recipe(self) -> Option<&'static Recipe> {
        match self {
            Self::Candidate(recipe) => Some(recipe),
            Self::Postgres => None,
        }
    }

    /// Whether the engine has it with the current sources.
    async fn is_built(self, engine: &dyn Engine) -> Result<bool, BuildError> {
        has(engine, &self.name(), &self.content(engine).await?).await
    }

    async fn content(self, engine: &dyn Engine) -> Result<String, BuildError> {
        match self {
            Self::Candidate(recipe) => Ok(content(recipe)),
            Self::Postgres => Ok(postgres_content(engine.info().await?.architecture())),
        }
    }
}

fn select(names: &[String]) -> Result<Vec<Target>, BuildError> {
    if names.is_empty() {
        return Ok(CANDIDATES.iter().map(Target::Candidate).collect());
    }
    let find = |name: &String| {
        if name == POSTGRES_NAME || name == POSTGRES {
            return Ok(Target::Postgres);
        }
        let candidate = CANDIDATES.iter().find(|r| r.tag == *name || r.name() == *name);
        candidate.map(Target::Candidate).ok_or_else(|| BuildError::Unknown {
            name: name.clone(),
            nearest: nearest(name, CANDIDATES.iter().map(|r| r.tag).chain([POSTGRES_NAME])).map(ToOwned::to_owned),
        })
    };
    names.iter().map(find).collect()
}

/// Shared input of all build steps.
struct Work<'a> {
    engine: &'a dyn Engine,
    source: &'a Source,
    folder: &'a Path,
    progress: &'a (dyn Fn(&str) + Sync),
}

impl Work<'_> {
    /// The candidates for an architecture, and their common base.
    async fn candidates(&self, architecture: &str, recipes: &[&Recipe]) -> Result<Vec<NewImage>, BuildError> {
        let (base, site) = self.parts(architecture).await?;
        let mut images = Vec::new();
        if architecture == "amd64" {
            images.push(base_image(&base));
        }
        for recipe in recipes {
            images.push(image(recipe, &base, &site, self.folder).await?);
        }
        Ok(images)
    }

    /// The base and the layer of installed packages for an architecture.
    async fn parts(&self, architecture: &str) -> Result<(Base, Layer), BuildError> {
        let progress = self.progress;
        progress(&format!("making the Python base for {architecture}"));
        let base = base::make(self.engine, self.source, architecture, self.folder).await?;
        progress(&format!("base for {architecture}: {}, Python {}", base.from, base.python));
        if self.source.offline {
            let cause = "--offline forbids fetching the Python packages";
            return Err(BuildError::step("fetching the Python packages", cause, "Run it once without --offline."));
        }
        progress(&format!("fetching the Python packages for {architecture}"));
        let list = self.folder.join("requirements.txt");
        std::fs::write(&list, requirements())
            .map_err(|e| BuildError::step("writing the requirements", e, DISK_HINT))?;
        let site = self.folder.join(format!("site-{architecture}"));
        base::packages(&list, &base.python, architecture, &site).await?;
        if architecture == "amd64" && !base::compile(&site, &base.python).await? {
            progress(&format!("Python {} not found: the candidates will start more slowly", base.python));
        }
        let tar = self.folder.join(format!("site-{architecture}.tar"));
        Ok((base, pack(site, SITE.to_owned(), tar).await?))
    }

    /// The database runs next to candidates of any architecture, so it is built for the engine's own.
    async fn postgres(&self) -> Result<NewImage, BuildError> {
        let info = self.engine.info().await?;
        let architecture = info.architecture();
        (self.progress)(&format!("making PostgreSQL for {architecture}"));
        let made = postgres::make(self.engine, self.source, architecture, self.folder).await?;
        (self.progress)(&format!("PostgreSQL: {}", made.from));
        let labels = labels("service", &postgres_content(architecture));
        Ok(NewImage { tag: POSTGRES.to_owned(), labels, ..made.image })
    }

    async fn load(&self, images: Vec<NewImage>) -> Result<(), BuildError> {
        let count = images.len();
        (self.progress)(&format!("loading {count} image{}", if count == 1 { "" } else { "s" }));
        let file = self.folder.join("images.tar");
        let target = file.clone();
        tokio::task::spawn_blocking(move || archive::write(&images, std::fs::File::create(target)?))
            .await
            .map_err(|e| BuildError::step("packing the images", e, DISK_HINT))?
            .map_err(|e| BuildError::step("packing the images", e, DISK_HINT))?;
        Ok(self.engine.load_image(&file).await?)
    }
}

/// Whether the engine has an image with this name and exactly this content.
///
/// # Errors
/// The engine's errors; an image with this name that is not ours.
pub async fn has(engine: &dyn Engine, name: &str, content: &str) -> Result<bool, BuildError> {
    match engine.inspect_image(name).await {
        Ok(image) => match image.labels.get(CONTENT_LABEL) {
            Some(label) => Ok(label == content),
            None => Err(BuildError::step(
                format!("building {name}"),
                "an image with this name exists and was not built by exitone",
                "Give your image another name first (`docker tag`, then `docker rmi` the old name).",
            )),
        },
        Err(EngineError::ImageNotFound { .. }) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The digest of everything that goes into a candidate.
fn content(recipe: &Recipe) -> String {
    let made_of = format!("{} {:?} {:?} {}", recipe.architecture, recipe.cmd(), recipe.env, recipe.created);
    let mut parts = vec![DEBIAN_PACKAGES.join(",").into_bytes(), made_of.into_bytes(), requirements().to_vec()];
    for (name, bytes) in app_files(recipe) {
        parts.extend([name.into_bytes(), bytes.to_vec()]);
    }
    digest(&parts)
}

fn postgres_content(architecture: &str) -> String {
    digest(&postgres::parts(architecture))
}

/// The digest of everything that goes into an image, for [`CONTENT_LABEL`].
#[must_use]
pub fn digest(parts: &[Vec<u8>]) -> String {
    let mut hash = Sha256::new();
    for part in [BUILDER.as_bytes()].into_iter().chain(parts.iter().map(Vec::as_slice)) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn requirements() -> &'static [u8] {
    SOURCES.get_file("requirements.txt").map(include_dir::File::contents).unwrap_or_default()
}

fn app_files(recipe: &Recipe) -> Vec<(String, &'static [u8])> {
    SOURCES.get_dir(format!("src/{}", recipe.source)).map(embedded).unwrap_or_default()
}

async fn pack(folder: PathBuf, prefix: String, tar: PathBuf) -> Result<Layer, BuildError> {
    let packed = tokio::task::spawn_blocking(move || {
        pack_folder(&folder, &prefix, &tar)?;
        Layer::of_file(&tar)
    });
    packed
        .await
        .map_err(|e| BuildError::step("packing a layer", e, DISK_HINT))?
        .map_err(|e| BuildError::step("packing a layer", e, DISK_HINT))
}

fn labels(role: &str, content: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(IMAGE_LABEL.to_owned(), role.to_owned()), (CONTENT_LABEL.to_owned(), content.to_owned())])
}

fn base_image(base: &Base) -> NewImage {
    NewImage {
        tag: BASE.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["python3".to_owned()],
        env: base.env.iter().cloned().collect(),
        workdir: "/".to_owned(),
        labels: labels("base", BUILDER),
        layers: base.layers.clone(),
        ..NewImage::default()
    }
}

async fn image(recipe: &Recipe, base: &Base, site: &Layer, work: &Path) -> Result<NewImage, BuildError> {
    let folder = work.join(format!("app-{}", recipe.tag));
    for (name, bytes) in app_files(recipe) {
        let path = folder.join(&name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, bytes));
        written.map_err(|e| BuildError::step("writing a source file", e, DISK_HINT))?;
    }
    if recipe.architecture == "amd64" {
        base::compile(&folder, &base.python).await?;
    }
    let app = pack(folder, "app".to_owned(), work.join(format!("app-{}.tar", recipe.tag))).await?;
    let mut env: BTreeMap<String, String> = base.env.iter().cloned().collect();
    env.insert("PYTHONPATH".to_owned(), format!("/app:/{SITE}"));
    env.extend(recipe.env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut layers = base.layers.clone();
    layers.extend([site.clone(), app]);
    Ok(NewImage {
        tag: recipe.name(),
        architecture: recipe.architecture.to_owned(),
        cmd: recipe.cmd(),
        env,
        workdir: "/app".to_owned(),
        labels: labels("candidate", &content(recipe)),
        created: recipe.created,
        layers,
        ..NewImage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_is_built_only_by_name() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            select(&names).map(|all| all.iter().map(|one| one.name()).collect::<Vec<_>>()).map_err(|e| e.to_string())
        };
        assert_eq!(names(&[]), Ok(super::super::candidate_names()));
        for name in ["postgres", "exitone/postgres:latest"] {
            assert_eq!(names(&[name]), Ok(vec![POSTGRES.to_owned()]));
        }
        assert_eq!(names(&["v19-photo-fix"]), Ok(vec!["nerava-backend:v19-photo-fix".to_owned()]));
        let error = "no bundled image is called `postgers`; did you mean `postgres`?";
        assert_eq!(names(&["postgers"]), Err(error.to_owned()));
    }

    #[test]
    fn digest_distinguishes_parts() {
        assert_ne!(digest(&[b"ab".to_vec(), b"c".to_vec()]), digest(&[b"a".to_vec(), b"bc".to_vec()]));
        assert_ne!(postgres_content("amd64"), postgres_content("arm64"));
    }
}
