//! Images in files, as `docker save` writes them: their contents are read before they are loaded.
//!
//! Formats: <https://github.com/moby/docker-image-spec> (version 1.2, `manifest.json`) and
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md> (`index.json`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use sha2::{Digest, Sha256};

use super::context::hex;
use super::{Engine, EngineError};
use crate::model::image::env_map;
use crate::model::{ImageFacts, ImageId};

/// The size limit of a manifest or an image configuration, in bytes.
const LARGEST: u64 = 4 << 20;
/// The deepest nesting of indexes that is followed.
const DEEPEST: usize = 3;
/// File name extensions of archives.
const ENDINGS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];
/// The first bytes of compressed formats that only the engine can read.
const PACKED: [(&[u8], &str); 3] = [(b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2")];
const GZIP: &[u8] = b"\x1f\x8b";
/// Builders store attestations next to an image as an image without a platform
/// (<https://docs.docker.com/build/metadata/attestations/attestation-storage/>).
const ATTESTATION: &str = "vnd.docker.reference.type";
/// Where the engine stores an image's full name (containerd's `images.AnnotationImageName`).
const WHOLE_NAME: &str = "io.containerd.image.name";
/// A tag, or a full name (<https://github.com/opencontainers/image-spec/blob/main/annotations.md>).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a saved image cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SavedError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        cause: String,
    },
    /// It is not a tar archive.
    #[error("{} is not an archive of `docker save`", path.display())]
    NotAnArchive {
        /// The file.
        path: PathBuf,
    },
    /// Its compression is not supported.
    #[error("{} is compressed with {how}", path.display())]
    Packed {
        /// The file.
        path: PathBuf,
        /// The compression.
        how: &'static str,
    },
    /// It has neither a `manifest.json` nor an `index.json`, or no image.
    #[error("{} contains no image (manifest.json and index.json are missing or empty)", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
    },
    /// It contains several images.
    #[error("{} contains {} images: {}", path.display(), names.len(), names.join(", "))]
    Several {
        /// The file.
        path: PathBuf,
        /// Their names, or the beginnings of their ids.
        names: Vec<String>,
    },
    /// A part of it is suspiciously large.
    #[error("{}: {part} is larger than {} MiB", path.display(), LARGEST >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Which part.
        part: String,
    },
    /// A part of it is missing or invalid.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Loading it would take the name away from another image.
    #[error(
        "{} contains `{tag}` ({id}), but on this engine that name belongs to another image ({there})",
        path.display()
    )]
    NameTaken {
        /// The file.
        path: PathBuf,
        /// The name.
        tag: String,
        /// The short id of the image in the file.
        id: String,
        /// The short id of the image on the engine.
        there: String,
    },
    /// The engine loaded it but does not find it.
    #[error("{} was loaded, but the engine has no image {id}", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl SavedError {
    /// What to do about it.
    #[must_use]
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "Check the path and its permissions.",
            Self::NotAnArchive { .. } | Self::NoImage { .. } | Self::TooLarge { .. } | Self::Malformed { .. } => {
                "Save it again with `docker save IMAGE -o FILE.tar` (not `docker export`)."
            }
            Self::Packed { .. } => "Decompress it first, or `docker load` it and name the image.",
            Self::Several { .. } => "Save each image in a file of its own, or `docker load` it and name the images.",
            Self::NameTaken { .. } => {
                "Loading it would move the name. Give the image on the engine another name and take this one from it \
                 (`docker tag OLD NEW`, `docker rmi OLD`), or save the image under another name."
            }
            Self::NotFound { .. } => "Save it with a name: `docker save NAME:TAG -o FILE.tar`.",
            Self::Engine(e) => e.hint(),
        }
    }
}

/// An image in a file.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its names, possibly none.
    pub(crate) tags: Vec<String>,
    /// Its configuration; its id is the digest of that, and `size` is unknown.
    pub(crate) facts: ImageFacts,
    /// Digests that some engines use as its id: those of its manifest and its index.
    pub(crate) other_ids: Vec<ImageId>,
}

