//! The gate before a real push, in a temporary repository with a bare remote.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::support::{engine, planted_program};

/// A repository, its remote, and the folders that the gate may write to.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().expect("a folder") };
        for name in ["work", "state", "tmp", "home"] {
            std::fs::create_dir(world.path(name)).expect("made");
        }
        let remote = world.path("remote.git").display().to_string();
        world.git(&["init", "--quiet", "--bare", &remote]);
        world.git(&["init", "--quiet", "--initial-branch", "main"]);
        world.git(&["remote", "add", "origin", &remote]);
        planted_program(&world.path("work"));
        world.write("Dockerfile", "FROM scratch\nCOPY planted /planted\nCOPY version /version\n");
        world.write(".dockerignore", "docs\n*.md\n");
        world.write("version", "1");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    /// A command in a user's environment: the gate's program on the PATH, private folders.
    fn command(&self, program: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_exitone")).parent().expect("a folder").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path))).expect("a path");
        let mut command = Command::new(program);
        command
            .current_dir(self.path("work"))
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@example.com")])
            .envs([("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@example.com")]);
        command
    }

    fn git(&self, args: &[&str]) {
        let output = self.command("git").args(args).output().expect("git");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn exitone(&self, args: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_exitone")).args(args).output().expect("it ran")
    }

    /// Pushes; returns whether the remote accepted it, the output, and the duration.
    fn push(&self, args: &[&str]) -> (bool, String, Duration) {
        let begun = std::time::SystemTime::now();
        let output = self.command("git").arg("push").args(args).output().expect("git");
        let took = begun.elapsed().unwrap_or_default();
        eprintln!("push {args:?}: {took:?}\n{}", said(&output));
        (output.status.success(), said(&output), took)
    }

    /// Writes a scenario for the planted program with this start command.
    fn scenario(&self, command: &str) {
        let text = format!(
            "build: {{dockerfile: Dockerfile, context: ., image: gated}}\nservice:\n  port: 8000\n  \
             start_command: {command}\n  env: {{API_TOKEN: a-secret-of-the-gate}}\nconditions: [egress.drop]\n"
        );
        self.write(".exitone.yaml", &text);
    }

    /// Everything that the gate stores, in one text.
    fn kept(&self) -> String {
        let entries = std::fs::read_dir(self.path("state").join("exitone/gate")).expect("a folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.map(|path| format!("{} {}\n", path.display(), std::fs::read_to_string(&path).expect("read"))).collect()
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[tokio::test]
async fn judges_a_push() {
    let Some((engine, _one)) = engine().await else { return };
    if Command::new("docker").arg("version").output().is_err() || Command::new("git").arg("version").output().is_err() {
        eprintln!("skipped: no docker command, or no git");
        return;
    }
    let world = World::new();
    world.scenario("/planted serve 0.0.0.0 8000");
    let hook = world.path("work").join(".git/hooks/pre-push");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("made");
    let own = "#!/bin/sh\ncat > \"$XDG_STATE_HOME/seen\"; echo \"$1\" >> \"$XDG_STATE_HOME/seen\"\n[ ! -e stop ]\n";
    std::fs::write(&hook, own).expect("written");
    assert!(Command::new("chmod").arg("0750").arg(&hook).status().expect("chmod").success());
    let installed = world.exitone(&["gate", "--install"]);
    assert!(
        installed.status.success() && said(&installed).contains("the existing hook runs first"),
        "{}",
        said(&installed)
    );
    world.commit("one");

    // Offline nothing is built, and the missing image is named.
    let offline = world.exitone(&["gate", "--offline"]);
    let text = said(&offline);
    assert!(offline.status.code() == Some(4) && text.contains("exitone-gate/gated:"), "{text}");
    assert!(text.contains("--offline forbids building the image") && !text.contains("cases; about"), "{text}");

    // A good image, for the first time.
    let (good, text, cold) = world.push(&["origin", "main"]);
    assert!(good && text.contains("build the image, then 2 cases; about") && text.contains("passes 2 cases"), "{text}");
    assert!(cold < Duration::from_secs(20), "{cold:?}");
    let seen = std::fs::read_to_string(world.path("state").join("seen")).expect("the hook before was called");
    assert!(seen.contains("refs/heads/main") && seen.ends_with("\norigin\n"), "{seen}");

    // Known by now, and a separate question for another platform.
    let offline = world.exitone(&["gate", "--offline"]);
    assert!(offline.status.success() && said(&offline).contains("known for"), "{}", said(&offline));
    let elsewhere = world.exitone(&["gate", "--offline", "--platform", "ecs-express"]);
    let text = said(&elsewhere);
    assert!(elsewhere.status.success() && text.contains("2 cases; about") && !text.contains("known for"), "{text}");

    // The same commit under another name, and a commit with the same files.
    let (good, text, known) = world.push(&["origin", "main:refs/heads/again"]);
    assert!(good && text.contains("nothing in it changes the image"), "{text}");
    world.write("version", "2");
    world.commit("two");
    assert!(world.push(&["origin", "main"]).0);
    world.write("version", "1");
    world.commit("as one");
    let (good, text, unchanged) = world.push(&["origin", "main"]);
    assert!(good && text.contains("known for") && !text.contains("is built"), "{text}");
    assert!(known < Duration::from_secs(3) && unchanged < Duration::from_secs(3), "{known:?} {unchanged:?}");

    // A file outside the image.
    world.write("docs/page.md", "words");
    world.commit("words");
    let (good, text, _) = world.push(&["origin", "main"]);
    assert!(good && text.contains("nothing in it changes the image"), "{text}");

    // A bad image stops the push; the working tree does not matter.
    world.scenario("/planted exit 3");
    world.write("version", "3");
    world.commit("bad");
    world.write("Dockerfile", "FROM nothing-that-is-there\n");
    let (good, text, _) = world.push(&["origin", "main"]);
    assert!(!good && text.contains("is not pushed: 2 of 2 cases fail"), "{text}");
    for words in [
        "exits with code 3 under all conditions tried.",
        "exitone run .exitone.yaml --image exitone-gate/gated:",
        "--no-verify",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let (good, text, _) = world.push(&["origin", "main"]);
    assert!(!good && text.contains("--no-cache"), "known to fail: {text}");
    assert!(!text.contains("working tree"), "{text}");
    world.scenario("/planted exit 4");
    let (good, text, _) = world.push(&["origin", "main"]);
    assert!(!good && text.contains("gate: .exitone.yaml is read from the working tree; main ("), "{text}");
    world.scenario("/planted exit 3");

    // A tag and a deletion pass immediately, whatever the commit.
    world.git(&["tag", "v1"]);
    let (good, text, tag) = world.push(&["origin", "v1"]);
    assert!(good && text.contains("the ref is a tag"), "{text}");
    let (good, text, deleted) = world.push(&["origin", ":again"]);
    assert!(good && text.contains("the ref is deleted"), "{text}");
    assert!(tag < Duration::from_secs(2) && deleted < Duration::from_secs(2), "{tag:?} {deleted:?}");

    // An image that cannot be built.
    world.commit("no image");
    let (good, text, _) = world.push(&["origin", "main"]);
    assert!(!good && text.contains("cannot build its image") && text.contains("nothing-that-is-there"), "{text}");

    // The previous hook comes first.
    world.write("stop", "");
    let (good, text, _) = world.push(&["origin", "main:refs/heads/other"]);
    assert!(!good && !text.contains("exitone gate"), "{text}");
    std::fs::remove_file(world.path("work").join("stop")).expect("removed");

    // Only the cache is left, without secrets.
    assert_eq!(std::fs::read_dir(world.path("tmp")).expect("listed").count(), 0, "no temporary folder is left");
    let kept = world.kept();
    assert!(kept.contains("verdict-") && kept.contains("image-") && !kept.contains("a-secret-of-the-gate"), "{kept}");

    let removed = world.exitone(&["gate", "--uninstall"]);
    assert!(removed.status.success(), "{}", said(&removed));
    assert_eq!(std::fs::read_to_string(&hook).expect("read"), own);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(hook.metadata().expect("there").permissions().mode() & 0o777, 0o750);
    assert!(world.push(&["origin", "main"]).0, "no gate any more");

    let names = Command::new("docker").args(["images", "-q", "--filter", "reference=exitone-gate/gated"]).output();
    let names = String::from_utf8_lossy(&names.expect("docker").stdout).into_owned();
    assert!(!names.is_empty());
    for name in ["exitone-gate/gated"] {
        let tags = Command::new("docker").args(["images", "--format", "{{.Repository}}:{{.Tag}}", name]).output();
        for tag in String::from_utf8_lossy(&tags.expect("docker").stdout).lines() {
            engine.remove_image(tag).await.expect("removed");
        }
    }
}

#[tokio::test]
async fn untestable_commit_stops_the_push_unless_lenient() {
    let Some((_engine, _one)) = engine().await else { return };
    let world = World::new();
    world.scenario("/planted exit 3");
    world.commit("one");
    assert!(world.exitone(&["gate", "--install"]).status.success());
    let push = |more: &[&str]| {
        let mut command = world.command("git");
        command.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").arg("push").args(more).output().expect("git")
    };
    let output = push(&["origin", "main"]);
    assert!(!output.status.success() && said(&output).contains("--no-verify"), "{}", said(&output));
    assert!(world.exitone(&["gate", "--install", "--lenient"]).status.success());
    let output = push(&["origin", "main"]);
    assert!(output.status.success() && said(&output).contains("--lenient"), "{}", said(&output));
}
