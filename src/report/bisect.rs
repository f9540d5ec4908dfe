//! The answer of `bisect`: the first bad image, what changed, and why it fails.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::style::{BAD, DIM, GOOD, HEAD, causes, shorten_end, styled, wrap};
use super::view;
use crate::model::change::ImageChange;
use crate::model::outcome::{CaseResult, Verdict};
use crate::model::verdicts::{Culprit, Tested, Verdicts};

/// Maximum width of an image's name, in columns.
const MOST_NAME: usize = 32;
/// Width of a line, in columns.
const WIDTH: usize = 108;

/// The document of `bisect --format json`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Document<'a> {
    #[serde(flatten)]
    verdicts: &'a Verdicts,
    /// The answer in one sentence.
    sentence: String,
}

/// The document of `bisect --format json`.
#[must_use]
pub fn json(verdicts: &Verdicts) -> Value {
    json!(Document { verdicts, sentence: sentence(verdicts) })
}

/// The answer in one sentence.
#[must_use]
pub fn sentence(verdicts: &Verdicts) -> String {
    let name =
        |image: Option<&String>| image.map(|image| view::name(image, &verdicts.images).to_owned()).unwrap_or_default();
    let (oldest, newest) = (name(verdicts.images.first()), name(verdicts.images.last()));
    let under = under(verdicts);
    let good = verdicts.last_good.as_ref().map(|image| view::name(image, &verdicts.images));
    match verdicts.culprit {
        Culprit::First => {
            let good = good.map(|good| format!("; {good}, before it, is good")).unwrap_or_default();
            format!("{} is the first bad one{good}", name(verdicts.first_bad.as_ref()))
        }
        Culprit::AnyOf => {
            let good = good.map(|good| format!("; {good}, before them, is good")).unwrap_or_default();
            format!("the first bad one is one of {}{good}", list(verdicts, &verdicts.any_of))
        }
        Culprit::AllBad => format!("the oldest image, {oldest}, already fails{under}; start with an older one"),
        Culprit::NoneBad => format!("nothing to bisect: the newest image, {newest}, passes{under}"),
        Culprit::Reversed => format!(
            "nothing to bisect: the oldest image, {oldest}, fails{under}, and the newest, {newest}, passes, so it is fixed \
             by then; if the order is wrong, pass the oldest image first"
        ),
        Culprit::Unknown => unknown(verdicts, &newest),
        Culprit::Judged => match &verdicts.newest {
            Some(one) if one.verdict == Verdict::Pass => format!("{newest} is good{under}"),
            Some(one) if one.verdict == Verdict::Fail => format!("{newest} is bad{under}: {}", failure(one)),
            Some(one) => format!("{newest} is unresolved{under}: {}", one.because.clone().unwrap_or_default()),
            None => format!("{newest} was not judged{under}"),
        },
    }
}

fn under(verdicts: &Verdicts) -> String {
    if verdicts.conditions.is_empty() { String::new() } else { format!(" under {}", verdicts.conditions) }
}

fn list(verdicts: &Verdicts, images: &[String]) -> String {
    images.iter().map(|image| view::name(image, &verdicts.images)).collect::<Vec<_>>().join(", ")
}

/// The sentence when no answer was found.
fn unknown(verdicts: &Verdicts, newest: &str) -> String {
    let unresolved = verdicts.newest.as_ref().and_then(|one| one.because.as_ref());
    match unresolved {
        Some(why) => format!("no answer: the newest image, {newest}, is unresolved{}: {why}", under(verdicts)),
        None => {
            let open = list(verdicts, &verdicts.not_tried);
            let open = if open.is_empty() { String::new() } else { format!("; not tried: {open}") };
            format!("no answer: no bad image was found{}{open}", under(verdicts))
        }
    }
}

