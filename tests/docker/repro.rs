//! Runs a case's script with a shell: it ends like the case.

use std::process::{Command, Stdio};

use super::support::{PLANTED, engine, exitone, load_planted};

/// An image with the contents of the scripts' own image, which the script would fetch from a registry.
const TOOLS: &str = "exitone-test/tools:latest";

/// Builds the tools image from Debian packages.
fn tools() {
    let mut look = Command::new("docker");
    look.args(["image", "inspect", TOOLS]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut known = look.status().expect("docker").success();
    if !known {
        let packages = "--include=iproute2,python3-minimal,libpython3-stdlib,openssl";
        let make = format!(
            "set -e; mmdebstrap --quiet --variant=minbase {packages} bookworm - | docker import -c 'LABEL \
             exitone.image=test' - {TOOLS}"
        );
        known = Command::new("bash").args(["-o", "pipefail", "-c", &make]).status().expect("a shell").success();
    }
    assert!(known, "the tools' image is there");
}

/// Runs a case and then its script; returns the exit codes of the candidate and of the script.
fn both(start_command: &str, with: &[&str]) -> (Option<i64>, Option<i32>) {
    let folder = tempfile::tempdir().expect("a folder");
    let service = folder.path().join("service.yaml");
    let text = format!(
        "image: {PLANTED}\nport: 8000\nstart_command: {start_command}\nenv: {{PLANTED: 'it''s me', API_TOKEN: hidden}}\n"
    );
    std::fs::write(&service, text).expect("written");
    let mut run = exitone();
    run.env("XDG_STATE_HOME", folder.path()).args(["run", "--format", "json", "--service"]).arg(&service);
    for condition in with {
        run.args(["--with", condition]);
    }
    let output = run.output().expect("it ran");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    let case = &document["cases"][0];
    let id = case["id"].as_str().expect("an id");
    let script = exitone().env("XDG_STATE_HOME", folder.path()).args(["repro", id]).output().expect("it ran");
    let said = String::from_utf8_lossy(&script.stderr).into_owned();
    assert!(script.status.success(), "{said}");
    let path = folder.path().join("case.sh");
    assert!(!String::from_utf8_lossy(&script.stdout).contains("hidden"), "no secret is in it");
    std::fs::write(&path, script.stdout).expect("written");
    let ended = Command::new("sh").arg(&path).env("TOOLS", TOOLS).env("API_TOKEN", "hidden").output().expect("a shell");
    // Shown if the test fails.
    eprintln!("{}", String::from_utf8_lossy(&ended.stderr));
    (case["exit_code"].as_i64(), ended.status.code())
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn script_ends_like_its_case() {
    let Some((engine, _one)) = engine().await else { return };
    load_planted(engine.as_ref()).await;
    tools();
    for (start_command, with, code) in [
        ("/planted exit 3", vec![], 3),
        ("/planted connect 198.18.7.7 443", vec!["egress.drop"], 110),
        ("/planted connect 198.18.7.7 443", vec!["egress.reject"], 111),
        ("/planted connect 198.18.7.7 443", vec!["egress.unreachable"], 113),
        ("/planted connect 198.18.7.7 443", vec!["egress.none"], 101),
        ("/planted connect 198.18.7.7 443", vec!["egress.drop:198.18.7.0/24", "memory.limit:64m"], 110),
        ("/planted connect 169.254.170.2 80", vec!["metadata.none", "egress.drop"], 111),
        ("/planted connect 127.0.0.1 53", vec!["dns.truncated"], 110),
        ("/planted write /file", vec!["rootfs.readonly"], 30),
        ("/planted exit '4 5'", vec!["command.split", "nofile.limit:64"], 0),
    ] {
        // For the planted program, the word `'4` is not a number.
        let (case, script) = both(start_command, &with);
        assert_eq!((case, script), (Some(code), i32::try_from(code).ok()), "{start_command} {with:?}");
    }
    let left = Command::new("docker").args(["ps", "-aq", "--filter", "label=exitone.repro"]).output().expect("docker");
    assert!(left.stdout.is_empty(), "nothing is left of the scripts");
}
