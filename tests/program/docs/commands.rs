//! The commands on the pages: all of them are valid, and those of the README run as far as they go without an engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use exitone::cli::Cli;
use exitone::scenario::{apprunner, file, service};

use super::page::{Line, blocks, lines};
use super::{pages, read, root};

/// Programs whose commands are not checked.
const OTHERS: [&str; 6] = ["aws", "cargo", "curl", "docker", "git", "pre-commit"];

/// Whether a command of exitone is valid.
fn parses(words: &[String]) -> Result<(), clap::Error> {
    Cli::try_parse_from(words).map(drop)
}

/// The words of the command of exitone in a line: by itself, in `$(…)`, or in the container image.
fn exitone(line: &Line) -> Option<Vec<String>> {
    if line.text.starts_with("exitone ") {
        return Some(line.words());
    }
    if let Some((_, inner)) = line.text.split_once("$(exitone ") {
        let inner = inner.split(')').next().unwrap_or_default();
        return Some(Line { text: format!("exitone {inner}"), ..line.clone() }.words());
    }
    let words = line.words();
    let image = words.iter().position(|word| word == "ghcr.io/OWNER/exitone")?;
    Some(words[image..].to_vec())
}

#[test]
fn commands_on_every_page_are_valid() {
    let mut count = 0;
    for (path, page) in pages() {
        for line in blocks(&page, "sh").into_iter().flat_map(lines) {
            match exitone(&line) {
                Some(words) => {
                    parses(&words).unwrap_or_else(|e| panic!("{path}: {}\n{e}", line.text));
                    count += 1;
                }
                None => {
                    let mut words = line.text.split_whitespace();
                    let program = words.find(|word| !word.contains('=')).unwrap_or_default();
                    let known = OTHERS.contains(&program) || program.contains('/');
                    assert!(known, "{path}: {}", line.text);
                }
            }
        }
    }
    assert!(count >= 40, "{count}");
}

/// A service file starts with its port; other YAML on the page is a scenario.
#[test]
fn files_on_the_pages_are_valid() {
    let mut count = 0;
    for path in ["README.md", "docs/getting-started.md", "docs/gate.md", "docs/scenarios.md"] {
        for text in blocks(&read(path), "yaml") {
            if text.starts_with("port:") {
                let (service, _) = service::read_file(path, text, Path::new("."), &apprunner()).expect(path);
                assert_eq!((service.port, service.checks.len()), (8000, 1));
            } else {
                let scenario = file::read(path, text, Path::new("."), None).expect(path);
                assert!(!scenario.sets.is_empty());
            }
            count += 1;
        }
    }
    assert_eq!(count, 4);
    // The smallest description is read before an engine is looked for.
    let folder = tempfile::tempdir().expect("a folder");
    let page = read("docs/getting-started.md");
    std::fs::write(folder.path().join("service.json"), blocks(&page, "json")[0]).expect("written");
    let mut why = assert_cmd::Command::cargo_bin("exitone").expect("built");
    why.current_dir(folder.path()).env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    why.args(["why", "my-service:v2", "--service", "service.json"]).assert().code(4);
}

#[test]
fn readme_is_short() {
    let page = read("README.md");
    let (lines, words) = (page.lines().count(), page.split_whitespace().count());
    assert!(lines <= 120 && words <= 900, "{lines} lines, {words} words");
}

#[test]
fn readme_names_the_two_commands() {
    let page = read("README.md");
    let all: Vec<Line> = blocks(&page, "sh").into_iter().flat_map(lines).collect();
    let cargo: Vec<&str> =
        all.iter().map(|line| line.text.as_str()).filter(|text| text.starts_with("cargo ")).collect();
    assert_eq!(cargo, ["cargo install --locked --path .", "cargo run --release -- demo", "cargo test"]);
    assert!(read(".ci/run").contains("cargo test"), ".ci/run calls the README's test command");
    parses(&["exitone", "demo"].map(str::to_owned)).expect("valid");
}

/// A repository as the README assumes it: the incident's files, a Dockerfile, and the file that it says to save.
fn repository(folder: &Path) {
    for part in ["public-egress", "vpc-without-nat", "production-mode"] {
        let part = PathBuf::from("scenarios/incident").join(part);
        std::fs::create_dir_all(folder.join(&part)).expect("a folder");
        for file in std::fs::read_dir(root().join(&part)).expect("a folder") {
            let file = file.expect("a file").path();
            std::fs::copy(&file, folder.join(&part).join(file.file_name().expect("a name"))).expect("copied");
        }
    }
    let page = read("README.md");
    std::fs::write(folder.join("exitone.yaml"), blocks(&page, "yaml")[0]).expect("written");
    std::fs::write(folder.join("Dockerfile"), "FROM scratch\n").expect("written");
    for words in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "one"]] {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"];
        let mut git = Command::new("git");
        git.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").args(identity).args(words);
        let status = git.status().expect("git");
        assert!(status.success(), "git {words:?}");
    }
}

/// Every command of the README runs: `explain` and the hook to their end, the others until they look for an engine, which
/// is after all files and flags were read.
#[test]
fn readme_commands_run() {
    let folder = tempfile::tempdir().expect("a folder");
    repository(folder.path());
    let page = read("README.md");
    let mut seen = Vec::new();
    for line in blocks(&page, "sh").into_iter().flat_map(lines) {
        let Some(words) = exitone(&line) else { continue };
        let mut command = assert_cmd::Command::cargo_bin("exitone").expect("built");
        command.current_dir(folder.path().join(&line.folder)).args(&words[1..]);
        // No engine answers, and no setting of this machine counts.
        command
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("XDG_STATE_HOME", folder.path().join("state"));
        command.env("HOME", folder.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.output().expect("it runs");
        let (code, err) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
        let installs = words.iter().any(|word| word == "--install");
        match words[1].as_str() {
            "explain" => assert_eq!(code, Some(1), "{}\n{err}", line.text),
            "gate" if installs => assert_eq!(code, Some(0), "{}\n{err}", line.text),
            _ => {
                assert_eq!(code, Some(4), "{}\n{err}", line.text);
                assert!(err.contains("cannot connect to the container engine"), "{}\n{err}", line.text);
            }
        }
        seen.push(words[1].clone());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["doctor", "explain", "gate", "run", "why"]);
    assert!(folder.path().join(".git/hooks/pre-push").is_file());
}
