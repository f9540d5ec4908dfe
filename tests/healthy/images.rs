//! The servers' images: a shared root of Debian packages, and a thin layer for each server. They stay on the engine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use exitone::engine::archive::{NewImage, write};
use exitone::engine::docker::DockerEngine;
use exitone::engine::{Archive, Engine, KEPT, SESSION_LABEL};
use exitone::images::debian::{Extraction, PREPARE, extract};
use exitone::images::{CONTENT_LABEL, POSTGRES, Source, digest, has};

use super::table::Server;

const ROOT: &str = "exitone-test/servers:latest";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Debian's Go would be 300 MB for one program; a static one is there in C and in Rust.
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
/// What no server reads is left out, and Python's modules are compiled: no user but root could keep that.
const SCRIPT: &str = r#"
rm -rf "$1"/usr/lib/*/perl/*/CORE "$1"/usr/lib/file "$1"/usr/lib/php/*/fileinfo.so "$1"/usr/share/i18n
mkdir -p "$1"/srv "$1"/app
echo ok >"$1"/srv/index.html
chroot "$1" python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11 /usr/lib/python3
"#;

/// Builds what is not on the engine as the table has it.
pub async fn build(engine: &DockerEngine, servers: &[Server]) {
    let script = format!("{PREPARE}{SCRIPT}");
    let content = digest(&[PACKAGES.join(",").into_bytes(), script.clone().into_bytes(), PATH.into()]);
    if !has(engine, ROOT, &content).await.expect("an engine") {
        root(engine, script, &content).await;
    }
    if servers.iter().any(|server| server.from.as_deref() == Some(POSTGRES)) {
        exitone::images::build(engine, &["postgres".to_owned()], &Source::default(), &|_| {}).await.expect("built");
    }
    for server in servers {
        let base = server.from.clone().unwrap_or_else(|| ROOT.to_owned());
        let under = match base.as_str() {
            "scratch" => String::new(),
            base => engine.inspect_image(base).await.expect("a base image").id.0,
        };
        let dockerfile = dockerfile(server, &base);
        let mut parts = vec![under.into_bytes(), dockerfile.clone().into_bytes()];
        contents(&server.folder(), &mut parts);
        let content = digest(&parts);
        if !has(engine, &server.image(), &content).await.expect("an engine") {
            image(server, &dockerfile, &content);
        }
    }
}

async fn root(engine: &DockerEngine, script: String, content: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let what = Extraction { name: "servers", architecture: "amd64", packages: PACKAGES, script };
    let layer = extract(&what, &Source::default(), folder.path()).await.expect("Debian's packages");
    let labels = [(SESSION_LABEL, KEPT), (CONTENT_LABEL, content)];
    let image = NewImage {
        tag: ROOT.to_owned(),
        architecture: "amd64".to_owned(),
        env: [("PATH", PATH), ("LANG", "C.UTF-8")].map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        workdir: "/".to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        layers: vec![layer],
        ..NewImage::default()
    };
    let archive = folder.path().join("image.tar");
    write(&[image], std::fs::File::create(&archive).expect("a file")).expect("packed");
    engine.load_image(Archive::File(archive)).await.expect("loaded");
}

/// A thin image, as its author would write it.
fn dockerfile(server: &Server, base: &str) -> String {
    let mut text = format!("FROM {base}\nLABEL {SESSION_LABEL}={KEPT}\n");
    for (from, to) in &server.files {
        let _ = writeln!(text, "COPY {from} {to}");
    }
    if server.files.values().any(|to| to.starts_with("/app")) {
        text.push_str("WORKDIR /app\n");
    }
    if server.compile.is_some() {
        text.push_str("COPY server /server\nCMD [\"/server\"]\n");
    }
    if let Some(user) = &server.user {
        let _ = writeln!(text, "USER {user}");
    }
    if !server.command.is_empty() {
        let _ = writeln!(text, "CMD {}", serde_json::to_string(&server.command).expect("text"));
    }
    text
}

/// Names and bytes of every file, in order.
fn contents(folder: &Path, parts: &mut Vec<Vec<u8>>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            contents(&path, parts);
        } else {
            parts.extend([path.display().to_string().into_bytes(), std::fs::read(&path).expect("a file")]);
        }
    }
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn image(server: &Server, dockerfile: &str, content: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let context = folder.path().join("context");
    done(Command::new("cp").arg("-r").arg(server.folder()).arg(&context));
    if let Some(source) = &server.compile {
        let (source, program) = (context.join(source), context.join("server"));
        let mut compiler = if source.extension().is_some_and(|e| e == "rs") {
            let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
            rustc.args(["--edition", "2021", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
            rustc
        } else {
            let mut cc = Command::new("cc");
            cc.args(["-static", "-O2", "-s"]);
            cc
        };
        done(compiler.arg("-o").arg(program).arg(source));
    }
    let file = folder.path().join("Dockerfile");
    std::fs::write(&file, dockerfile).expect("written");
    let mut docker = Command::new("docker");
    // The builder of the engine itself: the other is a plugin that may be missing.
    docker.env("DOCKER_BUILDKIT", "0").args(["build", "-q", "--pull=false", "-t", &server.image()]);
    docker.arg("--label").arg(format!("{CONTENT_LABEL}={content}")).arg("-f").arg(file).arg(context);
    done(&mut docker);
}

/// What each server says of its version: major and minor, which a Debian release keeps.
pub fn versions(servers: &[Server]) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for base in [ROOT, POSTGRES] {
        let of_base = servers.iter().filter(|server| server.from.as_deref().unwrap_or(ROOT) == base);
        let asked = of_base.filter_map(|server| Some((&server.name, server.version.as_ref()?)));
        let script: String =
            asked.map(|(name, line)| format!("echo \"{name} $({{ {line}; }} 2>&1 | tr '\\n' ' ')\"\n")).collect();
        let run = ["run", "--rm", "--network", "none", "--label", "exitone.session=kept", "--entrypoint", "/bin/sh"];
        let output = Command::new("docker").args(run).args([base, "-c", &script]).output().expect("docker");
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some((name, said)) = line.split_once(' ') {
                versions.insert(name.to_owned(), version(said).unwrap_or_else(|| panic!("{name} says {said:?}")));
            }
        }
    }
    versions
}

/// The first `MAJOR.MINOR` of a text.
fn version(said: &str) -> Option<String> {
    let mut words = said.split(|c: char| !c.is_ascii_digit() && c != '.');
    words.find_map(|word| {
        let mut parts = word.split('.').filter(|part| !part.is_empty());
        Some(format!("{}.{}", parts.next()?, parts.next()?))
    })
}
