//! The files for CI systems: they parse, their scripts are valid, and the program knows the commands in them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory;
use exitone::cli::Cli;
use serde_json::Value;

use crate::support::executable;

/// Files with scripts.
const FILES: [&str; 6] = [
    "action.yml",
    ".github/workflows/ci.yml",
    ".github/workflows/exitone.yml",
    ".github/workflows/release.yml",
    "ci/gitlab.yml",
    ".pre-commit-hooks.yaml",
];

/// The formats of `--report FORMAT=FILE`.
const FORMS: [&str; 4] = ["junit", "markdown", "annotations", "html"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

fn yaml(name: &str, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Every script in a document: the values of `run`, `script`, `before_script` and `entry`.
fn scripts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("run" | "entry", Value::String(script)) => found.push(script.clone()),
                    ("script" | "before_script", Value::Array(lines)) => {
                        found.extend(lines.iter().map(|line| line.as_str().expect("a line").to_owned()));
                    }
                    _ => scripts(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| scripts(item, found)),
        _ => {}
    }
}

/// The words of every exitone command line in a script, up to the first shell operator.
fn commands(script: &str) -> Vec<Vec<String>> {
    let script = script.replace("\\\n", " ");
    let lines = script.lines().filter(|line| line.trim_start().starts_with("exitone "));
    lines
        .map(|line| {
            let words = shlex::split(line).unwrap_or_else(|| panic!("{line}"));
            let end = |word: &String| ["||", "&&", "|", ">", ">>", ";"].contains(&word.as_str());
            words.into_iter().take_while(|word| !end(word)).collect()
        })
        .collect()
}

/// Every code block of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).map(ToOwned::to_owned).collect()
}

fn flags_of(command: &str) -> BTreeSet<String> {
    let mut parser = Cli::command();
    parser.build();
    let known = parser.find_subcommand(command).into_iter().flat_map(clap::Command::get_arguments);
    known.filter_map(clap::Arg::get_long).map(|long| format!("--{long}")).collect()
}

