//! A PostgreSQL to run beside a candidate.

use std::collections::BTreeMap;
use std::path::Path;

use super::debian::{self, Extraction};
use super::recipe::{DEBIAN_SUITE, POSTGRES_OPTIONS, POSTGRES_PACKAGES, REGISTRY_POSTGRES, SOURCES};
use super::{BuildError, Source, registry};
use crate::engine::Engine;
use crate::engine::archive::NewImage;

/// Where the entrypoint is in the image.
const ENTRYPOINT: &str = "/usr/local/bin/exitone-postgres";
/// Debian's programs of PostgreSQL 15 are not where a shell looks for them.
const PATH: &str = "/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What the registry's image gives to initdb: there, too, a password is asked for wherever a connection comes from.
const INITDB_ARGS: &str = "--auth-host=scram-sha-256 --no-sync";

/// An image without its name, and where it came from, for the progress.
pub(crate) struct Made {
    /// The image; name and labels are to be set.
    pub(crate) image: NewImage,
    /// `Debian bookworm packages`.
    pub(crate) from: String,
}

/// What the image is made of, for its digest.
pub(crate) fn parts(architecture: &str) -> Vec<Vec<u8>> {
    let settings = [architecture, DEBIAN_SUITE, &POSTGRES_PACKAGES.join(","), &POSTGRES_OPTIONS.join(" ")].join("\n");
    let more = [REGISTRY_POSTGRES, INITDB_ARGS, PATH].join("\n");
    vec![settings.into_bytes(), more.into_bytes(), script().into_bytes()]
}

/// Makes the image for an architecture, in a work folder.
pub(crate) async fn make(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
) -> Result<Made, BuildError> {
    debian::or_registry(
        source,
        from_debian(architecture, source, work),
        from_registry(engine, source, architecture, work),
    )
    .await
}

/// The script for the extracted packages: the entrypoint is put in place, then `prepare.sh` goes on.
fn script() -> String {
    let file = |name: &str| SOURCES.get_file(format!("postgres/{name}")).and_then(|f| f.contents_utf8()).unwrap_or("");
    let (entrypoint, prepare) = (file("entrypoint.sh"), file("prepare.sh"));
    format!(
        "mkdir -p \"$1\"/usr/local/bin\ncat >\"$1\"{ENTRYPOINT} <<'EXITONE'\n{entrypoint}EXITONE\nchmod 755 \
         \"$1\"{ENTRYPOINT}\n{prepare}"
    )
}

async fn from_debian(architecture: &str, source: &Source, work: &Path) -> Result<Made, BuildError> {
    let what = Extraction { name: "PostgreSQL", architecture, packages: &POSTGRES_PACKAGES, script: script() };
    let layer = debian::extract(&what, source, work).await?;
    let env = [("PATH", PATH), ("LANG", "C.UTF-8"), ("PGDATA", "/var/lib/postgresql/data")];
    let image = NewImage {
        architecture: architecture.to_owned(),
        entrypoint: vec![ENTRYPOINT.to_owned()],
        cmd: command(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        workdir: "/".to_owned(),
        layers: vec![layer],
        ..NewImage::default()
    };
    Ok(Made { image, from: format!("Debian {DEBIAN_SUITE} packages") })
}

/// The registry's image without its volume, which every container would leave behind.
async fn from_registry(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
) -> Result<Made, BuildError> {
    let saved = registry::take(engine, source, REGISTRY_POSTGRES, architecture, work).await?;
    let mut env: BTreeMap<String, String> = saved.env.into_iter().collect();
    env.insert("POSTGRES_INITDB_ARGS".to_owned(), INITDB_ARGS.to_owned());
    let image = NewImage {
        architecture: architecture.to_owned(),
        entrypoint: saved.entrypoint,
        cmd: command(),
        env,
        workdir: "/".to_owned(),
        layers: saved.layers,
        ..NewImage::default()
    };
    Ok(Made { image, from: saved.name })
}

/// CMD: the data goes with the container, so nothing need wait for a disk.
fn command() -> Vec<String> {
    let options = POSTGRES_OPTIONS.iter().flat_map(|option| ["-c", option]);
    ["postgres"].into_iter().chain(options).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entrypoint_is_a_part_of_the_script() {
        let script = script();
        assert!(script.contains("<<'EXITONE'\n#!/bin/sh\n") && script.contains("\nexec \"$@\"\nEXITONE\n"), "{script}");
        assert_eq!(script.matches("EXITONE").count(), 2, "nothing in the files ends the document");
        assert!(script.contains("make-cluster"));
    }

    #[test]
    fn the_command() {
        assert_eq!(command()[..3], ["postgres", "-c", "fsync=off"]);
    }
}
