//! What tools put in front of every line: a service's name, a time, a stream. Times put the lines in order.

use std::sync::LazyLock;

use regex::Regex;

use super::kept::Raw;

/// How many of ten lines must have a prefix for it to count; the others continue a line.
const MOST_OF_TEN: usize = 4;

fn compiled(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

/// `web-1  | text` (Compose), `10:00:00 web.1 | text` (honcho), `web.1.f9nt@node | text` (a swarm), `[pod/web-0/app] text`
/// (`kubectl logs --prefix`).
static SOURCE: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(r"^(?:(?:\d\d:\d\d:\d\d )?[A-Za-z0-9][\w.-]*(?:@[\w.-]+)?\s*\| ?|\[pod/[^\]\s]+\] )"));
/// `[web] 2026-11-28T10:00:00Z text`: a name before a time, which stays.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(r"^(\[[A-Za-z][\w./-]*\] )\d{4}-\d\d-\d\d[T ]"));
/// `(APIServer pid=1) text` (vLLM, Ray), `stderr: text`: a process that prints what its children write.
static CHILD: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(r"^(?:\([A-Za-z][\w:.]*(?: [\w=]+)* pid=\d+\) ?|(?:stdout|stderr): )"));
/// `web-1  | text` behind a time (Docker Desktop), or the bar alone (Loguru). A level in this place stays.
static BAR: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(r"^(?:[a-z0-9][a-z0-9_.-]*)?\s*\| ?"));
/// A time with its zone, after which a text may follow at once (TrueNAS), or without one.
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let time = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?";
    compiled(&format!(r"^({time}(?:Z|[+-]\d\d:?\d\d)?)(?: UTC)?(?:\s|$)|^({time}[+-]\d\d:\d\d)"))
});
/// `Nov 28 10:00:00 host app[12]: text` (the journal).
static JOURNAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled(r"^[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \S+ [^\s\[:]+(?:\[\d+\])?: "));
/// `app[web.1]: text` (Heroku), `app[683930ef216748] ams [info]text` (Fly), `stdout F text` (containerd), `stdout<TAB>text`
/// (some collectors).
static AFTER_TIME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compiled(
        r"^(?:(?:app|heroku)\[[\w.-]+\]: |[a-z]+\[\w+\] [a-z]{3} \[\w+\]|(?:stdout|stderr)(?: [FP] |\t)|[DIWEN] (?:\* )?)",
    )
});

/// The lines without their prefixes, in the order of their times.
pub(super) fn parsed(mut lines: Vec<Raw>) -> Vec<Raw> {
    single_spaced(&mut lines);
    outdented(&mut lines);
    strip(&mut lines, &SOURCE);
    strip(&mut lines, &NAMED);
    strip(&mut lines, &JOURNAL);
    times(&mut lines);
    strip(&mut lines, &BAR);
    strip(&mut lines, &CHILD);
    ordered(lines)
}

/// Fewer lines than these show no spacing.
const FEWEST_SPACED: usize = 6;

/// Drops the empty lines of a log that was copied from a page with one below each line.
fn single_spaced(lines: &mut Vec<Raw>) {
    let is_empty = |line: &Raw| line.text.trim().is_empty();
    let full = lines.iter().filter(|line| !is_empty(line)).count();
    let followed = lines.windows(2).filter(|pair| !is_empty(&pair[0]) && !is_empty(&pair[1])).count();
    if full >= FEWEST_SPACED && followed * 10 <= full {
        lines.retain(|line| !is_empty(line) || line.meaning.is_some());
    }
}

/// Drops the indentation of a log that was copied from a text, or quoted in one (`> `).
fn outdented(lines: &mut [Raw]) {
    let full = || lines.iter().filter(|line| !line.text.trim().is_empty());
    if full().count() < 2 {
        return;
    }
    let width = |text: &str| text.len() - text.trim_start_matches([' ', '>']).len();
    let common = full().map(|line| width(&line.text)).min().unwrap_or(0);
    for line in lines.iter_mut() {
        let width = common.min(width(&line.text));
        line.text.drain(..width);
    }
}

/// Whether enough lines satisfy a predicate.
fn common(lines: &[Raw], is: impl Fn(&Raw) -> bool) -> bool {
    let all = lines.iter().filter(|line| !line.text.trim().is_empty());
    let (count, with) = all.fold((0, 0), |(all, with), line| (all + 1, with + usize::from(is(line))));
    count > 0 && with * 10 >= count * MOST_OF_TEN
}

/// Removes a prefix that most lines have.
fn strip(lines: &mut [Raw], prefix: &LazyLock<Option<Regex>>) {
    let Some(prefix) = prefix.as_ref() else { return };
    if common(lines, |line| prefix.is_match(&line.text)) {
        for line in lines {
            if let Some(found) = prefix.captures(&line.text) {
                let end = found.get(1).or(found.get(0)).map_or(0, |part| part.end());
                line.text.drain(..end);
            }
        }
    }
}

