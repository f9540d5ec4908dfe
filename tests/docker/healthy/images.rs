//! The servers' images: a shared root of Debian packages, and a thin layer per server. They stay on the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use exitone::engine::Engine;
use exitone::engine::archive::{Layer, NewImage, append_mode};
use exitone::images::debian::{Extraction, PREPARE, extract};
use exitone::images::{POSTGRES, Saved, Source, digest, has, take};

use super::super::kept;
use super::table::Server;

const ROOT: &str = "exitone-test/servers:latest";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Debian's Go would take 300 MB for one program; C and Rust already cover static ones.
const PACKAGES: &[&str] = &[
    "base-files",
    "base-passwd",
    "dash",
    "coreutils",
    "netbase",
    "ca-certificates",
    "openssl",
    "nginx-light",
    "apache2",
    "lighttpd",
    "haproxy",
    "redis-server",
    "memcached",
    "busybox",
    "python3",
    "gunicorn",
    "python3-flask",
    "python3-fastapi",
    "python3-uvicorn",
    "python3-django",
    "python3-aiohttp",
    "python3-tornado",
    "python3-waitress",
    "nodejs",
    "puma",
    "ruby-webrick",
    "php8.2-cli",
    "libhttp-daemon-perl",
    "starman",
];
/// Removes what no server reads, and compiles Python's modules, which only root could cache.
const SCRIPT: &str = r#"
rm -rf "$1"/usr/lib/*/perl/*/CORE "$1"/usr/lib/file "$1"/usr/lib/php/*/fileinfo.so "$1"/usr/share/i18n
mkdir -p "$1"/srv "$1"/app
echo ok >"$1"/srv/index.html
chroot "$1" python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11 /usr/lib/python3
"#;

/// Builds the images that are missing or outdated.
pub(super) async fn build(engine: &dyn Engine, servers: &[Server]) {
    let script = format!("{PREPARE}{SCRIPT}");
    let content = digest(&[PACKAGES.join(",").into_bytes(), script.clone().into_bytes(), PATH.into()]);
    if !has(engine, ROOT, &content).await.expect("an engine") {
        root(engine, script, &content).await;
    }
    if servers.iter().any(|server| server.image.is_some()) {
        exitone::images::build(engine, &["postgres".to_owned()], &Source::default(), &|_| {}).await.expect("built");
    }
    let mut missing = Vec::new();
    for server in servers.iter().filter(|server| server.image.is_none()) {
        let content = server_content(server, &content);
        if !has(engine, &server.image(), &content).await.expect("an engine") {
            missing.push((server, content));
        }
    }
    if !missing.is_empty() {
        thin(engine, &missing).await;
    }
}

/// Loads thin images in one archive; the root's own layer is taken from the engine.
async fn thin(engine: &dyn Engine, missing: &[(&Server, String)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = take(engine, &Source::default(), ROOT, "amd64", folder.path()).await.expect("the root");
    let images: Vec<NewImage> = missing.iter().map(|(server, content)| image(server, content, &root)).collect();
    kept::load(engine, &images, folder.path()).await;
}

async fn root(engine: &dyn Engine, script: String, content: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let what = Extraction { name: "servers", architecture: "amd64", packages: PACKAGES, script };
    let layer = extract(&what, &Source::default(), folder.path()).await.expect("Debian's packages");
    let image = NewImage {
        tag: ROOT.to_owned(),
        architecture: "amd64".to_owned(),
        env: [("PATH", PATH), ("LANG", "C.UTF-8")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        workdir: "/".to_owned(),
        labels: kept::labels(content),
        layers: vec![layer],
        ..NewImage::default()
    };
    kept::load(engine, &[image], folder.path()).await;
}

/// The digest of everything that goes into an image.
fn server_content(server: &Server, root: &str) -> String {
    let Server { compile, files, user, command, .. } = server;
    let mut parts = vec![root.into(), format!("{compile:?} {files:?} {user:?} {command:?}").into_bytes()];
    for (path, bytes) in read(&server.folder()) {
        parts.extend([path.into_bytes(), bytes]);
    }
    digest(&parts)
}

/// Every file below a path with its relative path, in order; a file itself has an empty one.
fn read(path: &Path) -> Vec<(String, Vec<u8>)> {
    if path.is_file() {
        return vec![(String::new(), std::fs::read(path).expect("a file"))];
    }
    let entries = std::fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let below =
        |name: String| read(&path.join(&name)).into_iter().map(move |(rest, bytes)| (format!("/{name}{rest}"), bytes));
    names.into_iter().flat_map(below).collect()
}

fn image(server: &Server, content: &str, root: &Saved) -> NewImage {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, mode: u32, bytes: &[u8]| {
        let name = name.trim_start_matches('/');
        append_mode(&mut tar, name, bytes.len() as u64, mode, bytes).expect("packed");
    };
    for (from, to) in &server.files {
        for (below, bytes) in read(&server.folder().join(from)) {
            add(&format!("{to}{below}"), 0o644, &bytes);
        }
    }
    let program = server.compile.as_ref().map(|source| compiled(&server.folder().join(source)));
    if let Some(program) = &program {
        add("/server", 0o755, program);
    }
    let layer = Layer::of_bytes(tar.into_inner().expect("packed"));
    // A static program needs nothing else.
    let (mut layers, env) =
        if program.is_some() { (Vec::new(), Vec::new()) } else { (root.layers.clone(), root.env.clone()) };
    layers.push(layer);
    NewImage {
        tag: server.image(),
        architecture: "amd64".to_owned(),
        cmd: if program.is_some() { vec!["/server".to_owned()] } else { server.command.clone() },
        env: env.into_iter().collect(),
        workdir: if program.is_some() { "/" } else { "/app" }.to_owned(),
        user: server.user.clone().unwrap_or_default(),
        labels: kept::labels(content),
        layers,
        ..NewImage::default()
    }
}

/// Compiles a source to a static program.
fn compiled(source: &Path) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("server");
    let mut compiler = if source.extension().is_some_and(|e| e == "rs") {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition", "2021", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
        rustc
    } else {
        let mut cc = Command::new("cc");
        cc.args(["-static", "-O2", "-s"]);
        cc
    };
    let output = compiler.arg("-o").arg(&program).arg(source).output().expect("a compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(program).expect("compiled")
}

/// The version of each server: major and minor, which are stable within a Debian release.
pub(super) fn versions(servers: &[Server]) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for base in [ROOT, POSTGRES] {
        let of_base = servers.iter().filter(|server| server.image.as_deref().unwrap_or(ROOT) == base);
        let asked = of_base.filter_map(|server| Some((&server.name, server.version.as_ref()?)));
        let script: String =
            asked.map(|(name, line)| format!("echo \"{name} $({{ {line}; }} 2>&1 | tr '\\n' ' ')\"\n")).collect();
        if script.is_empty() {
            continue;
        }
        let run = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh"];
        let output = Command::new("docker").args(run).args([base, "-c", &script]).output().expect("docker");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((name, said)) = line.split_once(' ') {
                versions.insert(name.to_owned(), version(said).unwrap_or_else(|| panic!("{name} says {said:?}")));
            }
        }
    }
    versions
}

/// The first `MAJOR.MINOR` in a text, or `MAJOR` if that is all.
fn version(said: &str) -> Option<String> {
    let mut words = said.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut parts = word.split('.').filter(|part| !part.is_empty());
        let major = parts.next()?;
        Some(parts.next().map_or_else(|| major.to_owned(), |minor| format!("{major}.{minor}")))
    })
}
