//! Builds images with `docker build`: of a commit for the gate, of a candidate for a run.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::console::say;
use super::failure::Failure;
use crate::engine::IMAGE_LABEL;
use crate::scenario::Build;

/// Number of lines shown of a failed build.
const SHOWN: usize = 40;

/// Why there is no image.
#[derive(Debug)]
pub(crate) enum NotBuilt {
    /// The build failed; the end of the builder's output.
    Image(String),
    /// This machine cannot build.
    Machine(String),
}

/// Builds an image; `role` is its purpose.
///
/// # Errors
/// When the builder fails.
pub(crate) async fn build(tag: &str, role: &str, dockerfile: &Path, context: &Path) -> Result<(), NotBuilt> {
    let mut docker = Command::new("docker");
    docker
        .args(["build", "--quiet", "--label", &format!("{IMAGE_LABEL}={role}"), "--tag", tag, "--file"])
        .arg(dockerfile)
        .arg(context)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output =
        docker.output().await.map_err(|e| NotBuilt::Machine(format!("cannot build {tag}: starting `docker`: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(NotBuilt::Image(end(&String::from_utf8_lossy(&said))))
}

/// Missing files that builds name; checked before anything else.
pub(crate) fn missing<'a>(wanted: impl IntoIterator<Item = &'a Build>) -> Vec<String> {
    let mut missing = Vec::new();
    for Build { image, dockerfile, context } in wanted {
        let parts = [("folder", context, context.is_dir()), ("file", dockerfile, dockerfile.is_file())];
        let absent = parts.into_iter().find(|(_, _, is_there)| !is_there);
        missing.extend(absent.map(|(what, path, _)| {
            let path = path.display();
            format!(
                "error: cannot build {image}: no such {what}: {path} (`candidates: [IMAGE]` instead of `build` runs an \
                 image that exists)"
            )
        }));
    }
    missing
}

/// Builds a candidate of a scenario and reports it.
///
/// # Errors
/// When the builder fails.
pub(crate) async fn of_scenario(wanted: &Build) -> Result<(), Failure> {
    let Build { image, dockerfile, context } = wanted;
    say(&format!("building {image} from {} (context {})", dockerfile.display(), context.display()));
    match build(image, "built", dockerfile, context).await {
        Ok(()) => Ok(()),
        Err(NotBuilt::Image(said)) => Err(Failure::no_engine(format!("cannot build {image}\n{said}"))
            .with_hint("nothing ran; use --image IMAGE to run an existing image")),
        Err(NotBuilt::Machine(why)) => Err(Failure::no_engine(why)),
    }
}

fn end(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_only_the_end_of_a_long_build() {
        let text: String = (0..100).map(|n| format!("line {n}\n\n")).collect();
        let shown = end(&text);
        assert_eq!(shown.lines().count(), SHOWN);
        assert!(shown.starts_with("line 60\n") && shown.ends_with("line 99"), "{shown}");
    }
}
