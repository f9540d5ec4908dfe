//! The allowed imports (docs/design.md): any other edge between modules fails here.

mod graph;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use graph::{Code, Graph, cycles};

/// Each top-level module with those that it may import. `holder::protocol` stands for a part of a module.
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("model", vec![]),
        ("profile", vec!["model"]),
        ("scenario", vec!["model", "profile"]),
        ("search", vec!["model"]),
        ("catalogue", vec!["model", "scenario"]),
        ("diagnose", vec!["model", "catalogue"]),
        ("event", vec!["model"]),
        // The scripted engine speaks the holder's protocol.
        ("engine", vec!["model", "holder::protocol"]),
        ("holder", vec!["model"]),
        (
            "run",
            vec![
                "engine",
                "holder::protocol",
                "holder::authority",
                "search",
                "catalogue",
                "diagnose",
                "event",
                "model",
            ],
        ),
        (
            "serve",
            vec![
                "model",
                "profile",
                "scenario",
                "diagnose",
                "engine",
                "holder::protocol",
                "holder::authority",
                "holder::accept",
                "run",
            ],
        ),
        ("images", vec!["engine", "model"]),
        ("report", vec!["event", "model", "search", "catalogue"]),
        (
            "cli",
            vec![
                "model",
                "profile",
                "scenario",
                "search",
                "catalogue",
                "diagnose",
                "event",
                "engine",
                "holder",
                "run",
                "images",
                "report",
                "serve",
            ],
        ),
    ])
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files of the top-level modules: module, path below `src`, and text.
fn rooms() -> Vec<(String, PathBuf, String)> {
    let files = Graph::of_folder(&src(), Code::All).files.into_values();
    files.filter_map(|file| Some((file.room()?.to_owned(), PathBuf::from(&file.path), file.source))).collect()
}

#[test]
fn rooms_import_only_what_they_may() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for file in Graph::of_folder(&src(), Code::All).files.into_values() {
        let Some(room) = file.room() else { continue };
        let may = allowed.get(room).unwrap_or_else(|| panic!("the module {room} is not in the list"));
        for name in &file.names {
            let Some(first) = name.first().filter(|first| allowed.contains_key(first.as_str())) else { continue };
            let good = may
                .iter()
                .any(|part| part.split("::").zip(name).filter(|(a, b)| a == b).count() == part.split("::").count());
            if first != room && !good {
                wrong.push(format!("{}: crate::{}", file.path, name.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "edges that are not allowed:\n{}", wrong.join("\n"));
}

#[test]
fn files_do_not_import_each_other_in_cycles() {
    let graph = Graph::of_folder(&src(), Code::Shipped);
    let edges = graph.edges();
    let describe = |cycle: Vec<&str>| {
        let inside = |path: &str| edges[path].iter().copied().filter(|to| cycle.contains(to)).collect::<Vec<_>>();
        cycle.iter().map(|path| format!("    {path} -> {}\n", inside(path).join(", "))).collect::<String>()
    };
    let found: Vec<String> = cycles(&edges).into_iter().map(describe).collect();
    assert!(found.is_empty(), "files that import each other:\n{}", found.join("\n"));
}

fn graph_of(sources: &[(&str, &str)]) -> Graph {
    Graph::of_sources(sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())), Code::Shipped)
}

#[test]
fn paths_are_found_in_use_trees_code_and_macros() {
    let source = r##"
        use crate::{engine::{Engine as E, Found}, model};
        use super::case::{self, Case};
        // use crate::comment::Nothing;
        fn f<'a>(x: &'a str) -> char { println!("{} crate::text::x", crate::model::units::show(1)); '"' }
        const RAW: &str = r#" "crate::raw::x" "#;
        #[cfg(test)]
        mod tests { use crate::only_in_tests::X; }
    "##;
    let graph = graph_of(&[("run/why.rs", source)]);
    let file = graph.files.values().next().expect("one");
    let names: Vec<String> = file.names.iter().map(|name| name.join("::")).collect();
    assert_eq!(
        names,
        ["engine::Engine", "engine::Found", "model", "model::units::show", "run::case", "run::case::Case"]
    );
}

