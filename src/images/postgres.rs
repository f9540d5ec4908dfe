//! A PostgreSQL server to run next to a candidate.

use std::collections::BTreeMap;
use std::path::Path;

use super::debian::{self, Extraction};
use super::recipe::{DEBIAN_SUITE, POSTGRES_OPTIONS, POSTGRES_PACKAGES, REGISTRY_POSTGRES, SOURCES};
use super::{BuildError, Source, registry};
use crate::engine::Engine;
use crate::engine::archive::NewImage;

/// The path of the entrypoint in the image.
const ENTRYPOINT: &str = "/usr/local/bin/exitone-postgres";
/// Debian's PostgreSQL 15 programs are not on the usual PATH.
const PATH: &str = "/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Arguments of initdb for the registry's image, so that it also requires a password for every connection.
const INITDB_ARGS: &str = "--auth-host=scram-sha-256 --no-sync";

/// An image without a name, and its origin for progress messages.
pub(crate) struct BuiltPostgres {
    /// The image; name and labels are still missing.
    pub(crate) image: NewImage,
    /// `Debian bookworm packages`.
    pub(crate) from: String,
}

/// The content of the image, for its digest.
pub(crate) fn parts(architecture: &str) -> Vec<Vec<u8>> {
    let settings = [architecture, DEBIAN_SUITE, &POSTGRES_PACKAGES.join(","), &POSTGRES_OPTIONS.join(" ")].join("\n");
    let more = [REGISTRY_POSTGRES, INITDB_ARGS, PATH].join("\n");
    vec![settings.into_bytes(), more.into_bytes(), script().into_bytes()]
}

/// Makes the image for an architecture, in a work directory.
pub(crate) async fn make(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
) -> Result<BuiltPostgres, BuildError> {
    debian::or_registry(
        source,
        from_debian(architecture, source, work),
        from_registry(engine, source, architecture, work),
    )
    .await
}

/// The script for the extracted packages: installs the entrypoint, then runs `prepare.sh`.
fn script() -> String {
    let file = |name: &str| SOURCES.get_file(format!("postgres/{name}")).and_then(|f| f.contents_utf8()).unwrap_or("");
    let (entrypoint, prepare) = (file("entrypoint.sh"), file("prepare.sh"));
    format!(
        "mkdir -p \"$1\"/usr/local/bin\ncat >\"$1\"{ENTRYPOINT} <<'EXITONE'\n{entrypoint}EXITONE\nchmod 755 \
         \"$1\"{ENTRYPOINT}\n{prepare}"
    )
}

async fn from_debian(architecture: &str, source: &Source, work: &Path) -> Result<BuiltPostgres, BuildError> {
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
    Ok(BuiltPostgres { image, from: format!("Debian {DEBIAN_SUITE} packages") })
}

/// The registry's image without its volume, which every container would leave behind.
async fn from_registry(
    engine: &dyn Engine,
    source: &Source,
    architecture: &str,
    work: &Path,
) -> Result<BuiltPostgres, BuildError> {
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
    Ok(BuiltPostgres { image, from: saved.name })
}

/// CMD: the data is discarded with the container, so nothing has to wait for a disk.
fn command() -> Vec<String> {
    let options = POSTGRES_OPTIONS.iter().flat_map(|option| ["-c", option]);
    ["postgres"].into_iter().chain(options).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_contains_the_entrypoint() {
        let script = script();
        assert!(script.contains("<<'EXITONE'\n#!/bin/sh\n") && script.contains("\nexec \"$@\"\nEXITONE\n"), "{script}");
        assert_eq!(script.matches("EXITONE").count(), 2, "nothing in the files ends the document");
        assert!(script.contains("make-cluster"));
    }

    #[test]
    fn command_of_postgres() {
        assert_eq!(command()[..3], ["postgres", "-c", "fsync=off"]);
    }
}
