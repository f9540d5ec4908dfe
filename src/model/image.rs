//! What is known about an image before it runs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::nearest;

/// The content address of an image (`sha256:…`).
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub(crate) String);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The image's own configuration, as the engine reports it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The requested name.
    pub reference: String,
    /// The content address.
    pub id: ImageId,
    /// The digests of its manifest, as registries know it: `REPOSITORY@sha256:…`.
    pub digests: Vec<String>,
    /// `linux` for every image that App Runner can run.
    pub os: String,
    /// `amd64` for every image that App Runner can run.
    pub architecture: String,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV.
    pub env: BTreeMap<String, String>,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
    /// WORKDIR; empty for the root directory.
    pub workdir: String,
    /// USER; empty for root.
    pub user: String,
    /// Size on the engine's disk in bytes, all layers.
    pub size: u64,
    /// The platforms of an index (`linux/amd64` …) if the engine keeps several; else empty.
    pub platforms: Vec<String>,
    /// VOLUME.
    pub volumes: Vec<String>,
    /// Digests of the layers' contents (`sha256:…` of the uncompressed archives), lowest first.
    pub layers: Vec<String>,
}

/// The environment's values are not shown: people bake secrets into images.
impl fmt::Debug for ImageFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageFacts").field("reference", &self.reference).field("id", &self.id).finish_non_exhaustive()
    }
}

impl ImageFacts {
    /// `linux/amd64`.
    #[must_use]
    pub(crate) fn platform(&self) -> String {
        format!("{}/{}", self.os, self.architecture)
    }

    /// Whether a Linux machine of this architecture executes the image.
    #[must_use]
    pub(crate) fn runs_on(&self, architecture: &str) -> bool {
        self.os == "linux" && self.architecture == architecture
    }
}

/// Parses the `NAME=VALUE` entries of an image's or a container's configuration.
#[must_use]
pub(crate) fn env_map<S: AsRef<str>>(entries: &[S]) -> BTreeMap<String, String> {
    entries
        .iter()
        .filter_map(|e| e.as_ref().split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Customary length of a short digest.
const SHORT: usize = 12;

/// The part of a reference that serves as its version: the tag, or the short digest.
#[must_use]
pub(crate) fn short_name(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    match (short_digest(name), name.split_once(':')) {
        (Some(digest), _) => digest,
        (None, Some((_, tag))) if tag != "latest" => tag,
        (None, Some((repository, _))) => repository,
        (None, None) => name,
    }
}

/// The beginning of the digest in a name, if it has one.
fn short_digest(name: &str) -> Option<&str> {
    let id = name.strip_prefix("sha256:").or_else(|| name.split_once("@sha256:").map(|(_, digest)| digest));
    // A full id may lack its prefix: no image can have such a name.
    let whole = || Some(name).filter(|name| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit()));
    let digest = id.or_else(whole)?;
    Some(digest.get(..SHORT).unwrap_or(digest))
}

/// A name for where no other image is named: the repository and the tag, without a registry, or the short digest.
#[must_use]
pub(crate) fn plain_name(reference: &str) -> &str {
    let name = reference.rsplit('/').next().unwrap_or(reference);
    short_digest(name).unwrap_or(name)
}

/// The name that is probably meant by one that no image has: the same repository and tag in another registry or in none,
/// else one that is written almost alike.
pub(crate) fn nearest_name<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let own = |name: &'a str| name.rsplit('/').next().unwrap_or(name);
    let wanted = name.rsplit('/').next().unwrap_or(name);
    let wanted = if wanted.contains([':', '@']) { wanted.to_owned() } else { format!("{wanted}:latest") };
    let elsewhere = known.iter().map(String::as_str).find(|known| own(known) == wanted);
    elsewhere.or_else(|| nearest(name, known.iter().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::{nearest_name, plain_name, short_name};

    #[test]
    fn name_of_another_registry_is_the_nearest() {
        let known = ["app:v1", "app:v2", "team/web:latest"].map(str::to_owned);
        let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shop/app:v2";
        for (name, expected) in
            [(ecr, Some("app:v2")), ("web", Some("team/web:latest")), ("ap:v1", Some("app:v1")), ("other:v2", None)]
        {
            assert_eq!(nearest_name(name, &known), expected, "{name}");
        }
    }

    #[test]
    fn shortens_names_to_versions() {
        assert_eq!(short_name("nerava-backend:v19-photo-fix"), "v19-photo-fix");
        assert_eq!(short_name("registry:5000/team/app:latest"), "app");
        assert_eq!(short_name("app"), "app");
        assert_eq!(short_name("a/b@sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_name("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_name("sha256:0123"), "0123");
        assert_eq!(short_name("a@sha256:0123456789aä"), "0123456789aä");
        assert_eq!(short_name(&"0123456789abcdef".repeat(4)), "0123456789ab");
        assert_eq!(short_name("0123456789abcdef"), "0123456789abcdef");
    }

    #[test]
    fn plain_names_have_the_repository() {
        let id = "0123456789abcdef".repeat(4);
        for (reference, expected) in [
            ("nerava-backend:v19-photo-fix", "nerava-backend:v19-photo-fix"),
            ("registry:5000/team/app:v1", "app:v1"),
            ("registry:5000/team/app:latest", "app:latest"),
            ("team/app", "app"),
            ("a/b@sha256:0123456789abcdef", "0123456789ab"),
            ("sha256:0123456789abcdef", "0123456789ab"),
            (id.as_str(), "0123456789ab"),
        ] {
            assert_eq!(plain_name(reference), expected, "{reference}");
        }
    }
}
