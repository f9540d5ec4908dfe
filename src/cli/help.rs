//! Help: commands grouped by purpose, examples of each, the list of conditions, and what to do first.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Cli;
use super::headings::OUTPUT;
use crate::model::condition::kinds;

/// Visible commands by purpose, most used first.
const GROUPS: [(&str, &[&str]); 3] = [
    ("Find what breaks an image", &["why", "run", "bisect", "explain", "causes", "repro", "demo"]),
    ("Test every version (CI, git)", &["gate", "plan", "report"]),
    ("Set up", &["doctor", "import", "serve", "images", "clean", "schema", "completions", "man"]),
];

/// What `exitone` alone says.
pub(super) const FIRST_STEPS: &str = "\
exitone finds the condition that makes a container image exit with code 1 on
AWS App Runner.

Start with one of these:
  exitone doctor                            check the container engine
  exitone demo                              watch a real incident being solved
  exitone why IMAGE --service service.json  what breaks your image, and why

`exitone --help` lists every command.";

/// Examples of the program.
const EXAMPLES: [(&str, &str); 3] = [
    ("exitone demo", "a real incident, solved"),
    ("exitone why app:v2 --service service.json", "what breaks app:v2, and why"),
    ("exitone run --image app:v2 --with egress.drop", "one image, one condition"),
];

/// Examples of each command; those of a subcommand follow the name of its parent.
const OF_COMMANDS: [(&str, [(&str, &str); 2]); 19] = [
    (
        "why",
        [
            ("exitone why app:v2 --service service.json", "what App Runner imposes"),
            ("exitone why --service service.json --log app.log", "explain a deployment"),
        ],
    ),
    (
        "run",
        [
            ("exitone run --image app:v2 --with egress.drop", "one case by hand"),
            ("exitone run exitone.yaml --report junit=out.xml", "a scenario's cases"),
        ],
    ),
    (
        "bisect",
        [
            ("exitone bisect app:v1 app:v2 app:v3 --with egress.drop", ""),
            ("exitone bisect --scenario exitone.yaml", "the scenario's images"),
        ],
    ),
    (
        "explain",
        [
            ("exitone explain service.log application.log", "merged by time"),
            ("docker logs app 2>&1 | exitone explain -", "what a container wrote"),
        ],
    ),
    (
        "causes",
        [
            ("exitone causes ECONNREFUSED", "causes that mention a word"),
            ("exitone causes --check .exitone/causes.yaml", "test entries of your own"),
        ],
    ),
    (
        "repro",
        [
            ("exitone repro CASE", "print its script"),
            ("exitone repro CASE > repro.sh && sh repro.sh", "run it, without exitone"),
        ],
    ),
    (
        "demo",
        [
            ("exitone demo", "a real incident, solved"),
            ("exitone demo --registry localhost:5000", "base images from this registry"),
        ],
    ),
    (
        "gate",
        [
            ("exitone gate", "test HEAD now"),
            ("exitone gate --install --scenario exitone.yaml", "test before every push"),
        ],
    ),
    (
        "plan",
        [
            ("exitone plan exitone.yaml", "the cases, and how long they take"),
            ("exitone plan exitone.yaml --format github", "a matrix for GitHub Actions"),
        ],
    ),
    (
        "report",
        [
            ("exitone report exitone-run --format html -o run.html", ""),
            ("exitone report shard-1 shard-2 --report junit=out.xml", "merge shards"),
        ],
    ),
    ("doctor", [("exitone doctor", "test this engine"), ("exitone doctor --format json", "for scripts")]),
    (
        "import",
        [
            ("exitone import service.json -o exitone.yaml", "describe-service output"),
            ("exitone import .env --image app:v1 --image app:v2", "an env file"),
        ],
    ),
    (
        "serve",
        [
            ("eval \"$(exitone serve --print-env)\"", "point AWS clients at it"),
            ("exitone serve --seed service.json", "start with a service of yours"),
        ],
    ),
    (
        "images",
        [("exitone images build", "all candidates of the demo"), ("exitone images build v19-photo-fix", "one of them")],
    ),
    (
        "images build",
        [
            ("exitone images build", "all candidates of the demo"),
            ("exitone images build postgres", "a database for scenarios"),
        ],
    ),
    (
        "clean",
        [
            ("exitone clean", "what earlier sessions left"),
            ("exitone clean --all", "including sessions in use by others"),
        ],
    ),
    (
        "schema",
        [
            ("exitone schema > scenario.schema.json", "for an editor"),
            ("exitone schema result", "of what --format json writes"),
        ],
    ),
    (
        "completions",
        [
            ("exitone completions bash > ~/.local/share/bash-completion/completions/exitone", ""),
            ("exitone completions fish > ~/.config/fish/completions/exitone.fish", ""),
        ],
    ),
    (
        "man",
        [
            ("exitone man --folder ~/.local/share/man/man1", "then: man exitone-why"),
            ("exitone man | man -l -", "read it at once"),
        ],
    ),
];

