//! Reads files of the catalogue: YAML, with the place of every mistake.

use std::sync::LazyLock;

use super::entry::{Basis, Entry, FATES, NearMiss, PLAIN, Rank, Seen};
use super::packed::Words;
use super::required_words;
use crate::model::Condition;
use crate::model::condition::{kinds, nearest, repairs};
use crate::scenario::node::Node;
use crate::scenario::problem::{Place, Problem, Refused};
use crate::scenario::shape::{Key, Shape};
use crate::scenario::{apprunner, document};

const BASES: [(&str, Basis); 4] =
    [("log", Basis::Log), ("network", Basis::Network), ("serving", Basis::Serving), ("end", Basis::End)];
const RANKS: [(&str, Rank); 4] =
    [("root", Rank::Root), ("specific", Rank::Specific), ("general", Rank::General), ("last", Rank::Last)];

const SEEN: Shape = Shape::List(&Shape::TextOr(&[
    Key::new("line", Shape::OneOrMany(&Shape::Text), "patterns; a line of the log matches one of them"),
    Key::new("code", Shape::OneOrMany(&Shape::Whole(0, 255)), "exit codes"),
    Key::new("connect", Shape::List(&Shape::Text), "how the last failed connection ended"),
    Key::new("status", Shape::OneOrMany(&Shape::Whole(100, 599)), "a status, or the first and the last of a range"),
]));

/// Another way to see the same cause. What it does not name is the entry's.
const VARIANT: Shape = Shape::Map(&[
    Key::new("basis", BASIS, "what it is mainly based on"),
    Key::required("seen", SEEN, "what must be seen, all of it"),
    Key::new("unless", SEEN, "what must not be seen, none of it"),
    Key::new("also", SEEN, "what is cited as well if seen"),
    Key::new("cause", Shape::Text, "what happened, and why"),
    Key::new("fix", Shape::Text, "what to do"),
]);

const BASIS: Shape = Shape::Word(&["log", "network", "serving", "end"]);

/// A file of the catalogue.
const FILE: Shape = Shape::List(&Shape::Map(&[
    Key::required("id", Shape::Text, "a stable name"),
    Key::new("basis", BASIS, "what it is mainly based on"),
    Key::new(
        "rank",
        Shape::Word(&["root", "specific", "general", "last"]),
        "which of several matching entries is named",
    ),
    Key::new("harmless", Shape::Word(&["true", "false"]), "a warning that a healthy start prints too"),
    Key::required("seen", SEEN, "what must be seen, all of it"),
    Key::new("unless", SEEN, "what must not be seen, none of it"),
    Key::new("also", SEEN, "what is cited as well if seen"),
    Key::required("cause", Shape::Text, "what happened, and why"),
    Key::new("fix", Shape::Text, "what to do"),
    Key::new("fix-on", Shape::Named(&Shape::Text), "what to do on a platform, where it differs"),
    Key::new("variants", Shape::List(&VARIANT), "other ways to see the same cause"),
    Key::new("repair", Shape::List(&Shape::Text), "repairs that heal it"),
    Key::new("attempt", Shape::List(&Shape::Text), "repairs that heal one of the things it names"),
    Key::new("reference", Shape::Text, "a page of documentation"),
    Key::new("source", Shape::Text, "the report that its lines are from"),
    Key::new("fires", Shape::List(&Shape::Text), "logs that fire it"),
    Key::new(
        "near",
        Shape::List(&Shape::Map(&[
            Key::required("log", Shape::Text, "a log that must not fire it"),
            Key::required("means", Shape::Text, "what it means instead"),
        ])),
        "near misses",
    ),
]));

/// An entry and where its parts are in the file.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) entry: Entry,
    /// The entry once more for each of its variants.
    pub(crate) variants: Vec<Entry>,
    /// Of its id.
    pub(crate) place: Place,
    /// Of each log that fires it.
    pub(crate) fires: Vec<Place>,
    /// Of each near miss.
    pub(crate) near: Vec<Place>,
    /// Whether it has no mistake of its own.
    pub(crate) is_whole: bool,
}

impl Located {
    /// The entry and its variants.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        std::iter::once(self.entry).chain(self.variants)
    }
}

/// Reads a file. `field`: what its entries are listed under.
///
/// # Errors
/// The file as a whole, with every mistake.
pub(crate) fn read(file: &str, source: &str, field: &str) -> Result<Vec<Located>, Refused> {
    let (all, problems) = parse(file, source, field)?;
    if problems.is_empty() { Ok(all) } else { Err(Refused::new(file, source, problems)) }
}

