//! The data of the page, kept small: empty fields are omitted and repeated texts are stored once.

use std::collections::HashMap;

use serde::Serialize;

use super::sentence;
use super::text::{Texts, plain, tail};
use crate::event::run::Run;
use crate::event::{Counts, Entry, Kind, Standing};
use crate::model::CaseId;
use crate::model::observation::{Evidence, Fate};
use crate::model::outcome::{Cause, Verdict};
use crate::model::words::quote;
use crate::report::evidence;
use crate::report::searches::{Line, RunLine, SearchView, headline, searches};
use crate::report::table::{Table, tables};
use crate::report::view::{self, LEGEND, Look, plural};

/// Bytes of logs: the maximum of one case and of all cases together, and the minimum for each case.
const MOST_LOG: usize = 16 << 10;
const ALL_LOGS: usize = 2 << 20;
const LEAST_LOG: usize = 2 << 10;
/// Maximum number of events on a case's time line: if it passed, and otherwise.
const MOST_EVENTS: [usize; 2] = [60, 240];
/// An event: milliseconds, kind, fate, text.
type TimelineEvent = (f64, char, char, usize);

/// Everything that the page shows.
#[derive(Serialize)]
pub(crate) struct Page {
    /// The title of the window.
    pub(crate) title: String,
    /// `run`, `why` or `bisect`.
    pub(crate) kind: Kind,
    /// `pass`, `fail`, `unresolved` or `none`.
    pub(crate) verdict: &'static str,
    /// The verdict in words.
    pub(crate) headline: String,
    /// Facts about the run: name and value.
    pub(crate) about: Vec<(&'static str, String)>,
    /// Its counts: key of the filter, label, number.
    pub(crate) counts: Vec<(&'static str, &'static str, usize)>,
    /// Warnings about the run as a whole.
    pub(crate) warnings: Vec<String>,
    /// The legend of marks: class, mark, meaning.
    pub(crate) legend: Vec<(&'static str, &'static str, &'static str)>,
    /// The texts that cases refer to by index.
    pub(crate) texts: Vec<String>,
    /// The images: short name, whole name.
    pub(crate) images: Vec<(String, String)>,
    /// The searches and the bisection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) searches: Vec<Search>,
    /// A matrix for each scenario.
    pub(crate) matrices: Vec<Matrix>,
    /// The cases in the order of the plan.
    pub(crate) cases: Vec<Case>,
}

/// A search or a bisection.
#[derive(Serialize)]
pub(crate) struct Search {
    /// The image and the number of conditions.
    pub(crate) title: String,
    /// The answer in a few words.
    pub(crate) verdict: String,
    /// What broke the deployment, and what would fail too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) broke: Vec<String>,
    /// The answer in detail: id of the case, text, kind, causes and fixes.
    pub(crate) lines: Vec<(Option<String>, String, &'static str, Vec<String>)>,
    /// Further remarks, such as what changed and whether the list is complete.
    pub remarks: Vec<String>,
    /// Its runs in order: milliseconds, id of the case, kind, text, what it showed.
    pub(crate) runs: Vec<(u64, String, &'static str, String, String)>,
}

/// The cases of one scenario.
#[derive(Serialize)]
pub(crate) struct Matrix {
    /// The scenario's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scenario: Option<String>,
    /// The columns, as indexes of images.
    pub(crate) images: Vec<usize>,
    /// The rows.
    pub(crate) rows: Vec<Row>,
}

/// One set of conditions.
#[derive(Serialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// For each column the index of the case.
    pub(crate) cells: Vec<Option<usize>>,
}

/// One case.
#[derive(Serialize, Default)]
pub(crate) struct Case {
    /// Its stable name.
    pub(crate) id: String,
    /// The index of its image.
    pub(crate) image: usize,
    /// Its conditions, as the index of a text.
    pub(crate) under: usize,
    /// The mark of its cell.
    pub(crate) mark: String,
    /// The kind of its cell, which determines its colour.
    pub(crate) kind: &'static str,
    /// Its group, as a key of the filter.
    pub(crate) group: &'static str,
    /// Whether a scenario's expectation was not met.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) missed: bool,
    /// Its outcome in a few words.
    pub(crate) cell: String,
    /// Its outcome in sentences.
    pub(crate) says: String,
    /// Number of failed attempts, and of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attempts: Option<[u32; 2]>,
    /// Milliseconds until the start, and from the start to the first open port, to healthy, and to the end.
    #[serde(skip_serializing_if = "has_no_times")]
    pub(crate) times: [Option<f64>; 4],
    /// The time line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<TimelineEvent>,
    /// Number of events left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) more: usize,
    /// When lines of the log arrived (ms).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log_ms: Vec<f64>,
    /// Causes: rule, text, fix, evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<(String, usize, usize, Vec<usize>)>,
    /// Findings about the image that are not among the causes: text, fix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) image_says: Vec<(usize, usize)>,
    /// What it was waiting for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) waiting: Vec<usize>,
    /// Conditions that were not exercised, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) unmet: Vec<usize>,
    /// Notes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<usize>,
    /// Requests after healthy: passed, name, response.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) checks: Vec<(bool, usize, usize)>,
    /// Its use of CPU and memory, and other counters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) counted: Vec<usize>,
    /// The service log of the platform.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) platform: Vec<usize>,
    /// The status of the deployment and of the service, failure class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<usize>,
    /// The end of its log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) log: String,
    /// Size of the whole log in bytes, if its beginning is cut.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) log_of: usize,
    /// The commands that reproduce it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repro: Option<String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &usize) -> bool {
    *value == 0
}

fn has_no_times(times: &[Option<f64>; 4]) -> bool {
    times.iter().all(Option::is_none)
}

impl Page {
    /// The data of a run.
    #[must_use]
    pub(crate) fn of(run: &Run) -> Self {
        let counts = run.counts();
        let mut texts = Texts::default();
        let images = run.images();
        let place: HashMap<&str, usize> = images.iter().enumerate().map(|(at, image)| (*image, at)).collect();
        let logged = run.entries().filter(wants_log).count().max(1);
        let most_log = (ALL_LOGS / logged).clamp(LEAST_LOG, MOST_LOG);
        let cases = run.entries().map(|entry| {
            let image = place.get(entry.planned.image.as_str()).copied().unwrap_or_default();
            Case::of(&entry, image, most_log, &mut texts)
        });
        let cases = cases.collect();
        let (verdict, headline) = headline(run);
        Self {
            title: format!("exitone: {headline}"),
            kind: run.header.kind,
            verdict: match verdict {
                Some(Verdict::Pass) => "pass",
                Some(Verdict::Fail) => "fail",
                Some(Verdict::Unresolved) => "unresolved",
                None => "none",
            },
            headline,
            about: about(run, &counts),
            counts: groups(run.header.kind, &counts),
            warnings: warnings(run),
            legend: LEGEND.map(|(look, mark, meaning)| (kind(look), mark, meaning)).to_vec(),
            searches: searches(run).iter().map(search).collect(),
            matrices: matrices(run, &place),
            images: images.iter().map(|image| (plain(view::name(image, &images)), plain(image))).collect(),
            cases,
            texts: texts.all(),
        }
    }
}

fn search(view: &SearchView<'_>) -> Search {
    let kind = |good: Option<bool>| match good {
        Some(true) => "good",
        Some(false) => "missed",
        None => "unresolved",
    };
    let because = |line: &Line| line.because.iter().map(|text| plain(text)).collect();
    let line = |line: &Line| {
        (line.case.as_ref().map(|case| case.0.clone()), plain(&line.text), kind(line.good), because(line))
    };
    let ran = |ran: &RunLine| (ran.at_ms, ran.case.0.clone(), kind(ran.passed), plain(&ran.text), plain(&ran.lesson));
    Search {
        title: plain(&view.title),
        verdict: plain(&view.verdict),
        broke: view.broke.iter().map(|text| plain(text)).collect(),
        lines: view.lines.iter().map(line).collect(),
        remarks: view.remarks.iter().cloned().chain(view.undecided()).map(|text| plain(&text)).collect(),
        runs: view.runs.iter().map(ran).collect(),
    }
}

/// The groups of the filter with their counts. A plain run shows some groups even if empty.
fn groups(kind: Kind, counts: &Counts) -> Vec<(&'static str, &'static str, usize)> {
    let names = match kind {
        Kind::Run => ["as expected", "not as expected", "steps of a search"],
        Kind::Why => ["passing", "minimal sets", "other runs"],
        Kind::Bisect => ["passing", "failing", "versions"],
    };
    let all = [
        (Standing::Expected, names[0], counts.expected),
        (Standing::Unexpected, names[1], counts.unexpected),
        (Standing::Unresolved, "unresolved", counts.unresolved),
        (Standing::Skipped, "skipped", counts.skipped),
        (Standing::NotRun, "not run", counts.not_run),
        (Standing::Step, names[2], counts.steps),
    ];
    let always = |standing| kind == Kind::Run && !matches!(standing, Standing::Step | Standing::Skipped);
    let shown = all.into_iter().filter(|(standing, _, count)| *count > 0 || always(*standing));
    shown.map(|(standing, name, count)| (group(standing), name, count)).collect()
}

/// The key of the filter.
fn group(standing: Standing) -> &'static str {
    match standing {
        Standing::Expected => "good",
        Standing::Unexpected => "missed",
        Standing::Unresolved => "unresolved",
        Standing::Skipped => "skipped",
        Standing::NotRun => "notrun",
        Standing::Step => "step",
    }
}

fn about(run: &Run, counts: &Counts) -> Vec<(&'static str, String)> {
    let header = &run.header;
    let started = header.started.replacen('T', " ", 1);
    let started = started.split_once('.').map_or(started.clone(), |(whole, _)| format!("{whole}Z"));
    let jobs = if header.jobs > 0 { header.jobs.to_string() } else { String::new() };
    let all = [
        ("platform", header.platform.clone()),
        ("exitone", header.tool.clone()),
        ("started", started.replace('Z', " UTC")),
        ("took", format!("{:.1} s", counts.seconds)),
        ("flaky", if counts.flaky > 0 { counts.flaky.to_string() } else { String::new() }),
        ("in parallel", jobs),
        ("session", header.session.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, plain(&value))).collect()
}

/// Warnings about what is missing, and why.
fn warnings(run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(shard) = &run.header.shard {
        all.push(format!("This is shard {shard} of the run; the other shards are not included."));
    }
    if run.summary.is_none() {
        all.push("The run ended early; this page shows what was known by then.".to_owned());
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for (_, because) in run.without_result().filter(|(planned, _)| run.not_run.contains_key(&planned.id)) {
        match reasons.iter_mut().find(|(known, _)| *known == because) {
            Some((_, count)) => *count += 1,
            None => reasons.push((because, 1)),
        }
    }
    for (because, count) in reasons {
        all.push(format!("{} not run: {because}.", plural(count, "case")));
    }
    all.into_iter().map(|text| plain(&text)).collect()
}

/// The matrices, with the indexes of their cases.
fn matrices(run: &Run, place: &HashMap<&str, usize>) -> Vec<Matrix> {
    let cases = run.header.cases.iter().enumerate();
    let case: HashMap<&CaseId, usize> = cases.map(|(at, planned)| (&planned.id, at)).collect();
    let matrix = |table: Table<'_>| Matrix {
        scenario: table.scenario.map(plain),
        images: table.images.iter().map(|image| place.get(image).copied().unwrap_or_default()).collect(),
        rows: (table.rows.into_iter())
            .map(|row| Row {
                name: row.label,
                cells: row.cells.iter().map(|cell| case.get(&cell.as_ref()?.planned.id).copied()).collect(),
            })
            .collect(),
    };
    tables(run).into_iter().map(matrix).collect()
}

fn wants_log(entry: &Entry<'_>) -> bool {
    let passed = entry.result.is_some_and(|result| result.verdict == Verdict::Pass);
    entry.result.is_some() && !(passed && entry.is_good())
}

/// The class that determines a cell's colour.
fn kind(look: Look) -> &'static str {
    match look {
        Look::Good => "pass",
        Look::Weak => "weak",
        Look::Soft => "soft",
        Look::Bad => "fail",
        Look::Unknown => "unresolved",
        Look::Skipped => "skip",
        Look::Nothing => "none",
    }
}

impl Case {
    fn of(entry: &Entry<'_>, image: usize, most_log: usize, texts: &mut Texts) -> Self {
        let planned = entry.planned;
        let bare = Self {
            id: planned.id.0.clone(),
            image,
            under: texts.number(&planned.conditions.to_string()),
            group: group(entry.standing),
            says: plain(&sentence::of(entry)),
            ..Self::default()
        };
        let Some(result) = entry.result else {
            return Self { mark: "–".to_owned(), kind: "notrun", cell: "not run".to_owned(), ..bare };
        };
        let evidence = &result.evidence;
        let (events, more) = events(evidence, result.verdict == Verdict::Pass, texts);
        let cause = |c: &Cause, texts: &mut Texts| {
            let evidence = c.evidence.iter().map(|line| texts.number(line)).collect();
            (c.id.clone(), texts.number(&c.text), texts.number(&c.fix), evidence)
        };
        let is_cause = |id: &str| result.causes.iter().any(|c| c.is(id));
        let findings = result.findings.iter().filter(|f| !is_cause(&f.cause.id));
        let whole = if result.log.is_empty() { evidence.log_tail.join("\n") } else { result.log.clone() };
        let (log, cut) = if wants_log(entry) { tail(&whole, most_log) } else { ("", false) };
        let word = |value: serde_json::Value| value.as_str().map(ToOwned::to_owned);
        let status = [
            result.class.map(|class| format!("failure class {class:?}")),
            word(serde_json::json!(result.operation_status)).map(|status| format!("operation {status}")),
            word(serde_json::json!(result.service_status)).map(|status| format!("service {status}")),
        ];
        let status: Vec<String> = status.into_iter().flatten().collect();
        let times = [result.started_ms, result.first_listen_ms, result.healthy_ms, result.exited_ms];
        let mut counted: Vec<String> = evidence::usage(evidence).into_iter().collect();
        counted.extend(evidence::counted(evidence));
        let mut numbers = |lines: &[String]| lines.iter().map(|line| texts.number(line)).collect::<Vec<_>>();
        let notes: Vec<String> = view::notes(entry).collect();
        let attempts = entry.attempts;
        let (look, mark) = view::mark(Some(result));
        Self {
            mark,
            kind: kind(look),
            missed: entry.standing == Standing::Unexpected && entry.expected.is_some(),
            cell: plain(&result.cell()),
            attempts: (!attempts.is_single()).then_some([attempts.failed, attempts.decided]),
            times: times.map(|time| time.map(rounded)),
            events,
            more,
            log_ms: if log.is_empty() { Vec::new() } else { moments(&evidence.log_tail_ms) },
            waiting: numbers(&evidence.waiting_for),
            unmet: numbers(&evidence::not_exercised(result)),
            notes: numbers(&notes),
            counted: numbers(&counted),
            platform: numbers(&result.apprunner_log),
            status: numbers(&[status.join(" · ")]).first().copied().filter(|_| !status.is_empty()),
            log: plain(log),
            log_of: if cut { whole.len() } else { 0 },
            repro: result.outcome.as_ref().map(|_| repro(&planned.id.0)),
            checks: (result.checks.iter()).map(|c| (c.passed, texts.number(&c.name), texts.number(&c.text))).collect(),
            causes: result.causes.iter().map(|c| cause(c, texts)).collect(),
            image_says: findings.map(|f| (texts.number(&f.cause.text), texts.number(&f.cause.fix))).collect(),
            ..bare
        }
    }
}

/// The commands that write a case's script and run it.
fn repro(id: &str) -> String {
    format!("exitone repro {} > case.sh\nsh case.sh", quote(id))
}

fn rounded(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}

/// Rounds times to milliseconds and drops duplicates.
fn moments(times: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = times.iter().map(|ms| ms.max(0.0).round()).collect();
    all.dedup();
    all
}

/// The events in chronological order, and the number left out.
fn events(evidence: &Evidence, passed: bool, texts: &mut Texts) -> (Vec<TimelineEvent>, usize) {
    let mut all: Vec<(f64, char, char, String)> = Vec::new();
    for q in evidence.questions().filter(|q| q.record != "AAAA") {
        let fate = match q.answer.as_str() {
            "no answer" => 's',
            "no record" => 'r',
            _ if q.failed() => 'r',
            _ => 'a',
        };
        all.push((q.at_ms, 'd', fate, format!("looked up {} ({}): {}", q.name, q.record, q.answer)));
    }
    for c in &evidence.connects {
        let fate = match c.fate {
            Fate::Answered => 'a',
            Fate::Refused => 'r',
            Fate::Unreachable => 'u',
            Fate::Silent => 's',
        };
        all.push((c.at_ms, 'c', fate, evidence::attempt(c)));
    }
    for l in &evidence.listens {
        all.push((l.at_ms, 'l', 'a', format!("opened {}", evidence::socket(l.address, l.port))));
    }
    for p in &evidence.probes {
        let fate = match (p.passed, &p.result) {
            (true, _) => 'a',
            (false, crate::model::observation::ProbeResult::TimedOut) => 's',
            (false, _) => 'r',
        };
        all.push((p.at_ms, 'p', fate, format!("probe: {}", evidence::probed(&p.result))));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let most = MOST_EVENTS[usize::from(!passed)];
    let more = all.len().saturating_sub(most);
    all.truncate(most);
    (all.into_iter().map(|(at, kind, fate, text)| (rounded(at), kind, fate, texts.number(&text))).collect(), more)
}
