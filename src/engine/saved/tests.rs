use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::engine::archive::{Layer, NewImage, append, write};
use crate::engine::fake::{Act, FakeEngine, Faults};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn image(tag: &str, user: &str) -> NewImage {
    NewImage {
        tag: tag.to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["app".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "b=c".to_owned())]),
        user: user.to_owned(),
        layers: vec![Layer::of_bytes(vec![7; 2000])],
        ..NewImage::default()
    }
}

fn bytes(images: &[NewImage]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(images, &mut bytes).expect("written");
    bytes
}

/// An archive with the given parts.
fn parts(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in parts {
        append(&mut tar, name, bytes.len() as u64, *bytes).expect("appended");
    }
    tar.into_inner().expect("whole")
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("v1.tar");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn read_bytes(bytes: &[u8]) -> Result<Saved, SavedError> {
    let (_folder, path) = file(bytes);
    read_saved(&path)
}

/// The problem with an archive, without its path.
fn problem(bytes: &[u8]) -> String {
    let error = read_bytes(bytes).map(|saved| saved.tags).expect_err("refused");
    assert!(!error.hint().is_empty());
    let text = error.to_string();
    let (_, problem) = text.split_once("v1.tar").expect("a path in the message");
    problem.trim_start_matches(": ").trim_start().to_owned()
}

#[test]
fn reads_the_contents_of_an_archive() {
    let saved = read_bytes(&bytes(&[image("app:1", "nobody")])).expect("read");
    assert_eq!((saved.tags.as_slice(), saved.facts.reference.as_str()), (&["app:1".to_owned()][..], "app:1"));
    assert_eq!(saved.facts.platform(), "linux/amd64");
    assert_eq!((saved.facts.user.as_str(), saved.facts.cmd.as_slice()), ("nobody", &["app".to_owned()][..]));
    assert_eq!(saved.facts.env.get("A").map(String::as_str), Some("b=c"));
    assert_eq!(saved.facts.layers, [Layer::of_bytes(vec![7; 2000]).diff_id]);
    assert!(saved.facts.id.0.starts_with("sha256:") && saved.facts.id.0.len() == 71 && saved.other_ids.is_empty());
    let nameless = parts(&[("./manifest.json", br#"[{"Config": "c.json", "RepoTags": null}]"#), ("./c.json", b"{}")]);
    let saved = read_bytes(&nameless).expect("read");
    assert_eq!((saved.tags.len(), &saved.facts.reference), (0, &saved.facts.id.0));
    assert_eq!(saved.facts.id.0, format!("sha256:{}", hex(&Sha256::digest(b"{}"))));
}

#[test]
fn two_names_of_one_image_are_one_image() {
    let saved = read_bytes(&bytes(&[image("app:1", ""), image("app:latest", "")])).expect("read");
    assert_eq!(saved.tags, ["app:1", "app:latest"]);
}

#[test]
fn decompresses_archives() {
    let archive = bytes(&[image("app:1", "")]);
    let plain = read_bytes(&archive).expect("read");
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    };
    let packed = gzip(&archive);
    // Parallel compressors (pigz, bgzip) write several members.
    let (head, tail) = archive.split_at(archive.len() / 2);
    for packed in [&packed, &[gzip(head), gzip(tail)].concat()] {
        let saved = read_bytes(packed).expect("read");
        assert_eq!((&saved.tags, &saved.facts.id), (&plain.tags, &plain.facts.id));
    }
    for cut in [3, packed.len() / 2] {
        let error = read_bytes(&packed[..cut]).expect_err("damaged");
        assert!(matches!(error, SavedError::Unreadable { .. } | SavedError::NotAnArchive { .. }), "{error}");
    }
}

#[test]
fn rejects_what_is_not_an_archive_of_one_image() {
    let manifest = |text: &str| parts(&[("manifest.json", text.as_bytes())]);
    let large = vec![b' '; usize::try_from(LARGEST).expect("fits") + 1];
    for (archive, expected) in [
        (b"no archive at all".to_vec(), "is not an archive of `docker save`"),
        (vec![b'x'; 2000], "is not an archive of `docker save`"),
        (Vec::new(), "is not an archive of `docker save`"),
        (b"\x28\xb5\x2f\xfd....".to_vec(), "is compressed with zstd"),
        (b"\xfd7zXZ\0...".to_vec(), "is compressed with xz"),
        (b"BZh91AY".to_vec(), "is compressed with bzip2"),
        (parts(&[("etc/passwd", b"x")]), "contains no image (manifest.json and index.json are missing or empty)"),
        (manifest("[]"), "contains no image (manifest.json and index.json are missing or empty)"),
        (parts(&[("index.json", b"{}")]), "contains no image (manifest.json and index.json are missing or empty)"),
        (manifest("{"), "invalid manifest.json: "),
        (manifest(r#"[{"Config": "c.json"}]"#), "c.json is missing"),
        (parts(&[("manifest.json", &large)]), "manifest.json is larger than 4 MiB"),
        (bytes(&[image("app:1", ""), image("app:2", "x")]), "contains 2 images: app:"),
        (parts(&[("index.json", br#"{"manifests": [{"digest": "../x"}]}"#)]), "`../x` is not a digest"),
    ] {
        assert!(problem(&archive).starts_with(expected), "{}", problem(&archive));
    }
    let both = problem(&bytes(&[image("app:1", ""), image("app:2", "x")]));
    assert!(both.contains("app:1") && both.contains("app:2"), "{both}");
    let gone = read_saved(Path::new("/nowhere/v1.tar")).map(drop).expect_err("not there");
    assert!(matches!(gone, SavedError::Unreadable { .. }), "{gone}");
}

/// Parts of an OCI layout.
#[derive(Default)]
struct Layout {
    parts: Vec<(String, Vec<u8>)>,
}

impl Layout {
    /// Adds a document and returns its digest.
    fn blob(&mut self, document: &Value) -> String {
        let bytes = document.to_string().into_bytes();
        let hex = hex(&Sha256::digest(&bytes));
        self.parts.push((format!("blobs/sha256/{hex}"), bytes));
        format!("sha256:{hex}")
    }

    /// Adds an image and returns the digests of its manifest and its configuration.
    fn image(&mut self, user: &str) -> (String, String) {
        let config = self.blob(&json!({"os": "linux", "architecture": "arm64", "config": {"User": user}}));
        (self.blob(&json!({"mediaType": MANIFEST, "config": {"digest": config}, "layers": []})), config)
    }

    fn read(mut self, manifests: &Value) -> Result<Saved, SavedError> {
        self.parts.push(("index.json".to_owned(), json!({ "manifests": manifests }).to_string().into_bytes()));
        let all: Vec<(&str, &[u8])> = self.parts.iter().map(|(name, b)| (name.as_str(), b.as_slice())).collect();
        read_bytes(&parts(&all))
    }
}

#[test]
fn reads_a_layout_without_manifest_json() {
    let mut layout = Layout::default();
    let (manifest, config) = layout.image("nobody");
    let name = json!({ WHOLE_NAME: "docker.io/library/app:1", REF_NAME: "1" });
    let saved = layout.read(&json!([{"digest": manifest, "annotations": name}])).expect("read");
    assert_eq!((saved.facts.id.0, saved.facts.user.as_str()), (config, "nobody"));
    assert_eq!((saved.tags, saved.other_ids), (vec!["app:1".to_owned()], vec![ImageId(manifest)]));
}

#[test]
fn follows_nested_indexes() {
    let mut layout = Layout::default();
    let (manifest, config) = layout.image("");
    let inner = layout.blob(&json!({"manifests": [
        {"digest": manifest, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": format!("sha256:{}", "0".repeat(64)), "platform": {"os": "linux", "architecture": "amd64"}},
        {"digest": "sha256:12", "annotations": {ATTESTATION: "attestation-manifest"}},
    ]}));
    let saved = layout.read(&json!([{"digest": inner, "annotations": {REF_NAME: "quay.io/a/app:1"}}])).expect("read");
    assert_eq!((saved.facts.id.0, saved.tags), (config, vec!["quay.io/a/app:1".to_owned()]));
    assert_eq!(saved.other_ids, [ImageId(inner), ImageId(manifest)]);

    let mut layout = Layout::default();
    let (one, two) = (layout.image("a").0, layout.image("b").0);
    let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
    let manifests = json!([
        {"digest": one, "platform": platform("arm64"), "annotations": {REF_NAME: "app:1"}},
        {"digest": two, "platform": platform("amd64"), "annotations": {REF_NAME: "latest"}},
    ]);
    let error = layout.read(&manifests).map(drop).expect_err("two");
    let SavedError::Several { names, .. } = error else { panic!("{error}") };
    let short = &two["sha256:".len()..][..12];
    assert!(names.contains(&"app:1 (linux/arm64)".to_owned()), "{names:?}");
    assert!(names.contains(&format!("{short} (linux/amd64)")), "{names:?}");
}

#[test]
fn stops_at_an_index_that_contains_itself() {
    // Its digest cannot match its content; an archive can claim so anyway.
    let own = br#"{"manifests": [{"digest": "sha256:00"}]}"#;
    let archive = parts(&[("index.json", own), ("blobs/sha256/00", own)]);
    assert!(problem(&archive).starts_with("contains no image"));
}

#[test]
fn tells_files_from_image_names() {
    for (word, expected) in [
        ("/tmp/x", true),
        ("./x", true),
        ("../x", true),
        ("v1.tar", true),
        ("images/v1.tar.gz", true),
        ("v1.tgz", true),
        ("app:v1", false),
        ("app:v1.tar", false),
        ("registry:5000/team/app", false),
        ("app", false),
        ("sha256:0123", false),
    ] {
        assert_eq!(is_path(word), expected, "{word}");
    }
}

fn fails_to_load() -> Faults {
    let error = EngineError::Broken { action: "loading".to_owned(), message: "not wanted".to_owned() };
    Faults { errors: HashMap::from([("load_image", error)]), ..Faults::default() }
}

#[tokio::test]
async fn loads_an_image_once() {
    let (_folder, path) = file(&bytes(&[image("app:1", "")]));
    let saved = read_saved(&path).expect("read");
    let engine = FakeEngine::new(true);
    assert_eq!(load(&engine, &saved).await.expect("loaded"), "app:1");
    engine.set_faults(fails_to_load());
    assert_eq!(load(&engine, &saved).await.expect("there"), "app:1");
    // Its name is gone, or refers to something else by now.
    engine.remove_image("app:1").await.expect("removed");
    assert_eq!(load(&engine, &saved).await.expect("there"), saved.facts.id.0);
    engine.image("app:1", &[], Arc::new(|_| Act::default()));
    assert_eq!(load(&engine, &saved).await.expect("there"), saved.facts.id.0);
}

#[tokio::test]
async fn does_not_take_a_name_from_another_image() {
    let (_folder, path) = file(&bytes(&[image("app:1", "")]));
    let saved = read_saved(&path).expect("read");
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(|_| Act::default()));
    engine.set_faults(fails_to_load());
    let error = load(&engine, &saved).await.expect_err("refused");
    let SavedError::NameTaken { tag, there, .. } = &error else { panic!("{error}") };
    assert_eq!((tag.as_str(), there.as_str()), ("app:1", "app:1"));
    assert!(error.to_string().contains("contains `app:1`"), "{error}");
}

#[tokio::test]
async fn recognises_the_same_image_under_another_id() {
    let (_folder, path) = file(&bytes(&[image("app:1", "")]));
    let saved = read_saved(&path).expect("read");
    let other = ImageFacts { id: ImageId("sha256:other".to_owned()), size: 9, ..saved.facts.clone() };
    assert!(saved.is(&other));
    let user = ImageFacts { user: "x".to_owned(), ..other.clone() };
    let layers = ImageFacts { layers: Vec::new(), ..other };
    assert!(!saved.is(&user) && !saved.is(&layers));
}

#[tokio::test]
async fn passes_on_engine_errors() {
    let (_folder, path) = file(&bytes(&[image("app:1", "")]));
    let saved = read_saved(&path).expect("read");
    let engine = FakeEngine::new(true);
    engine.set_faults(fails_to_load());
    assert!(matches!(load(&engine, &saved).await, Err(SavedError::Engine(EngineError::Broken { .. }))));
    // It is loaded from a file that is gone by then; the scripted engine ignores that.
    std::fs::remove_file(&path).expect("removed");
    engine.set_faults(Faults::default());
    assert!(matches!(load(&engine, &saved).await, Err(SavedError::NotFound { .. })));
}
