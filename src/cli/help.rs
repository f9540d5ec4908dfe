//! The top-level help: commands grouped by purpose, with examples; and the list of conditions.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::Cli;
use crate::model::condition::kinds;

/// Visible commands by purpose, most used first.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Find what breaks an image", &["why", "run", "bisect", "explain", "causes", "repro", "demo"]),
    ("Test every version (CI, git)", &["gate", "plan", "report"]),
    ("Set up", &["serve", "import", "doctor", "images", "clean"]),
    ("Integrate", &["schema", "completions", "man"]),
];

const EXAMPLES: &str = "\
Examples:
  exitone demo                                       the bundled incident, end to end
  exitone why app:v2 --service service.yaml          which conditions break app:v2, and why
  exitone run --image app:v2 --with egress.drop      one image under one condition
  exitone bisect app:v1 app:v2 app:v3 --with egress.drop
  exitone run scenarios/gate.yaml --report junit=out.xml";

/// The command line with grouped help.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let header = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, names) in GROUPS {
        let _ = writeln!(template, "\n{header}{title}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about).cloned().unwrap_or_default();
            let _ = writeln!(template, "  {literal}{name:<12}{literal:#}{about}");
        }
    }
    let _ = write!(template, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    command.help_template(template).after_help(EXAMPLES)
}

/// The names of the conditions.
pub(crate) fn conditions() -> String {
    let names: Vec<String> = kinds().map(|kind| kind.example()).collect();
    format!("Conditions (--help describes each): {}", names.join(", "))
}

/// The conditions with their descriptions.
pub(crate) fn conditions_at_length() -> String {
    let width = kinds().map(|kind| kind.example().chars().count()).max().unwrap_or_default();
    kinds().fold("Conditions:".to_owned(), |mut text, kind| {
        let _ = write!(text, "\n  {:width$}  {}", kind.example(), kind.about);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_command_is_in_one_group() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let mut visible: Vec<&str> =
            command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name()).collect();
        let mut sorted = grouped.clone();
        sorted.sort_unstable();
        visible.sort_unstable();
        assert_eq!(sorted, visible);
    }

    #[test]
    fn help_of_the_program() {
        insta::assert_snapshot!(command().render_help());
    }
}