/// Reads the times in front of the lines, and what a tool puts after them.
fn times(lines: &mut [Raw]) {
    let (Some(time), Some(after)) = (TIME.as_ref(), AFTER_TIME.as_ref()) else { return };
    if !common(lines, |line| time.is_match(&line.text)) {
        return;
    }
    for line in lines.iter_mut() {
        let Some(found) = time.captures(&line.text) else { continue };
        let Some(written) = found.get(1).or(found.get(2)).map(|time| time.as_str().to_owned()) else { continue };
        let whole = found[0].len();
        // The indentation of a stack's line belongs to it: only one space is the prefix's.
        line.text.drain(..whole);
        line.ms = line.ms.or_else(|| millis(&written));
        line.time.get_or_insert(written);
    }
    let is_tools = |line: &Raw| line.time.is_some() && after.is_match(&line.text);
    if lines.iter().filter(|line| line.time.is_some()).count() > 0 && common(lines, is_tools) {
        for line in lines.iter_mut().filter(|line| line.time.is_some()) {
            if let Some(found) = after.find(&line.text) {
                line.text.drain(..found.end());
            }
        }
        return;
    }
    // `aws logs tail` writes the stream's name: it has a slash, or is the same in every line.
    let first = lines.iter().filter(|line| line.time.is_some()).find_map(|line| stream(&line.text).map(str::to_owned));
    let Some(first) = first else { return };
    let streams = |line: &&Raw| stream(&line.text).is_some_and(|word| word == first || is_path(word));
    let timed: Vec<&Raw> = lines.iter().filter(|line| line.time.is_some()).collect();
    if timed.len() > 1 && timed.iter().filter(|line| streams(line)).count() * 10 >= timed.len() * 9 {
        for line in lines.iter_mut().filter(|line| line.time.is_some()) {
            if let Some(word) = stream(&line.text).map(str::len) {
                let rest = (word + 1).min(line.text.len());
                line.text.drain(..rest);
            }
        }
    }
}

/// The first word, if it may be a stream's name. A word of letters alone is the message's: a program that is started again
/// and again repeats its own.
fn stream(text: &str) -> Option<&str> {
    let word = text.split(' ').next().filter(|word| !word.is_empty())?;
    let is_name = word.starts_with(|c: char| c.is_ascii_alphanumeric()) && !word.ends_with([':', ']', ')', ',', '=']);
    let is_word = word.bytes().all(|b| b.is_ascii_alphabetic());
    (is_name && !is_word && word.len() > 5).then_some(word)
}

/// `instance/0123`, `ecs/web/0123`.
fn is_path(word: &str) -> bool {
    word.contains('/') && !word.contains("://")
}

/// Forms of a time besides ISO 8601: App Runner's, those of consoles that export a table, and Go's.
const FORMS: [&str; 5] = [
    "%m-%d-%Y %I:%M:%S %p",
    "%m/%d/%Y, %I:%M:%S%.f %p",
    "%m/%d/%Y %I:%M:%S%.f %p",
    "%m/%d/%Y %H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
];

/// A time in milliseconds since 1970: ISO 8601, with a space for the `T`, without a zone (UTC), or one of [`FORMS`].
pub(super) fn millis(time: &str) -> Option<i64> {
    let time = time.trim();
    let iso = time.replace(',', ".");
    if let Ok(time) = iso.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let formed = |form: &&str| jiff::fmt::strtime::parse(form, time).ok()?.to_datetime().ok();
    let civil = iso.parse::<jiff::civil::DateTime>().ok().or_else(|| FORMS.iter().find_map(formed))?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Puts a log whose newest line stands first in order. A line without a time stays below the one it continues.
fn ordered(lines: Vec<Raw>) -> Vec<Raw> {
    let time = |line: &Raw| line.ms.or_else(|| millis(platform_time(&line.text)?));
    let times: Vec<i64> = lines.iter().filter_map(time).collect();
    let falls = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
    let rises = times.windows(2).filter(|pair| pair[0] < pair[1]).count();
    // The events of a document each have a time.
    let is_document = !lines.is_empty() && lines.iter().all(|line| line.ms.is_some());
    if falls <= rises {
        let mut lines = lines;
        if is_document {
            lines.sort_by_key(|line| line.ms);
        }
        return lines;
    }
    let mut groups: Vec<Vec<Raw>> = Vec::new();
    for line in lines {
        match groups.last_mut() {
            Some(group) if time(&line).is_none() => group.push(line),
            _ => groups.push(vec![line]),
        }
    }
    let mut lines: Vec<Raw> = groups.into_iter().rev().flatten().collect();
    if is_document {
        lines.sort_by_key(|line| line.ms);
    }
    lines
}

/// The time in front of a line of App Runner's.
fn platform_time(line: &str) -> Option<&str> {
    let (before, _) = line.split_once(super::platform::PREFIX.trim_end())?;
    Some(before.trim().trim_end_matches([':', '-']).trim())
}