/// Reads a file as far as it can be read, with its mistakes.
///
/// # Errors
/// It is not YAML, or not a list of entries.
pub(crate) fn parse(file: &str, source: &str, field: &str) -> Result<(Vec<Located>, Vec<Problem>), Refused> {
    let (root, mut problems) = document(file, source, FILE, |_, _| {})?;
    let mut all: Vec<Located> = Vec::new();
    for node in root.items() {
        let before = problems.len();
        let mut one = located(node, field, &Words::default(), &mut problems);
        one.is_whole = problems.len() == before;
        if all.iter().any(|known| known.entry.id == one.entry.id) {
            problems.push(Problem::of(one.place, format!("duplicate id `{}`", one.entry.id)));
        }
        all.push(one);
    }
    Ok((all, problems))
}

/// The entries of a file that was checked before.
pub(super) fn unchecked(root: &Node, field: &str, words: &Words) -> Vec<Entry> {
    let mut problems = Vec::new();
    let located = root.items().iter().map(|node| located(node, field, words, &mut problems));
    located.flat_map(Located::entries).collect()
}

fn located(node: &Node, field: &str, words: &Words, problems: &mut Vec<Problem>) -> Located {
    let text = |key: &str| node.get(key).map(|node| node.text().trim_end().to_owned()).unwrap_or_default();
    let items = |key: &str| node.get(key).map(Node::items).unwrap_or_default();
    let place = node.get("id").map_or(node.place, |id| id.place);
    let id = text("id");
    if !id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        problems.push(Problem::of(place, format!("`{id}`: an id has lower-case letters, digits and hyphens only")));
    }
    let word = |key: &str| text(key).to_ascii_lowercase();
    let (basis, rank) = (word("basis"), word("rank"));
    let entry = Entry {
        field: field.to_owned(),
        basis: basis_of(&basis).unwrap_or_default(),
        rank: RANKS.iter().find(|(name, _)| *name == rank).map(|(_, rank)| *rank).unwrap_or_default(),
        harmless: word("harmless") == "true",
        seen: items("seen").iter().filter_map(|node| seen(node, words, problems)).collect(),
        unless: items("unless").iter().filter_map(|node| seen(node, words, problems)).collect(),
        also: items("also").iter().filter_map(|node| seen(node, words, problems)).collect(),
        cause: text("cause"),
        fix: text("fix"),
        fix_on: node
            .get("fix-on")
            .map(|node| node.entries().iter().map(|e| (e.key.clone(), e.node.text().to_owned())).collect())
            .unwrap_or_default(),
        repair: items("repair").iter().filter_map(|node| repair(node, problems)).collect(),
        attempt: items("attempt").iter().filter_map(|node| repair(node, problems)).collect(),
        reference: text("reference"),
        source: text("source"),
        fires: items("fires").iter().map(|node| node.text().to_owned()).collect(),
        near: items("near")
            .iter()
            .map(|node| {
                let text = |key| node.get(key).map(Node::text).unwrap_or_default().to_owned();
                NearMiss { log: text("log"), means: text("means") }
            })
            .collect(),
        id,
    };
    for word in unfilled(&entry) {
        problems.push(Problem::of(
            place,
            format!("`{{{word}}}` is not captured by every pattern of a `line`; write `[… {{{word}}} …]`"),
        ));
    }
    if entry.fix.is_empty() && !entry.harmless {
        problems.push(Problem::of(place, "missing key `fix`"));
    }
    if entry.seen.is_empty() && node.get("seen").is_some_and(|seen| seen.items().is_empty()) {
        problems.push(Problem::of(place, "`seen` is empty: the entry would fire for every failure"));
    }
    let variants = items("variants").iter().map(|node| variant(node, &entry, words, problems)).collect();
    let near = |node: &Node| node.get("log").map_or(node.place, |log| log.place);
    Located {
        entry,
        variants,
        place,
        fires: items("fires").iter().map(|node| node.place).collect(),
        near: items("near").iter().map(near).collect(),
        is_whole: true,
    }
}

/// Words that every text may use, besides the platform's own.
const COMMON: [&str; 7] = ["port", "platform", "timeout", "memory", "waiting", "said", "code"];

