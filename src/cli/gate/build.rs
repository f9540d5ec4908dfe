//! The image of a commit.

use serde::{Deserialize, Serialize};

use super::git::Repo;
use super::named::Build;
use crate::cli::builder::{self, NotBuilt};

/// The repository of the gate's images.
pub(crate) const REPOSITORY: &str = "exitone-gate";

/// An image that was built.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    /// Its name.
    pub(crate) tag: String,
    /// Its content address.
    pub(crate) id: String,
}

/// Why there is no image.
#[derive(Debug)]
pub(crate) enum NoImage {
    /// The commit cannot be built; the end of the builder's output.
    Commit(String),
    /// This machine cannot build it.
    Machine(String),
}

/// The name of a commit's image.
pub(crate) fn tag(image: &str, commit: &str) -> String {
    format!("{REPOSITORY}/{}:{}", repository(image), short(commit))
}

/// The customary short form of a commit id.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// Converts a name to a valid repository name: lower-case letters and digits with single separators.
fn repository(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let last = last.split([':', '@']).next().unwrap_or(last).to_ascii_lowercase();
    let words: Vec<&str> = last.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "image".to_owned() } else { words.join("-") }
}

/// What the image of a commit is made of; `None` if only building it would tell.
pub(crate) async fn ingredients(repo: &Repo, commit: &str, build: &Build) -> Option<Vec<String>> {
    for path in [&build.context, &build.dockerfile] {
        if !repo.is_plain(commit, path).await {
            return None;
        }
    }
    let context = repo.object(commit, &build.context).await?;
    let dockerfile = repo.object(commit, &build.dockerfile).await?;
    let ignore = repo.object(commit, &build.own_ignore()).await.unwrap_or_default();
    Some(vec![context, dockerfile, ignore, build.dockerfile.clone(), build.context.clone(), build.image.clone()])
}

/// Builds the image of a commit, from a temporary directory with its files.
///
/// # Errors
/// When git or the builder fails.
pub(crate) async fn build(repo: &Repo, commit: &str, build: &Build) -> Result<String, NoImage> {
    let machine = |e: std::io::Error| NoImage::Machine(format!("creating a temporary directory: {e}"));
    let folder = tempfile::Builder::new().prefix("exitone-gate-").tempdir().map_err(machine)?;
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).map_err(machine)?;
    let wrong = |e| NoImage::Machine(format!("checking out {}: {e}", short(commit)));
    repo.check_out(commit, &tree, &folder.path().join("index")).await.map_err(wrong)?;
    let (dockerfile, context) = (tree.join(&build.dockerfile), tree.join(&build.context));
    if !dockerfile.is_file() {
        return Err(NoImage::Commit(format!("the commit has no file {}", build.dockerfile)));
    }
    if !context.is_dir() {
        return Err(NoImage::Commit(format!("the commit has no directory {}", build.context)));
    }
    let tag = tag(&build.image, commit);
    match builder::build(&tag, "gate", &dockerfile, &context).await {
        Ok(()) => Ok(tag),
        Err(NotBuilt::Image(said)) => Err(NoImage::Commit(said)),
        Err(NotBuilt::Machine(why)) => Err(NoImage::Machine(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_are_valid() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (image, expected) in [
            ("my-service", "exitone-gate/my-service:0123456789"),
            ("registry:5000/team/App:latest", "exitone-gate/app:0123456789"),
            ("app@sha256:00", "exitone-gate/app:0123456789"),
            ("My App__2", "exitone-gate/my-app-2:0123456789"),
            ("-", "exitone-gate/image:0123456789"),
        ] {
            assert_eq!(tag(image, commit), expected);
        }
    }
}