impl Saved {
    /// Whether an image on the engine is this one: the same id, or the same layers with the same settings, because
    /// engines that keep manifests make up an id when they load an archive without one.
    #[must_use]
    pub(crate) fn is(&self, found: &ImageFacts) -> bool {
        let own = &self.facts;
        let settings = |f: &ImageFacts| {
            let command = (f.entrypoint.clone(), f.cmd.clone(), f.workdir.clone(), f.user.clone());
            (f.platform(), command, f.env.clone(), f.labels.clone())
        };
        own.id == found.id
            || self.other_ids.contains(&found.id)
            || (!own.layers.is_empty() && own.layers == found.layers && settings(own) == settings(found))
    }
}

/// Whether a command line argument means a saved image rather than an image name: a path (no image name starts like
/// one), or a name with an archive's extension.
#[must_use]
pub(crate) fn is_path(word: &str) -> bool {
    let path = ["/", "./", "../"].iter().any(|start| word.starts_with(start));
    let ending = ENDINGS.iter().any(|ending| word.ends_with(ending));
    // `app:v1.tar` may be an image.
    path || (ending && (!word.contains(':') || Path::new(word).is_file()))
}

/// Reads the contents of an archive. Layers are skipped; a compressed archive is decompressed completely.
///
/// # Errors
/// When it is not an archive of exactly one image.
pub(crate) fn read_saved(path: &Path) -> Result<Saved, SavedError> {
    let reader = Reader { path };
    let mut found = reader.parts(&["manifest.json", "index.json"])?;
    let index = found.remove("index.json");
    let (config, tags, other_ids) = match found.remove("manifest.json") {
        Some(manifest) => {
            let (config, tags) = reader.manifest(&manifest)?;
            // An unreadable index is not needed.
            let index: Index = index.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
            (config, tags, index.manifests.into_iter().map(|d| ImageId(d.digest)).collect())
        }
        None => reader.layout(&index.ok_or_else(|| reader.no_image())?)?,
    };
    let bytes = reader.part(&config)?;
    let facts = facts(&reader.json(&config, &bytes)?, &bytes, tags.first());
    Ok(Saved { path: path.to_owned(), tags, facts, other_ids })
}

/// Loads an archive unless its image is already on the engine, and returns the reference to use: the first of its tags
/// that refers to it, else the id.
///
/// # Errors
/// [`SavedError::NameTaken`] if the engine would have to take a name from another image; errors of the engine.
pub(crate) async fn load(engine: &dyn Engine, saved: &Saved) -> Result<String, SavedError> {
    let before = find_existing(engine, saved).await?;
    if let Some(reference) = before.reference {
        return Ok(reference);
    }
    if let Some((tag, there)) = before.taken {
        let (id, there) = (short(&saved.facts.id), short(&there));
        return Err(SavedError::NameTaken { path: saved.path.clone(), tag, id, there });
    }
    engine.load_image(&saved.path).await?;
    let not_found = || SavedError::NotFound { path: saved.path.clone(), id: saved.facts.id.0.clone() };
    find_existing(engine, saved).await?.reference.ok_or_else(not_found)
}

/// What the engine has of a saved image.
struct Existing {
    reference: Option<String>,
    /// A name of it that refers to another image.
    taken: Option<(String, ImageId)>,
}