/// The platforms' own words.
static WAYS: LazyLock<Vec<String>> = LazyLock::new(|| apprunner().platform.ways.into_keys().collect());

/// Words of an entry's texts that some log would leave unknown.
fn unfilled(entry: &Entry) -> Vec<String> {
    // What an observation provides is not in a pattern.
    if entry.basis != Basis::Log || entry.seen.iter().any(|seen| matches!(seen, Seen::Fields | Seen::AnyCrash)) {
        return Vec::new();
    }
    let captures = |word: &str| {
        let group = format!("(?P<{word}>");
        let all =
            |seen: &Seen| matches!(seen, Seen::Line(patterns) if patterns.iter().all(|p| p.text().contains(&group)));
        entry.seen.iter().any(all)
    };
    let texts = [&entry.cause, &entry.fix].into_iter().chain(entry.fix_on.values());
    let words = texts.flat_map(|text| required_words(text));
    let provides = |word: &str| entry.seen.iter().any(|seen| seen.provides().contains(&word));
    let known = |word: &str| COMMON.contains(&word) || provides(word) || captures(word);
    words.filter(|word| !WAYS.contains(word) && !known(word)).collect()
}

fn basis_of(name: &str) -> Option<Basis> {
    BASES.iter().find(|(known, _)| *known == name).map(|(_, basis)| *basis)
}

/// The entry as a variant of it says.
fn variant(node: &Node, entry: &Entry, words: &Words, problems: &mut Vec<Problem>) -> Entry {
    let text = |key: &str, other: &str| node.get(key).map_or(other, Node::text).trim_end().to_owned();
    let mut sightings = |key: &str, other: &[Seen]| match node.get(key) {
        Some(list) => list.items().iter().filter_map(|node| seen(node, words, problems)).collect(),
        None => other.to_vec(),
    };
    Entry {
        seen: sightings("seen", &[]),
        unless: sightings("unless", &entry.unless),
        also: sightings("also", &entry.also),
        basis: node.get("basis").and_then(|node| basis_of(node.text())).unwrap_or(entry.basis),
        cause: text("cause", &entry.cause),
        fix: text("fix", &entry.fix),
        fires: Vec::new(),
        near: Vec::new(),
        ..entry.clone()
    }
}

/// Something that must be seen.
fn seen(node: &Node, words: &Words, problems: &mut Vec<Problem>) -> Option<Seen> {
    if node.is_scalar() {
        let known = PLAIN.iter().find(|(name, ..)| *name == node.text());
        if known.is_none() {
            let hint = nearest(node.text(), PLAIN.iter().map(|(name, ..)| *name));
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            problems.push(node.problem(format!("unknown sighting `{}`{hint}", node.text())));
        }
        return known.map(|(_, seen, _)| seen.clone());
    }
    let [only] = node.entries() else {
        problems.push(node.problem("expected one of `line`, `code`, `connect` or `status`"));
        return None;
    };
    let values: Vec<&Node> = if only.node.is_scalar() { vec![&only.node] } else { only.node.items().iter().collect() };
    let numbers = || values.iter().filter_map(|value| value.text().parse::<u16>().ok());
    match only.key.as_str() {
        "line" => {
            let pattern = |value: &&Node| {
                let read = words.pattern(value.text());
                read.map_err(|e| problems.push(value.problem(e.to_string()))).ok()
            };
            Some(Seen::Line(values.iter().filter_map(pattern).collect()))
        }
        "code" => Some(Seen::Code(numbers().map(i64::from).collect())),
        "status" => Some(Seen::Status(numbers().next()?, numbers().next_back()?)),
        _ => {
            let fate = |value: &&Node| {
                let found = FATES.iter().find(|(name, _)| *name == value.text()).map(|(_, fate)| *fate);
                if found.is_none() {
                    problems.push(value.problem("expected silent, refused, unreachable or answered"));
                }
                found
            };
            Some(Seen::Connect(values.iter().filter_map(fate).collect()))
        }
    }
}

/// A repair: a condition with its argument, or the name of one.
fn repair(node: &Node, problems: &mut Vec<Problem>) -> Option<String> {
    let text = node.text();
    let is_name = kinds().chain(repairs()).any(|kind| kind.name == text);
    match text.parse::<Condition>() {
        Ok(_) => Some(text.to_owned()),
        Err(_) if is_name => Some(text.to_owned()),
        Err(e) => {
            problems.push(node.problem(format!("unknown repair: {e}")));
            None
        }
    }
}