/// The answer for a terminal; `shown` is a failed run of the first known bad image.
#[must_use]
pub fn text(verdicts: &Verdicts, shown: Option<&CaseResult>) -> String {
    let one = verdicts.culprit == Culprit::Judged;
    let mut text = if one { String::new() } else { tested(verdicts) };
    let certain = matches!(verdicts.culprit, Culprit::First | Culprit::AnyOf) && verdicts.flaky;
    let certain = if certain {
        format!(" ({:.0} % sure: the failure is flaky)", (verdicts.confidence * 100.0).floor())
    } else {
        String::new()
    };
    // The command reports this as an error.
    if !matches!(verdicts.culprit, Culprit::NoneBad | Culprit::Reversed) {
        let gap = if one { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}{certain}", styled(HEAD, &wrap(&sentence(verdicts), 0)));
    }
    for also in &verdicts.also {
        let _ = writeln!(text, "{}", wrap(&another(verdicts, also), 0));
        if let Some(command) = &also.compare {
            let _ = writeln!(text, "  {} {command}", styled(HEAD, "compare"));
        }
    }
    for note in &verdicts.notes {
        let _ = writeln!(text, "{}", styled(DIM, &wrap(note, 0)));
    }
    let bad = verdicts.known_bad().filter(|_| matches!(verdicts.culprit, Culprit::First | Culprit::AnyOf));
    if let (Some(good), Some(bad)) = (&verdicts.last_good, bad) {
        text.push_str(&changed(
            &verdicts.image_diff,
            view::name(good, &verdicts.images),
            view::name(bad, &verdicts.images),
        ));
    }
    if let Some(shown) = shown {
        text.push_str(&causes(shown));
        text.push_str(&again(verdicts));
    }
    let _ = writeln!(text, "\n{} in {:.1} s", view::plural(verdicts.runs, "run"), verdicts.seconds);
    text
}

/// One line for each image, in the order of the list.
fn tested(verdicts: &Verdicts) -> String {
    let names = view::names(&verdicts.images);
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().min(MOST_NAME);
    let mut text = String::new();
    let conditions =
        if verdicts.conditions.is_empty() { "friendly conditions".to_owned() } else { verdicts.conditions.to_string() };
    let _ = writeln!(text, "{}", styled(DIM, &wrap(&format!("under {conditions}, the oldest first"), 0)));
    for version in versions(verdicts) {
        let (sign, style) = match version.tested.map(|tested| tested.verdict) {
            None => ("·", DIM),
            Some(Verdict::Pass) => ("✓", GOOD),
            Some(Verdict::Fail) => ("✗", BAD),
            Some(Verdict::Unresolved) => ("?", DIM),
        };
        let name = format!("{:width$}", version.name);
        let room = WIDTH.saturating_sub(width + 6 + version.often.chars().count());
        let shown = shorten_end(&version.text, room);
        let shown = if sign == "✗" { shown } else { styled(DIM, &shown) };
        let _ = writeln!(text, "  {} {name}  {shown}{}", styled(style, sign), styled(DIM, &version.often));
    }
    text
}

/// A version of the list.
pub(crate) struct Version<'a> {
    /// Its name.
    pub(crate) name: String,
    /// How it was judged; `None` when it was not run.
    pub(crate) tested: Option<&'a Tested>,
    /// What it does.
    pub(crate) text: String,
    /// How often it failed, if its runs disagree.
    pub(crate) often: String,
}

/// All versions, the oldest first.
#[must_use]
pub(crate) fn versions(verdicts: &Verdicts) -> Vec<Version<'_>> {
    let names = view::names(&verdicts.images).into_iter();
    let version = |(image, name): (&String, String)| {
        let tested = verdicts.tested(image);
        let text = match tested {
            None => "not tried".to_owned(),
            Some(one) => match one.verdict {
                Verdict::Pass => format!("good{}", unmet(one)),
                Verdict::Fail => failure(one),
                Verdict::Unresolved => format!("unresolved: {}", one.because.clone().unwrap_or_default()),
            },
        };
        Version { name, tested, text, often: tested.map(often).unwrap_or_default() }
    };
    verdicts.images.iter().zip(names).map(version).collect()
}