async fn find_existing(engine: &dyn Engine, saved: &Saved) -> Result<Existing, EngineError> {
    let mut taken = None;
    let ids = [&saved.facts.id].into_iter().chain(&saved.other_ids).map(|id| &id.0);
    for reference in saved.tags.iter().chain(ids) {
        match engine.inspect_image(reference).await {
            Ok(found) if saved.is(&found) => return Ok(Existing { reference: Some(reference.clone()), taken }),
            Ok(found) => taken = taken.or(Some((reference.clone(), found.id))),
            Err(EngineError::ImageNotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(Existing { reference: None, taken })
}

fn short(id: &ImageId) -> String {
    id.0.trim_start_matches("sha256:").chars().take(12).collect()
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    config: String,
    repo_tags: Option<Vec<String>>,
}

/// `index.json`, a nested index, or a manifest: their common fields.
#[derive(Default, Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

/// An image's configuration (<https://github.com/opencontainers/image-spec/blob/main/config.md>).
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    config: Option<Settings>,
    rootfs: Option<RootFs>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Settings {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    working_dir: Option<String>,
    user: Option<String>,
    volumes: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

fn facts(config: &Config, bytes: &[u8], tag: Option<&String>) -> ImageFacts {
    let id = format!("sha256:{}", hex(&Sha256::digest(bytes)));
    let none = Settings::default();
    let settings = config.config.as_ref().unwrap_or(&none);
    ImageFacts {
        reference: tag.unwrap_or(&id).clone(),
        id: ImageId(id),
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        entrypoint: settings.entrypoint.clone().unwrap_or_default(),
        cmd: settings.cmd.clone().unwrap_or_default(),
        env: env_map(settings.env.as_deref().unwrap_or_default()),
        labels: settings.labels.clone().unwrap_or_default(),
        workdir: settings.working_dir.clone().unwrap_or_default(),
        user: settings.user.clone().unwrap_or_default(),
        volumes: settings.volumes.iter().flat_map(BTreeMap::keys).cloned().collect(),
        layers: config.rootfs.as_ref().map(|rootfs| rootfs.diff_ids.clone()).unwrap_or_default(),
        ..ImageFacts::default()
    }
}

/// An image of an index.
struct Listed {
    name: Option<String>,
    platform: Option<String>,
    config: String,
    ids: Vec<ImageId>,
}

/// Reads parts of an archive.
struct Reader<'a> {
    path: &'a Path,
}

impl Reader<'_> {
    fn unreadable(&self, cause: &io::Error) -> SavedError {
        SavedError::Unreadable { path: self.path.to_owned(), cause: cause.to_string() }
    }

    fn malformed(&self, problem: String) -> SavedError {
        SavedError::Malformed { path: self.path.to_owned(), problem }
    }

    fn no_image(&self) -> SavedError {
        SavedError::NoImage { path: self.path.to_owned() }
    }

    fn json<T: DeserializeOwned>(&self, part: &str, bytes: &[u8]) -> Result<T, SavedError> {
        serde_json::from_slice(bytes).map_err(|e| self.malformed(format!("invalid {part}: {e}")))
    }

    fn part(&self, name: &str) -> Result<Vec<u8>, SavedError> {
        let missing = || self.malformed(format!("{name} is missing"));
        self.parts(&[name])?.remove(name).ok_or_else(missing)
    }

    /// The parts with these names that exist.
    fn parts(&self, names: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, SavedError> {
        let mut file = File::open(self.path).map_err(|e| self.unreadable(&e))?;
        let mut start = Vec::new();
        (&file).take(8).read_to_end(&mut start).map_err(|e| self.unreadable(&e))?;
        file.rewind().map_err(|e| self.unreadable(&e))?;
        if let Some((_, how)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err(SavedError::Packed { path: self.path.to_owned(), how });
        }
        if start.starts_with(GZIP) {
            let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
            let entries = archive.entries();
            return self.pick(entries.map_err(|e| self.unreadable(&e))?, names);
        }
        let mut archive = tar::Archive::new(file);
        let entries = archive.entries_with_seek();
        self.pick(entries.map_err(|e| self.unreadable(&e))?, names)
    }

    fn pick<R: Read>(
        &self,
        entries: tar::Entries<'_, R>,
        names: &[&str],
    ) -> Result<BTreeMap<String, Vec<u8>>, SavedError> {
        let mut found = BTreeMap::new();
        let mut any = false;
        for entry in entries {
            // The first entry decides: any file may begin with something that is not a header.
            let mut entry = entry.map_err(|e| if any { self.unreadable(&e) } else { self.no_archive() })?;
            any = true;
            let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
            if !names.contains(&name.as_str()) {
                continue;
            }
            if entry.size() > LARGEST {
                return Err(SavedError::TooLarge { path: self.path.to_owned(), part: name });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| self.unreadable(&e))?;
            found.insert(name, bytes);
            if found.len() == names.len() {
                break;
            }
        }
        if any { Ok(found) } else { Err(self.no_archive()) }
    }

    fn no_archive(&self) -> SavedError {
        SavedError::NotAnArchive { path: self.path.to_owned() }
    }

    /// The configuration's name and the tags of the only image.
    fn manifest(&self, bytes: &[u8]) -> Result<(String, Vec<String>), SavedError> {
        let entries: Vec<Manifest> = self.json("manifest.json", bytes)?;
        let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in entries {
            images.entry(entry.config).or_default().extend(entry.repo_tags.unwrap_or_default());
        }
        let id = |config: &str| config.rsplit('/').next().unwrap_or(config).chars().take(12).collect();
        let name = |(config, tags): (&String, &Vec<String>)| tags.first().cloned().unwrap_or_else(|| id(config));
        match images.len() {
            0 => Err(self.no_image()),
            1 => images.pop_first().ok_or_else(|| self.no_image()),
            _ => Err(SavedError::Several { path: self.path.to_owned(), names: images.iter().map(name).collect() }),
        }
    }

    /// The configuration's name, the tags and the other ids of the only image of an OCI layout.
    fn layout(&self, bytes: &[u8]) -> Result<(String, Vec<String>, Vec<ImageId>), SavedError> {
        let index: Index = self.json("index.json", bytes)?;
        let mut images: BTreeMap<String, Vec<Listed>> = BTreeMap::new();
        for image in self.images(index.manifests, &[], None, DEEPEST)? {
            images.entry(image.config.clone()).or_default().push(image);
        }
        if images.len() > 1 {
            let names = images.into_values().flatten().map(|image| {
                let name = image.name.unwrap_or_else(|| image.ids.last().map(short).unwrap_or_default());
                image.platform.map_or(name.clone(), |platform| format!("{name} ({platform})"))
            });
            return Err(SavedError::Several { path: self.path.to_owned(), names: names.collect() });
        }
        let (config, listed) = images.pop_first().ok_or_else(|| self.no_image())?;
        let tags: BTreeSet<String> = listed.iter().filter_map(|image| image.name.clone()).collect();
        let ids = listed.into_iter().flat_map(|image| image.ids).collect();
        Ok((config, tags.into_iter().collect(), ids))
    }

    /// The images that the descriptors refer to; those not in the archive (other platforms) are skipped.
    fn images(
        &self,
        descriptors: Vec<Descriptor>,
        above: &[ImageId],
        name: Option<&str>,
        depth: usize,
    ) -> Result<Vec<Listed>, SavedError> {
        let wanted = descriptors.into_iter().filter(|d| !d.annotations.contains_key(ATTESTATION));
        let wanted: Vec<(String, Descriptor)> =
            wanted.map(|d| Ok((self.blob(&d.digest)?, d))).collect::<Result<_, SavedError>>()?;
        let paths: BTreeSet<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
        let parts = self.parts(&paths.into_iter().collect::<Vec<_>>())?;
        let mut found = Vec::new();
        for (path, descriptor) in &wanted {
            let Some(bytes) = parts.get(path) else { continue };
            let document: Index = self.json(path, bytes)?;
            let own_name = whole_name(&descriptor.annotations);
            let name = own_name.as_deref().or(name);
            let ids: Vec<ImageId> = above.iter().cloned().chain([ImageId(descriptor.digest.clone())]).collect();
            if let Some(config) = document.config {
                let platform = descriptor.platform.as_ref().map(|p| format!("{}/{}", p.os, p.architecture));
                let config = self.blob(&config.digest)?;
                found.push(Listed { name: name.map(ToOwned::to_owned), platform, config, ids });
            } else if depth > 0 {
                found.extend(self.images(document.manifests, &ids, name, depth - 1)?);
            }
        }
        Ok(found)
    }

    /// The path of a blob: `sha256:…` is `blobs/sha256/…`.
    fn blob(&self, digest: &str) -> Result<String, SavedError> {
        match digest.split_once(':') {
            Some((kind, hex)) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(format!("blobs/{kind}/{hex}")),
            _ => Err(self.malformed(format!("`{digest}` is not a digest"))),
        }
    }
}

/// A name as the engine shows it: without the default registry.
fn whole_name(annotations: &BTreeMap<String, String>) -> Option<String> {
    let tag_only = |name: &&String| name.contains(':');
    let name = annotations.get(WHOLE_NAME).or_else(|| annotations.get(REF_NAME).filter(tag_only))?;
    let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/"));
    Some(short.unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests;
