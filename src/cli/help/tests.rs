//! The help of every command: its length, its examples, its groups.

use clap::{CommandFactory, Parser};

use super::super::headings::{CONDITIONS, ENGINE, WHAT};
use super::*;

/// Most lines of a short help: a screen of 40 lines shows all of it, with the prompt below.
const SCREEN: usize = 39;

/// Width of the screen, in columns.
const WIDTH: usize = 80;

/// Every visible command, and those below it, with its path.
fn visible() -> Vec<(String, Command)> {
    fn add(command: &Command, path: &str, all: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            add(sub, &path, all);
            all.push((path, sub.clone()));
        }
    }
    let mut whole = command().term_width(WIDTH);
    whole.build();
    let mut all = Vec::new();
    add(&whole, "", &mut all);
    all
}

#[test]
fn every_visible_command_is_in_one_group() {
    let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    let command = Cli::command();
    let mut visible: Vec<&str> = command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name()).collect();
    let mut sorted = grouped.clone();
    sorted.sort_unstable();
    visible.sort_unstable();
    assert_eq!(sorted, visible);
}

#[test]
fn short_help_of_every_command_fits_a_screen() {
    let program = command().term_width(WIDTH).render_help().to_string();
    let helps = visible().into_iter().map(|(path, mut command)| (path, command.render_help().to_string()));
    for (path, help) in helps.chain([("exitone".to_owned(), program), ("nothing".to_owned(), FIRST_STEPS.to_owned())]) {
        let count = help.lines().count();
        assert!(count <= SCREEN, "{path}: {count} lines\n{help}");
        let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > WIDTH).collect();
        assert!(wide.is_empty(), "{path}: {wide:?}");
    }
}

#[test]
fn every_command_has_two_examples_that_parse() {
    let all = visible();
    for (path, mut command) in all {
        let help = command.render_long_help().to_string();
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{path}: no examples\n{help}"));
        let lines: Vec<&str> = examples.lines().take_while(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 2, "{path}: {lines:?}");
        let of = OF_COMMANDS.iter().find(|(name, _)| *name == path).expect("examples");
        for (example, _) in of.1 {
            assert!(help.contains(example), "{path}: {example}");
            let begin = example.find("exitone ").expect("a command of this program");
            let words = shlex::split(example[begin..].trim_end_matches([')', '"'])).expect("words");
            let words = words.into_iter().take_while(|word| !["|", ">", "&&"].contains(&word.as_str()));
            let words: Vec<String> = words.collect();
            let named = words.iter().skip(1).take(path.split(' ').count()).map(String::as_str).collect::<Vec<_>>();
            assert_eq!(named.join(" "), if path == "images" { "images" } else { &path }, "{example}");
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{example}: {error}");
            }
        }
    }
    for (example, _) in EXAMPLES {
        assert!(Cli::try_parse_from(shlex::split(example).expect("words")).is_ok(), "{example}");
    }
}

#[test]
fn options_of_commands_that_run_images_are_grouped() {
    let known = [WHAT, CONDITIONS, OUTPUT, ENGINE];
    for (path, command) in visible() {
        if !["why", "run", "bisect", "gate"].contains(&path.as_str()) {
            continue;
        }
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let heading = arg.get_help_heading().unwrap_or_default();
            assert!(known.contains(&heading), "{path}: {} is under `{heading}`", arg.get_id());
        }
    }
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(command().term_width(WIDTH).render_help());
}

#[test]
fn help_of_each_command() {
    for (path, mut command) in visible() {
        insta::assert_snapshot!(path.replace(' ', "_"), command.render_help());
    }
}