/// Commands whose help lists the conditions.
const WITH_CONDITIONS: [&str; 3] = ["why", "run", "bisect"];

/// The command line with its whole help.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let template = template(&command);
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.help_template(template).after_help(examples(&EXAMPLES));
    names.into_iter().fold(command, |command, name| command.mut_subcommand(&name, |sub| helpful(sub, &name)))
}

/// The layout of the program's help: commands by purpose.
fn template(command: &Command) -> String {
    let (header, literal) = (*command.get_styles().get_header(), *command.get_styles().get_literal());
    let mut template = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, names) in GROUPS {
        let _ = writeln!(template, "\n{header}{title}:{header:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about).cloned().unwrap_or_default();
            let _ = writeln!(template, "  {literal}{name:<11}{literal:#} {about}");
        }
    }
    let _ = write!(template, "\n{header}Options:{header:#}\n{{options}}{{after-help}}");
    template
}

/// A command with its examples, and with its help flag among the flags of its output. `path`: its name after its parents'.
fn helpful(command: Command, path: &str) -> Command {
    let Some((_, lines)) = OF_COMMANDS.iter().find(|(name, _)| *name == path) else { return command };
    let (short, long) = match WITH_CONDITIONS.contains(&path) {
        true => (conditions(), format!("{}\n\n", conditions_at_length())),
        false => (String::new(), String::new()),
    };
    let examples = examples(lines);
    let is_grouped = |arg: &Arg| arg.get_help_heading().is_some() && !arg.is_hide_short_help_set();
    let heading = command.get_arguments().any(is_grouped).then_some(OUTPUT);
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help_heading(heading);
    let nested: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command
        .disable_help_flag(true)
        .arg(help.help("Print help; --help shows every option").long_help("Print help; -h prints a summary"))
        .after_help(format!("{examples}{short}"))
        .after_long_help(format!("{long}{examples}"));
    nested.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |sub| helpful(sub, &path))
    })
}

/// Examples, what each does beside it where both fit into a line.
fn examples(lines: &[(&str, &str)]) -> String {
    let width = lines.iter().map(|(example, _)| example.chars().count()).max().unwrap_or_default();
    lines.iter().fold("Examples:".to_owned(), |text, (example, about)| {
        let line = format!("{text}\n  {example:width$}  {about}");
        line.trim_end().to_owned()
    })
}

/// The names of the conditions, those of a family together.
fn conditions() -> String {
    let mut families: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in kinds() {
        let (family, variant) = kind.name.split_once('.').unwrap_or((kind.name, ""));
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, variants)) => variants.push(variant),
            None => families.push((family, vec![variant])),
        }
    }
    let shown = families.iter().map(|(family, variants)| match variants.as_slice() {
        [""] => (*family).to_owned(),
        [one] => format!("{family}.{one}"),
        several => format!("{family}.{{{}}}", several.join(",")),
    });
    let list = shown.collect::<Vec<_>>().join(" ");
    format!("\n\nConditions (--help describes each):\n{list}")
}

/// The conditions with their descriptions.
fn conditions_at_length() -> String {
    let width = kinds().map(|kind| kind.example().chars().count()).max().unwrap_or_default();
    kinds().fold("Conditions:".to_owned(), |mut text, kind| {
        let _ = write!(text, "\n  {:width$}  {}", kind.example(), kind.about);
        text
    })
}

#[cfg(test)]
mod tests;