#[test]
fn ci_files_use_only_commands_and_flags_that_exist() {
    let mut all: Vec<String> = Vec::new();
    for file in FILES {
        scripts(&yaml(file, &read(file)), &mut all);
    }
    let page = read("docs/ci.md");
    all.extend(blocks(&page, "sh"));
    // The flags that the action collects in a list.
    all.push("exitone run --image x --with x --service x --shard x".to_owned());
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for words in all.iter().flat_map(|script| commands(script)) {
        let flags = flags_of(&words[1]);
        assert!(!flags.is_empty(), "no command {}", words[1]);
        seen.insert(words[1].clone());
        for (n, word) in words.iter().enumerate().take_while(|(_, word)| *word != "--") {
            let flag = word.split('=').next().unwrap_or(word);
            assert!(!flag.starts_with("--") || flags.contains(flag), "{flag} in {words:?}");
            if flag == "--report" {
                let form = words.get(n + 1).and_then(|word| word.split('=').next()).unwrap_or_default();
                assert!(FORMS.contains(&form), "{form} in {words:?}");
            }
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["gate", "plan", "report", "run"]);
}

#[test]
fn inputs_never_become_part_of_a_script() {
    for file in FILES {
        let mut all = Vec::new();
        scripts(&yaml(file, &read(file)), &mut all);
        assert!(!all.is_empty(), "{file}");
        for script in all {
            assert!(!script.contains("${{"), "{file}: {script}");
            let read = Command::new("bash").args(["-n", "-c", &script]).output().expect("bash");
            assert!(read.status.success(), "{file}: {}", String::from_utf8_lossy(&read.stderr));
        }
    }
}

#[test]
fn examples_of_the_ci_page_are_valid_yaml() {
    let page = read("docs/ci.md");
    let blocks = blocks(&page, "yaml");
    assert_eq!(blocks.len(), 5);
    blocks.iter().for_each(|block| assert!(yaml("docs/ci.md", block).is_object(), "{block}"));
    // Every input and output of the action is documented.
    let action = yaml("action.yml", &read("action.yml"));
    for part in ["inputs", "outputs"] {
        for name in action[part].as_object().expect(part).keys() {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
    let hook = &yaml("hooks", &read(".pre-commit-hooks.yaml"))[0];
    assert_eq!((&hook["id"], &hook["stages"][0]), (&Value::from("exitone-gate"), &Value::from("pre-push")));
    assert_eq!((&hook["pass_filenames"], &hook["always_run"]), (&Value::from(false), &Value::from(true)));
}

/// A step of the action in a folder, with the programs of another one.
fn action_step(at: usize, folder: &Path, programs: &Path) -> Command {
    let action = yaml("action.yml", &read("action.yml"));
    let script = action["runs"]["steps"][at]["run"].as_str().expect("a script").to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", &script]).current_dir(folder).env("PATH", path);
    command.env("RUNNER_TEMP", folder).env("GITHUB_OUTPUT", folder.join("output"));
    command
}

/// Runs the action's last step with a program that records its arguments, prints a workflow command and exits with
/// `code`.
fn step(folder: &Path, code: u8, given: &[(&str, &str)]) -> std::process::Output {
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > words\necho '::error::not ours'\nexit {code}\n");
    executable(&folder.join("exitone"), &text);
    let mut command = action_step(1, folder, folder);
    for name in ["SCENARIO", "IMAGE", "WITH", "SERVICE", "SHARD"] {
        command.env(name, "");
    }
    command.env("FOLDER", "exitone-run").env("JUNIT", "junit.xml").env("GITHUB_STEP_SUMMARY", "summary");
    given.iter().for_each(|(name, value)| {
        command.env(name, value);
    });
    command.output().expect("bash")
}

/// Runs the action's first step with a `curl` that copies from a folder, and a `cargo` that builds nothing. `sums` changes
/// the release.
fn install(folder: &Path, sums: &str, build: &str) -> std::process::Output {
    let write = |name: &str, text: &str| executable(&folder.join(name), text);
    // `TO FROM` are the last words.
    let wanted = concat!("releases/download/v", env!("CARGO_PKG_VERSION"), "/");
    let curl = format!(
        "while [ $# -gt 2 ]; do shift; done\ncase $2 in *{wanted}*) cp \"$RELEASE/${{2##*/}}\" \"$1\" ;; *) exit 22 ;; esac"
    );
    write("bin/curl", &format!("#!/bin/sh\n{curl}\n"));
    write("bin/uname", "#!/bin/sh\n[ \"$1\" = -m ] && echo x86_64 || echo Linux\n");
    write("bin/cargo", "#!/bin/sh\n: >built\n");
    write("exitone-linux-amd64/exitone", "#!/bin/sh\necho released\n");
    let script = format!(
        "set -e; tar -czf exitone-linux-amd64.tar.gz exitone-linux-amd64; sha256sum *.tar.gz >SHA256SUMS; {sums}\n"
    );
    let packed = Command::new("bash").args(["-c", &script]).current_dir(folder).status().expect("bash");
    assert!(packed.success());
    // What a build would be made of.
    std::fs::create_dir(folder.join("source")).expect("made");
    for file in ["Cargo.toml", "install.sh"] {
        std::fs::copy(root().join(file), folder.join("source").join(file)).expect("copied");
    }
    action_step(0, folder, &folder.join("bin"))
        .envs([("BINARY", ""), ("BUILD", build)])
        .env("SOURCE", folder.join("source"))
        .env("RELEASE", folder)
        .env("GITHUB_PATH", folder.join("path"))
        .output()
        .expect("bash")
}

#[test]
fn action_installs_the_release_of_its_version() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = install(folder.path(), "", "false");
    assert!(output.status.success(), "{output:?}");
    let said = Command::new(folder.path().join("exitone/bin/exitone")).output().expect("installed");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "released\n");
    for wrong in ["sed -i s/^./g/ SHA256SUMS", "printf x >>exitone-linux-amd64.tar.gz", "rm SHA256SUMS"] {
        let tampered = tempfile::tempdir().expect("a folder");
        let output = install(tampered.path(), wrong, "false");
        assert!(!output.status.success(), "{wrong}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("::error::"), "{wrong}: {output:?}");
        assert!(!tampered.path().join("exitone/bin/exitone").exists(), "{wrong}");
        assert!(!tampered.path().join("built").exists(), "{wrong}: it is built on request alone");
    }
}

#[test]
fn action_builds_its_source_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = install(folder.path(), "rm SHA256SUMS", "true");
    assert!(output.status.success() && folder.path().join("built").exists(), "{output:?}");
}

#[test]
fn actions_are_pinned_to_commits() {
    for file in FILES {
        for line in
            read(file).lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: "))
        {
            let is_own = line.starts_with("./");
            let pinned = line.split_once('@').and_then(|(_, rest)| rest.split_once(" # v"));
            let is_commit = |hash: &str| hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(is_own || pinned.is_some_and(|(hash, _)| is_commit(hash)), "{file}: {line}");
        }
    }
}

#[test]
fn action_passes_its_inputs_to_run_unchanged() {
    let folder = tempfile::tempdir().expect("a folder");
    let given = [("SCENARIO", "a b.yaml\n$(exit 3).yaml\n"), ("SHARD", "2/4"), ("WITH", "env.set:A=`x` \"y\"")];
    let output = step(folder.path(), 5, &given);
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let words = std::fs::read_to_string(folder.path().join("words")).expect("words");
    let words: Vec<&str> = words.lines().collect();
    let end = ["--with", "env.set:A=`x` \"y\"", "--shard", "2/4", "--", "a b.yaml", "$(exit 3).yaml"];
    assert!(words.starts_with(&["run", "--folder", "exitone-run", "--report", "junit=junit.xml"]), "{words:?}");
    assert!(words.ends_with(&end), "{words:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let word = lines[0].strip_prefix("::stop-commands::").expect("commands are stopped first");
    assert!(word.len() == 32 && lines.last() == Some(&format!("::{word}::").as_str()), "{said}");
    let kept = std::fs::read_to_string(folder.path().join("output")).expect("outputs");
    assert_eq!(kept, "exit-code=5\nfolder=exitone-run\njunit=junit.xml\n");
}

/// A fresh clone has only the modes that are committed.
#[cfg(unix)]
#[test]
fn scripts_are_executable() {
    use std::os::unix::fs::PermissionsExt;
    let folders = ["tests", "tests/engines", ".ci", "ci"];
    let files = folders.into_iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).expect(folder));
    let files = files.flatten().filter(|file| file.path().is_file());
    let scripts: Vec<_> =
        files.filter(|file| std::fs::read(file.path()).is_ok_and(|text| text.starts_with(b"#!"))).collect();
    assert!(scripts.len() > 3, "{scripts:?}");
    for script in scripts {
        let mode = script.metadata().expect("metadata").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", script.path().display());
    }
}
