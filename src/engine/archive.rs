//! Image archives as `docker save` writes and `docker load` reads them, made from nothing.
//!
//! Format: <https://github.com/moby/docker-image-spec> (version 1.2, "combined image JSON + filesystem changeset").

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::context::hex;

/// Where a layer's bytes are.
#[derive(Clone, Debug)]
pub enum Blob {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(PathBuf),
}

/// A layer: a tar archive (it may be compressed when it comes from a registry) and the digest of its plain form.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The bytes.
    pub blob: Blob,
    /// `sha256:…` of the uncompressed archive.
    pub diff_id: String,
}

impl Layer {
    /// A layer in memory.
    #[must_use]
    pub fn of_bytes(tar: Vec<u8>) -> Self {
        let diff_id = format!("sha256:{}", hex(&Sha256::digest(&tar)));
        Self { blob: Blob::Bytes(Bytes::from(tar)), diff_id }
    }

    /// An uncompressed layer in a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 1 << 20];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => hash.update(&chunk[..n]),
            }
        }
        let diff_id = format!("sha256:{}", hex(&hash.finalize()));
        Ok(Self { blob: Blob::File(path.to_owned()), diff_id })
    }

    fn name(&self) -> String {
        format!("{}/layer.tar", self.diff_id.trim_start_matches("sha256:"))
    }
}

/// An image to put into an archive.
#[derive(Clone, Debug, Default)]
pub struct NewImage {
    /// `repository:tag`.
    pub tag: String,
    /// `amd64`, `arm64`.
    pub architecture: String,
    /// ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// CMD.
    pub cmd: Vec<String>,
    /// ENV.
    pub env: BTreeMap<String, String>,
    /// WORKDIR.
    pub workdir: String,
    /// USER.
    pub user: String,
    /// LABEL.
    pub labels: BTreeMap<String, String>,
    /// When it says it was made, seconds since the epoch.
    pub created: i64,
    /// From the lowest up.
    pub layers: Vec<Layer>,
}

impl NewImage {
    fn config(&self) -> String {
        let created = jiff::Timestamp::from_second(self.created).unwrap_or_default().to_string();
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let diff_ids: Vec<&str> = self.layers.iter().map(|l| l.diff_id.as_str()).collect();
        let history: Vec<_> =
            self.layers.iter().map(|_| json!({"created": created, "created_by": "exitone images build"})).collect();
        json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": created,
            "config": {
                "Entrypoint": (!self.entrypoint.is_empty()).then_some(&self.entrypoint),
                "Cmd": (!self.cmd.is_empty()).then_some(&self.cmd),
                "Env": env,
                "WorkingDir": self.workdir,
                "User": self.user,
                "Labels": self.labels,
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        })
        .to_string()
    }
}

/// Writes an archive of images; a layer that several share is written once.
///
/// # Errors
/// When a layer cannot be read or the archive not written.
pub fn write(images: &[NewImage], to: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(to);
    let mut written = BTreeSet::new();
    let mut manifest = Vec::new();
    for image in images {
        for layer in &image.layers {
            if !written.insert(layer.name()) {
                continue;
            }
            match &layer.blob {
                Blob::Bytes(bytes) => append(&mut tar, &layer.name(), bytes.len() as u64, bytes.as_ref())?,
                Blob::File(path) => {
                    let file = std::fs::File::open(path)?;
                    append(&mut tar, &layer.name(), file.metadata()?.len(), file)?;
                }
            }
        }
        let config = image.config();
        let name = format!("{}.json", hex(&Sha256::digest(config.as_bytes())));
        append(&mut tar, &name, config.len() as u64, config.as_bytes())?;
        let layers: Vec<String> = image.layers.iter().map(Layer::name).collect();
        manifest.push(json!({"Config": name, "RepoTags": [image.tag], "Layers": layers}));
    }
    let manifest = serde_json::Value::Array(manifest).to_string();
    append(&mut tar, "manifest.json", manifest.len() as u64, manifest.as_bytes())?;
    tar.into_inner()?.flush()
}

/// Adds one plain file, with no time and no owner: the same content gives the same archive.
///
/// # Errors
/// When the archive cannot be written.
pub(crate) fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, data: impl Read) -> io::Result<()> {
    append_mode(tar, name, size, 0o644, data)
}

/// As `append`, with permission bits.
///
/// # Errors
/// When the archive cannot be written.
pub fn append_mode<W: Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    mode: u32,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    tar.append_data(&mut header, name, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_layer_is_written_once() {
        let layer = Layer::of_bytes(b"not really a tar".to_vec());
        let image = |tag: &str| NewImage {
            tag: tag.to_owned(),
            architecture: "amd64".to_owned(),
            layers: vec![layer.clone()],
            ..NewImage::default()
        };
        let mut bytes = Vec::new();
        write(&[image("a:1"), image("a:2")], &mut bytes).expect("written");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("readable")
            .map(|e| e.expect("an entry").path().expect("a path").display().to_string())
            .collect();
        assert_eq!(names.iter().filter(|n| n.ends_with("layer.tar")).count(), 1);
        assert_eq!(names.last().map(String::as_str), Some("manifest.json"));
        let mut again = Vec::new();
        write(&[image("a:1"), image("a:2")], &mut again).expect("written");
        assert_eq!(bytes, again, "the same content gives the same archive");
    }
}
