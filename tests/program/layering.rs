//! Who may import whom (docs/design.md): any other edge between rooms fails here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Room → the rooms that it may name. `holder::protocol` stands for a part of a room.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("model", vec![]),
        ("profile", vec!["model"]),
        ("scenario", vec!["model", "profile"]),
        ("search", vec!["model"]),
        ("diagnose", vec!["model"]),
        ("event", vec!["model"]),
        // The scripted engine speaks the holder's protocol.
        ("engine", vec!["model", "holder::protocol"]),
        ("holder", vec!["model"]),
        ("run", vec!["engine", "holder::protocol", "holder::authority", "search", "diagnose", "event", "model"]),
        ("images", vec!["engine", "model"]),
        ("report", vec!["event", "model", "search"]),
        (
            "cli",
            vec![
                "model", "profile", "scenario", "search", "diagnose", "event", "engine", "holder", "run", "images",
                "report",
            ],
        ),
    ])
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

fn rooms() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, &mut files);
    let room = |path: &PathBuf| {
        let relative = path.strip_prefix(&src).expect("under src");
        relative.iter().next().expect("a name").to_string_lossy().into_owned()
    };
    files
        .into_iter()
        .map(|path| (room(&path), path.clone(), std::fs::read_to_string(&path).expect("a source file")))
        .filter(|(room, _, _)| !room.ends_with(".rs"))
        .collect()
}

/// The paths after `crate::` in a source, groups taken apart one level deep.
fn imports(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("crate::") {
        let rest: String = source[at + 7..].chars().filter(|c| !c.is_whitespace()).take(200).collect();
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = &group[..group.find("};").unwrap_or(group.len())];
                found.extend(group.split(',').map(ToOwned::to_owned));
            }
            None => found.push(rest.split([';', ',', ')', '(', '<', '>', '{', '&']).next().unwrap_or("").to_owned()),
        }
    }
    found
}

#[test]
fn rooms_import_only_what_they_may() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (room, path, source) in rooms() {
        let may = allowed.get(room.as_str()).unwrap_or_else(|| panic!("the room {room} is not written down"));
        for import in imports(&source) {
            let own = import.split("::").next() == Some(room.as_str());
            let good = may.iter().any(|m| {
                import == *m || import.starts_with(&format!("{m}::")) || import.starts_with(&format!("{m}{{"))
            });
            if !own && !good && import.split("::").next().is_some_and(|first| allowed.contains_key(first)) {
                wrong.push(format!("{}: crate::{import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that are not allowed:\n{}", wrong.join("\n"));
}

#[test]
fn the_test_of_layers_sees_an_import() {
    assert_eq!(imports("use crate::engine::{Engine, Found};"), ["engine::"]);
    assert_eq!(imports("use crate::{engine::Engine, model};"), ["engine::Engine", "model"]);
    assert_eq!(imports("let x = crate::model::units::show(1);"), ["model::units::show"]);
}

#[test]
fn one_file_names_each_library_that_may_be_exchanged() {
    for (library, file) in [("bollard", "engine/docker.rs"), ("serde_saphyr", "scenario/yaml.rs")] {
        for (_, path, source) in rooms() {
            let code = source.lines().filter(|l| !l.trim_start().starts_with("//"));
            let named = code.filter(|l| l.contains(&format!("{library}::"))).count();
            assert!(named == 0 || path.ends_with(file), "{} names {library}", path.display());
        }
    }
}

#[test]
fn files_stay_readable() {
    for (_, path, source) in rooms() {
        let lines = source.lines().count();
        assert!(lines <= 620, "{} has {lines} lines", path.display());
        let of_tests = source.contains("#[cfg(test)]") || path.ends_with("tests.rs");
        assert!(!source.contains("use super::*") || of_tests, "{}", path.display());
    }
}

#[test]
fn only_cli_and_report_print() {
    for (room, path, source) in rooms() {
        if room != "cli" && room != "report" {
            for word in ["println!", "eprintln!", "print!("] {
                assert!(!source.contains(word), "{} prints", path.display());
            }
        }
    }
}

/// Who may ask which variant of a condition, or of a fault, it has. A family's own files do; everything else asks the
/// condition (`words`, `changes`, `wait`, …), so that a new condition need not be written down in many places.
const ASK_FOR_VARIANTS: [&str; 7] = [
    "model/condition/",
    "diagnose/conditions/",
    // They put faults of the network in force.
    "holder/",
    "report/repro.rs",
    "report/repro/network.rs",
    // A variable that is unset is taken away.
    "run/spec.rs",
    // `arch.mismatch` needs no run.
    "run/why/answer.rs",
];

#[test]
fn few_files_match_on_the_variants_of_conditions() {
    let types = [
        "Condition",
        "EgressFault",
        "DnsFault",
        "UpstreamFault",
        "EnvChange",
        "Limit",
        "FileFault",
        "HostnameFault",
        "CommandFault",
        "MetadataFault",
        "SocketFault",
    ];
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (_, path, source) in rooms() {
        let path = path.strip_prefix(&src).expect("under src").to_string_lossy().into_owned();
        let code = source.split("#[cfg(test)]\nmod ").next().unwrap_or(&source);
        let names_variant = |name: &str| {
            code.match_indices(&format!("{name}::")).any(|(at, found)| {
                let whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                whole_word && code[at + found.len()..].starts_with(char::is_uppercase)
            })
        };
        let may = ASK_FOR_VARIANTS.iter().any(|known| path.starts_with(known));
        if !may && types.iter().any(|name| names_variant(name)) {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "these match on the variants of conditions; ask the condition instead: {wrong:?}");
}
