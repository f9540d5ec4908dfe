use std::collections::BTreeMap;

use super::*;
use crate::model::files::ForeignFile;

fn of(facts: &ImageFacts, files: Option<&ImageFiles>, start_command: Option<&str>) -> Vec<Finding> {
    on(&Platform::some(), facts, files, start_command)
}

fn facts() -> ImageFacts {
    ImageFacts {
        reference: "app:1".to_owned(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        cmd: vec!["/app".to_owned()],
        size: 200_000_000,
        ..ImageFacts::default()
    }
}

fn elf(path: &str, machine: Machine, next: Option<Program>) -> Program {
    Program::Elf {
        path: path.to_owned(),
        machine,
        interpreter: Some("/lib64/ld-linux-x86-64.so.2".to_owned()),
        interpreter_found: true,
        next: next.map(Box::new),
    }
}

fn python() -> Program {
    elf("/usr/bin/python3", Machine::AMD64, None)
}

fn script(first_line: &str, interpreter: Option<&str>, argument: Option<&str>, next: Option<Program>) -> Program {
    Program::Script {
        path: "/run.sh".to_owned(),
        first_line: first_line.to_owned(),
        interpreter: interpreter.map(ToOwned::to_owned),
        argument: argument.map(ToOwned::to_owned),
        crlf: first_line.ends_with('\r'),
        next: next.map(Box::new),
    }
}

fn missing(word: &str) -> Program {
    Program::Missing { word: word.to_owned() }
}

/// Files without any problem.
fn good(program: Program) -> ImageFiles {
    ImageFiles {
        program,
        ca_bundle: Some("/etc/ssl/certs/ca-certificates.crt".to_owned()),
        native_checked: true,
        scanned: true,
        ..ImageFiles::default()
    }
}

fn ids(findings: &[Finding]) -> Vec<(&str, bool, Option<i64>)> {
    findings.iter().map(|f| (f.cause.id.as_str(), f.fatal, f.exit_code)).collect()
}

#[test]
fn good_image_has_no_findings() {
    assert_eq!(of(&facts(), None, None), []);
    assert_eq!(of(&facts(), Some(&good(python())), Some("python3 -m app --port 8000")), []);
    let wrapped = elf("/usr/bin/env", Machine::AMD64, Some(python()));
    for program in [
        script("#!/bin/sh", Some("/bin/sh"), None, Some(elf("/usr/bin/dash", Machine::AMD64, None))),
        script("#!/usr/bin/env python3", Some("/usr/bin/env"), Some("python3"), Some(wrapped)),
        // tini passes a script without `#!` to the shell.
        elf("/sbin/tini", Machine::AMD64, Some(script("echo", None, None, None))),
        Program::Unknown { path: "/app".to_owned() },
    ] {
        assert_eq!(of(&facts(), Some(&good(program.clone())), None), [], "{program:?}");
    }
}

#[test]
fn recognises_programs() {
    let arm = |path: &str| elf(path, Machine::ARM64, None);
    let no_loader = |machine| Program::Elf {
        path: "/app".to_owned(),
        machine,
        interpreter: Some("/lib/ld-musl-x86_64.so.1".to_owned()),
        interpreter_found: false,
        next: None,
    };
    let tini = |next| elf("/sbin/tini", Machine::AMD64, Some(next));
    let env = |next| elf("/usr/bin/env", Machine::AMD64, Some(next));
    let shell = |next| script("#!/bin/sh", Some("/bin/sh"), None, Some(next));
    let alien = Program::Alien { path: "/app".to_owned(), format: "a program for macOS".to_owned() };
    let plain = Program::NotExecutable { path: "/app".to_owned() };
    for (program, id, fatal, code) in [
        (arm("/app"), "arch-mismatch-program", true, Some(1)),
        (shell(arm("/bin/sh")), "arch-mismatch-program", true, Some(1)),
        (tini(arm("/app")), "arch-mismatch-program", true, None),
        // tini passes the script to a shell, which may work.
        (tini(shell(arm("/bin/sh"))), "arch-mismatch-program", false, None),
        (elf("/app", Machine { number: 3, bits: 32 }, None), "arch-mismatch-program", false, None),
        (alien, "arch-mismatch-program", true, Some(1)),
        (no_loader(Machine::AMD64), "missing-interpreter", true, Some(1)),
        (no_loader(Machine::ARM64), "arch-mismatch-program", true, Some(1)),
        (tini(no_loader(Machine::AMD64)), "missing-interpreter", true, Some(127)),
        (shell(missing("/bin/bash")), "missing-interpreter", true, Some(1)),
        (tini(shell(missing("/bin/bash"))), "missing-interpreter", true, Some(127)),
        (missing("uvicorn"), "missing-program", true, Some(127)),
        (missing(""), "missing-program", true, None),
        (env(missing("python3 -u")), "missing-program", true, Some(127)),
        (plain.clone(), "not-executable", true, Some(126)),
        (tini(plain.clone()), "not-executable", true, Some(126)),
        (shell(plain.clone()), "not-executable", true, Some(1)),
        (tini(shell(plain)), "not-executable", true, Some(126)),
        (Program::Directory { path: "/app".to_owned() }, "not-executable", true, Some(126)),
        (script("echo", None, None, None), "no-shebang", true, Some(1)),
        (script("\u{feff}#!/bin/sh", None, None, None), "no-shebang", true, Some(1)),
        (script("#!/bin/sh\r", Some("/bin/sh\r"), None, None), "crlf-shebang", true, Some(1)),
        (tini(script("#!/bin/sh\r", Some("/bin/sh\r"), None, None)), "crlf-shebang", true, Some(127)),
        (script("#!/usr/bin/env sh\r", Some("/usr/bin/env"), Some("sh\r"), None), "crlf-shebang", true, Some(127)),
        (script("#!/bin/sh -e\r", Some("/bin/sh"), Some("-e\r"), None), "crlf-shebang", true, None),
    ] {
        let found = of(&facts(), Some(&good(program.clone())), None);
        assert_eq!(ids(&found), [(id, fatal, code)], "{program:?}");
        assert!(
            !found[0].cause.text.is_empty() && !found[0].cause.fix.is_empty() && !found[0].cause.evidence.is_empty()
        );
    }
}

#[test]
fn text_describes_the_platform_behaviour() {
    let found = of(&facts(), Some(&good(script("#!/bin/sh\r", Some("/bin/sh\r"), None, None))), None);
    let text = &found[0].cause.text;
    for words in
        ["class B", "exec /run.sh: no such file or directory", "information.  Container exit code: 1", r"/bin/sh\r"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let env = elf("/usr/bin/env", Machine::AMD64, Some(missing("python3 -u")));
    assert!(of(&facts(), Some(&good(env)), None)[0].cause.fix.contains("env -S"));
    let inner = script("#!/bin/sh", Some("/bin/sh"), None, Some(elf("/usr/bin/dash", Machine::ARM64, None)));
    let found = of(&facts(), Some(&good(inner)), None);
    assert!(found[0].cause.text.contains("`exec /run.sh: exec format error`"), "{}", found[0].cause.text);
}

#[test]
fn images_for_another_processor() {
    let arm = ImageFacts { architecture: "arm64".to_owned(), ..facts() };
    assert_eq!(ids(&of(&arm, None, None)), [("arch-mismatch", true, Some(1))]);
    let native = ForeignFile { path: "/x.so".to_owned(), machine: Machine::ARM64 };
    let files = ImageFiles { native: vec![native], native_count: 30, ..good(elf("/app", Machine::ARM64, None)) };
    assert_eq!(ids(&of(&arm, Some(&files), None)), [("arch-mismatch", true, Some(1))], "the rest follows from it");
    assert_eq!(ids(&of(&facts(), Some(&files), None)), [(PROGRAM, true, Some(1))]);
    let files = ImageFiles { program: python(), ..files };
    let found = of(&facts(), Some(&files), None);
    assert_eq!(ids(&found), [("arch-mismatch-native", false, None)]);
    assert_eq!(found[0].cause.evidence, ["ELF header of /x.so: arm64", "and 29 more"]);
    assert_eq!(of(&facts(), Some(&good(python())), None), []);
}

#[test]
fn indexes() {
    let index =
        |platforms: &[&str]| ImageFacts { platforms: platforms.iter().map(|p| (*p).to_owned()).collect(), ..facts() };
    assert_eq!(ids(&of(&index(&["linux/arm64", "linux/arm"]), None, None)), [("index-without-amd64", true, None)]);
    assert_eq!(of(&index(&["linux/amd64", "linux/arm64"]), None, None), []);
    assert_eq!(of(&index(&[]), None, None), []);
}

#[test]
fn sizes() {
    let of_size = |size| of(&ImageFacts { size, ..facts() }, None, None);
    assert_eq!(of_size(0), []);
    assert_eq!(of_size(2_499_999_999), []);
    assert_eq!(ids(&of_size(2_500_000_000)), [("image-too-large", false, None)]);
    assert_eq!(ids(&of_size(3 << 30)), [("image-too-large", false, None)]);
    assert_eq!(ids(&of_size((3 << 30) + 1)), [("image-too-large", true, None)]);
    assert!(of_size(3_500_000_000)[0].cause.text.contains("3.50 GB"));
}

#[test]
fn start_commands() {
    let found = |command| of(&facts(), None, Some(command));
    for command in ["python -m app", "  gunicorn app:app -b 0.0.0.0:8000 --config=/x ", "node server.js"] {
        assert_eq!(found(command), [], "{command}");
    }
    for (command, words) in [
        ("npm run migrate up && npm start", r#""npm", "run", "migrate", "up", "&&", "npm", "start""#),
        (r#"sh -c "uv run x""#, r#""sh", "-c", "\"uv", "run", "x\"""#),
        ("run --port $PORT", r#""run", "--port", "$PORT""#),
        ("run 'a b'", r#""run", "'a", "b'""#),
    ] {
        let found = found(command);
        assert_eq!(ids(&found), [("start-command-words", false, None)], "{command}");
        assert_eq!(found[0].cause.evidence, [format!("words as they arrive: {words}")]);
    }
}

#[test]
fn start_commands_with_an_entrypoint() {
    let with = |entrypoint: &[&str]| ImageFacts {
        entrypoint: entrypoint.iter().map(|word| (*word).to_owned()).collect(),
        ..facts()
    };
    let id = [("start-command-entrypoint", false, None)];
    assert_eq!(of(&with(&["/entry.sh"]), None, None), []);
    let found = of(&with(&["/entry.sh"]), None, Some("node x.js"));
    assert_eq!(ids(&found), id);
    assert_eq!(
        found[0].cause.evidence,
        [r#"kept, the words are: "/entry.sh", "node", "x.js""#, r#"replaced, the words are: "node", "x.js""#]
    );
    assert!(!found[0].cause.text.contains("shell form"));
    let found = of(&with(&["/bin/sh", "-c", "python app.py"]), None, Some("node x.js"));
    assert_eq!(ids(&found), id);
    assert!(found[0].cause.text.contains("shell form"));
    for other in [&["/bin/sh", "/entry.sh", "x"][..], &["/bin/sh", "-c"], &["python", "-c", "x"]] {
        assert!(!is_shell_form(other), "{other:?}");
    }
}

#[test]
fn certificate_authorities() {
    let none = ImageFiles { ca_bundle: None, ..good(python()) };
    let id = [("no-ca-bundle", false, None)];
    assert_eq!(ids(&of(&facts(), Some(&none), None)), id);
    let env = BTreeMap::from([("SSL_CERT_FILE".to_owned(), "/x".to_owned())]);
    assert_eq!(of(&ImageFacts { env, ..facts() }, Some(&none), None), []);
    let shallow = ImageFiles { native_checked: false, ..none };
    assert_eq!(of(&facts(), Some(&shallow), None), [], "certifi may be anywhere");
    let fixed = Program::Elf {
        path: "/app".to_owned(),
        machine: Machine::AMD64,
        interpreter: None,
        interpreter_found: true,
        next: None,
    };
    let made_from_nothing = ImageFiles { program: fixed, ..shallow };
    assert_eq!(ids(&of(&facts(), Some(&made_from_nothing), None)), id);
}

#[test]
fn fatal_findings_come_first() {
    let large = ImageFacts { size: 2_500_000_000, ..facts() };
    let found = of(&large, Some(&good(missing("uvicorn"))), Some("uvicorn 'app'"));
    let order: Vec<&str> = found.iter().map(|f| f.cause.id.as_str()).collect();
    assert_eq!(order, ["missing-program", "image-too-large", "start-command-words"]);
}

/// App Runner facts are not claimed about another platform.
#[test]
fn uses_the_words_of_another_platform() {
    let other = Platform {
        name: "Elsewhere".to_owned(),
        service_log: false,
        splits_command: false,
        disk_gb: None,
        ..Platform::some()
    };
    let big = ImageFacts { size: 9_000_000_000, entrypoint: vec!["/entry.sh".to_owned()], ..facts() };
    let files = good(script("#!/bin/sh\r", Some("/bin/sh\r"), None, None));
    let here = of(&big, Some(&files), Some("sh -c 'a b'"));
    assert_eq!(here.len(), 4, "{here:?}");
    assert!(here[0].cause.text.contains("one, and `Your application stopped"), "{}", here[0].cause.text);
    let there = on(&other, &big, Some(&files), Some("sh -c 'a b'"));
    assert_eq!(there.len(), 1, "{there:?}");
    for (finding, platform) in here.iter().map(|f| (f, "App Runner")).chain([(&there[0], "Elsewhere")]) {
        let text = &finding.cause.text;
        assert!(text.contains(platform) && !text.contains(['{', '}']), "{text}");
    }
    let text = &there[0].cause.text;
    assert!(
        !text.contains("App Runner") && !text.contains("service log") && text.contains("where there is one."),
        "{text}"
    );
}