/// What changed from the last good image to the first bad one: the part, and the change.
#[must_use]
pub(crate) fn changes(verdicts: &Verdicts) -> Vec<(&'static str, String)> {
    let found = matches!(verdicts.culprit, Culprit::First | Culprit::AnyOf) && verdicts.last_good.is_some();
    let parts = if found { parts(&verdicts.image_diff) } else { Vec::new() };
    let more = verdicts.image_diff.more_files;
    let more = (found && more > 0).then(|| ("files", format!("{more} more")));
    parts
        .into_iter()
        .flat_map(|(what, lines, _)| lines.iter().map(move |line| (what, line.clone())))
        .chain(more)
        .collect()
}

/// The parts of a change: name, lines, and the number of lines that the terminal shows.
fn parts(change: &ImageChange) -> Vec<(&'static str, &Vec<String>, usize)> {
    let ImageChange { env, cmd, entrypoint, user, workdir, arch, layers, packages, files, more_files: _, note: _ } =
        change;
    vec![
        ("env", env, 4),
        ("command", cmd, 1),
        ("entry point", entrypoint, 1),
        ("user", user, 1),
        ("folder", workdir, 1),
        ("platform", arch, 1),
        ("layers", layers, 1),
        ("packages", packages, 5),
        ("files", files, 7),
    ]
}

/// How an image fails.
fn failure(one: &Tested) -> String {
    one.signature.clone().unwrap_or_else(|| one.outcome.clone())
}

fn unmet(one: &Tested) -> String {
    if one.not_exercised.is_empty() {
        String::new()
    } else {
        format!(", not exercised: {}", one.not_exercised.join(", "))
    }
}

/// How often an image failed, if its runs disagree.
fn often(one: &Tested) -> String {
    let [fails, decided] = one.fails;
    if fails > 0 && fails < decided { format!("  (failed {fails} of {decided} runs)") } else { String::new() }
}

fn another(verdicts: &Verdicts, also: &crate::model::verdicts::Also) -> String {
    let newest = verdicts.images.last().map(|image| view::name(image, &verdicts.images)).unwrap_or_default();
    let begins = match (&also.first_bad, also.any_of.as_slice()) {
        (Some(first), _) => format!("begins with {}", view::name(first, &verdicts.images)),
        (None, []) => "begins at an unknown version".to_owned(),
        (None, several) => format!("begins with one of {}", list(verdicts, several)),
    };
    let good = also.last_good.as_ref().filter(|_| also.first_bad.is_some());
    let good =
        good.map(|good| format!(" ({}, before it, passes)", view::name(good, &verdicts.images))).unwrap_or_default();
    format!("The newest image, {newest}, has a different failure ({}), which {begins}{good}.", also.signature)
}

/// What changed, in about twenty lines at most.
fn changed(change: &ImageChange, before: &str, after: &str) -> String {
    let mut text = format!("\n{}\n", styled(HEAD, &format!("What changed from {before} to {after}")));
    for (name, lines, most) in parts(change) {
        let more = if name == "files" { change.more_files } else { 0 };
        for (n, line) in lines.iter().take(most).enumerate() {
            let name = if n == 0 { name } else { "" };
            let _ = writeln!(text, "  {name:12} {}", shorten_end(line, WIDTH - 15));
        }
        let more = lines.len().saturating_sub(most) + more;
        if more > 0 {
            let _ =
                writeln!(text, "  {:12} {}", "", styled(DIM, &format!("… and {more} more; --format json lists them")));
        }
    }
    match &change.note {
        Some(note) => {
            let _ = writeln!(text, "  {}", styled(DIM, &wrap(note, 2)));
        }
        None if change.is_empty() => {
            let nothing = "no difference found: the cause may be outside the images";
            let _ = writeln!(text, "  {}", styled(DIM, nothing));
        }
        None => {}
    }
    text
}

/// How to run the failure again.
fn again(verdicts: &Verdicts) -> String {
    let mut text = "\n".to_owned();
    if let Some(repro) = &verdicts.repro {
        let _ = writeln!(text, "  {} {repro}", styled(HEAD, "rerun"));
    }
    if let Some(case) = &verdicts.case {
        let _ = writeln!(text, "  {}", styled(DIM, &format!("by hand: exitone repro {case} > case.sh && sh case.sh")));
    }
    text
}