#[test]
fn cycles_are_found_behind_re_exports_too() {
    let two = [
        ("lib.rs", "pub mod a;"),
        ("a/mod.rs", "mod b; mod c; pub use b::B; pub use c::*; pub struct A;"),
        ("a/b.rs", "use super::C; pub struct B(C);"),
        ("a/c.rs", "pub struct C; fn f() { crate::a::B; }"),
    ];
    assert_eq!(cycles(&graph_of(&two).edges()), [["a/b.rs", "a/c.rs"]]);
    let child_and_folder = [("a/mod.rs", "mod b; pub use b::B; pub struct A;"), ("a/b.rs", "pub struct B(super::A);")];
    assert!(cycles(&graph_of(&child_and_folder).edges()).is_empty());
    let by_a_stranger = [
        ("a/mod.rs", "mod b; pub struct A(crate::c::C);"),
        ("a/b.rs", "pub struct B(super::A);"),
        ("c.rs", "pub struct C(crate::a::b::B);"),
    ];
    assert_eq!(cycles(&graph_of(&by_a_stranger).edges()), [["a/b.rs", "a/mod.rs", "c.rs"]]);
}

#[test]
fn replaceable_libraries_are_named_in_one_module() {
    for (library, module) in [("bollard", "engine/docker"), ("serde_saphyr", "scenario/yaml")] {
        for (_, path, source) in rooms() {
            let code = source.lines().filter(|l| !l.trim_start().starts_with("//"));
            let named = code.filter(|l| l.contains(&format!("{library}::"))).count();
            let is_of_module = path.to_string_lossy().contains(module);
            assert!(named == 0 || is_of_module, "{} names {library}", path.display());
        }
    }
}

#[test]
fn files_are_at_most_650_lines_long() {
    for (_, path, source) in rooms() {
        let lines = source.lines().count();
        assert!(lines <= 650, "{} has {lines} lines", path.display());
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

/// Files that may match on the variant of a condition or a fault. The files of a condition family may; everything else
/// calls the condition's methods (`words`, `changes`, `wait`, …), so that a new condition does not have to be added in
/// many places.
const ASK_FOR_VARIANTS: [&str; 8] = [
    "model/condition/",
    "diagnose/conditions/",
    // They impose network faults.
    "holder/",
    "report/repro.rs",
    "report/repro/network.rs",
    // An unset variable is removed, and looked up by itself.
    "run/spec.rs",
    "run/result.rs",
    // `arch.mismatch` needs no run.
    "run/drivers/minimal/answer.rs",
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
    let mut wrong = Vec::new();
    for (_, path, source) in rooms() {
        let path = path.to_string_lossy().into_owned();
        let code = shipped(&source);
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

#[test]
fn cases_are_scheduled_in_two_places() {
    let executor = ["run", "executor", "Executor"];
    let files = Graph::of_folder(&src(), Code::Shipped).files.into_values();
    let owners: Vec<String> =
        files.filter(|file| file.names.iter().any(|name| *name == executor)).map(|f| f.path).collect();
    // The cases of runs, and the deployments of a local App Runner, which have no plan.
    assert_eq!(owners, ["run/conductor.rs", "serve/deployer.rs"]);
}

/// The code of a file without its tests.
fn shipped(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod ").next().unwrap_or(source)
}

#[test]
fn only_the_recorder_stamps_events() {
    let stamps = |source: &str| shipped(source).contains("Stamped { seq");
    let files: Vec<String> = rooms()
        .into_iter()
        .filter(|(_, _, source)| stamps(source))
        .map(|(_, path, _)| path.to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, ["run/recorder.rs"], "events of every command come from one place");
}

#[test]
fn only_the_view_words_outcomes() {
    let files = Graph::of_folder(&src(), Code::Shipped).files.into_values();
    for file in files.filter(|file| file.room() == Some("report")) {
        let (path, source) = (file.path.as_str(), shipped(&file.source));
        let named = source.match_indices("Outcome::").map(|(at, found)| {
            let name = &source[at + found.len()..];
            &name[..name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len())]
        });
        let variants: BTreeSet<&str> = named.filter(|name| name.starts_with(char::is_uppercase)).collect();
        // One variant is a question; two are a wording of one's own.
        assert!(path == "report/view.rs" || variants.len() < 2, "{path} tells outcomes apart: {variants:?}");
    }
}

#[test]
fn no_code_parses_the_host_cannot_message() {
    for (_, path, source) in rooms() {
        for call in ["strip_prefix", "starts_with", "contains", "split_once", "find"] {
            assert!(
                !source.contains(&format!("{call}(\"host cannot")),
                "{}: ask RunError::CannotImpose",
                path.display()
            );
        }
    }
}
