//! Measures how many runs a search takes, and how often it is exactly right: planted cases against pure oracles.
//!
//! `cargo bench --bench search` plays every case at every noise level, without an engine (`-- sets`, `-- versions`, `--
//! large`: one of the three; `level=WORDS seeds=N` selects noise levels by name, and the number of searches of each).
//! `-- sets versions others` also plays the same cases with other tools (see `benches/others`), `-- cases` writes them
//! as JSON.

// Nothing here pauses a clock.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exitone::search::minimal::{Search, Settings};
use exitone::search::noise::{Answer, Noise, Rates};
use exitone::search::set::{Set, smallest};
use exitone::search::versions::{self, Culprit, Versions};

const CONDITIONS: usize = 8;
/// The possibly healing conditions in every case.
const MAY_HEAL: [usize; 2] = [6, 7];
/// Number of searches per case with noisy answers.
const SEEDS: u64 = 40;

struct Case {
    kind: &'static str,
    name: String,
    minimal: Vec<Set>,
    /// With this condition the set does not fail.
    heals: Vec<(usize, Set)>,
}

/// A small generator with a seed (S. Vigna, splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// `count` of the first `of` conditions, in random order.
    fn some(&mut self, of: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..of).collect();
        (0..count).map(|_| all.remove(self.below(all.len()))).collect()
    }
}

fn set(numbers: &[usize]) -> Set {
    numbers.iter().copied().collect()
}

/// The planted cases: four of each kind, at random places.
fn planted() -> Vec<Case> {
    let mut random = Random(2026);
    let kinds: [(&'static str, usize, &[&[usize]]); 10] = [
        ("none", 3, &[]),
        ("single", 6, &[&[0]]),
        ("pair", 6, &[&[0, 1]]),
        ("triple", 4, &[&[0, 1, 2]]),
        ("two singles", 4, &[&[0], &[1]]),
        ("single and pair", 1, &[&[0], &[1, 2]]),
        ("two pairs", 1, &[&[0, 1], &[2, 3]]),
        ("overlapping", 4, &[&[0, 1], &[0, 2]]),
        // The first one's failure precedes the other's: runs with both show the first.
        ("masked", 4, &[&[0], &[1]]),
        ("masked pair", 1, &[&[0], &[1, 2]]),
    ];
    let mut cases = Vec::new();
    for (kind, count, shape) in kinds {
        for n in 1..=count {
            let places = random.some(CONDITIONS, 4);
            let minimal = shape.iter().map(|s| s.iter().map(|i| places[*i]).collect()).collect();
            cases.push(Case { kind, name: format!("{kind} {n}"), minimal, heals: Vec::new() });
        }
    }
    for n in 1..=4 {
        let places = random.some(6, 2);
        let healer = MAY_HEAL[n % 2];
        let mut minimal = vec![set(&places[..1])];
        if n > 2 {
            minimal.push(set(&places[1..]));
        }
        let heals = vec![(healer, minimal[0])];
        cases.push(Case { kind: "healed", name: format!("healed {n}"), minimal, heals });
    }
    cases
}

impl Case {
    fn hit(&self, run: Set) -> bool {
        self.minimal.iter().any(|m| m.is_subset(run) && !self.heals.iter().any(|(h, of)| of == m && run.has(*h)))
    }
}

/// Plays one search; returns the number of runs and whether it found exactly the planted sets.
fn play(case: &Case, level: &Level, seed: u64) -> (usize, bool) {
    let rates = |(fires, spurious): (f64, f64)| Rates { fires, spurious };
    let (truth, told, confidence, free) = (rates(level.truth), level.told.map(rates), level.confidence, level.free);
    let mut random = Random(seed);
    let (may_heal, may_hide) = match level.variables {
        true => (Set::first(CONDITIONS), Set::first(CONDITIONS)),
        false => (set(&MAY_HEAL), Set::EMPTY),
    };
    let mut search =
        Search::new(Settings { may_heal, may_hide, rates: told, confidence, ..Settings::plain(CONDITIONS) });
    let mut runs = 0;
    loop {
        let next = search.next(free, &[]);
        if next.is_empty() || runs > 400 {
            break;
        }
        for run in next {
            runs += 1;
            let fails = random.share() < truth.fails(case.hit(run));
            search.record(run, if fails { Answer::Fail } else { Answer::Pass });
        }
    }
    let findings = search.findings();
    let right = findings.sets == smallest(&case.minimal) && findings.perhaps.is_empty();
    (runs, right)
}

struct Level {
    name: &'static str,
    truth: (f64, f64),
    told: Option<(f64, f64)>,
    confidence: f64,
    free: usize,
    /// Whether all conditions are variables, which may hide each other.
    variables: bool,
}

fn levels() -> Vec<Level> {
    let level = |name, truth, told, confidence, free| Level { name, truth, told, confidence, free, variables: false };
    let usual = Some((0.7, 0.02));
    let none = Some((1.0, 0.0));
    vec![
        level("no noise, told", (1.0, 0.0), none, 0.99, 1),
        level("no noise, told, 4 slots", (1.0, 0.0), none, 0.99, 4),
        level("no noise, not told", (1.0, 0.0), None, 0.99, 1),
        level("no noise, not told, 4 slots", (1.0, 0.0), None, 0.99, 4),
        Level { variables: true, ..level("no noise, not told, all variables", (1.0, 0.0), None, 0.99, 1) },
        level("flaky, told", (0.7, 0.02), usual, 0.99, 1),
        level("flaky, told, 4 slots", (0.7, 0.02), usual, 0.99, 4),
        level("flaky, not told", (0.7, 0.02), None, 0.99, 1),
        level("told (0.7, 0.02), is (0.6, 0.05)", (0.6, 0.05), usual, 0.99, 1),
        level("told (0.7, 0.02), is (0.85, 0)", (0.85, 0.0), usual, 0.99, 1),
        level("told (0.7, 0.02), is (1, 0)", (1.0, 0.0), usual, 0.99, 1),
        level("told (0.9, 0.01), is (0.7, 0.02)", (0.7, 0.02), Some((0.9, 0.01)), 0.99, 1),
    ]
}

fn sets(level: &str, seeds: u64) {
    let cases = planted();
    println!("{} planted cases, {CONDITIONS} conditions; the last column: how often the kinds were wrong", cases.len());
    println!("{:36} {:>6} {:>6} {:>8}", "", "runs", "most", "right");
    for level in levels().into_iter().filter(|known| known.name.contains(level)) {
        let seeds = if level.truth == (1.0, 0.0) { 1 } else { seeds };
        let (mut runs, mut most, mut right, mut played) = (0, 0, 0, 0);
        let mut wrong: BTreeMap<&str, usize> = BTreeMap::new();
        let mut of_kind: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (at, case) in cases.iter().enumerate() {
            for seed in 0..seeds {
                let (n, good) = play(case, &level, seed_of(first_seed(at) + seed));
                runs += n;
                most = most.max(n);
                right += usize::from(good);
                played += 1;
                let kind = of_kind.entry(case.kind).or_default();
                *kind = (kind.0 + n, kind.1 + 1);
                if !good {
                    *wrong.entry(case.kind).or_default() += 1;
                }
            }
        }
        let share = |n: usize| n as f64 / f64::from(played);
        println!("{:36} {:6.1} {most:6} {:7.1}%   {wrong:?}", level.name, share(runs), share(right) * 100.0);
        let per: Vec<String> = of_kind.iter().map(|(k, (n, c))| format!("{k} {:.1}", *n as f64 / *c as f64)).collect();
        println!("    runs: {}", per.join(", "));
    }
}

/// Searches among many variables: none matters, some are required, some fail only together.
fn large() {
    println!("\nmany variables, answers believed, confidence 0.99, 40 searches each; d conditions matter");
    println!("{:24} {:>6} {:>6} {:>13} {:>7} {:>14}", "", "runs", "most", "d·log2(n/d)", "right", "longest step");
    let kinds: [(&str, &[&[usize]]); 6] = [
        ("none", &[]),
        ("single", &[&[0]]),
        ("pair", &[&[0, 1]]),
        ("triple", &[&[0, 1, 2]]),
        ("six singles", &[&[0], &[1], &[2], &[3], &[4], &[5]]),
        ("two singles and pair", &[&[0], &[1], &[2, 3]]),
    ];
    for conditions in [80, 150] {
        for (kind, shape) in kinds {
            let mut random = Random(2026);
            let d = shape.iter().flat_map(|set| set.iter()).count();
            let (mut runs, mut most, mut right, mut longest) = (0, 0, 0, Duration::ZERO);
            for _ in 0..SEEDS {
                let places = random.some(conditions, d.max(1));
                let minimal: Vec<Set> = shape.iter().map(|s| s.iter().map(|i| places[*i]).collect()).collect();
                let all = Set::first(conditions);
                let settings =
                    Settings { may_heal: all, may_hide: all, confidence: 0.99, ..Settings::plain(conditions) };
                let (n, sets, step) = play_large(settings, &minimal);
                runs += n;
                most = most.max(n);
                right += usize::from(sets == smallest(&minimal));
                longest = longest.max(step);
            }
            let bits = if d == 0 { 0.0 } else { d as f64 * (conditions as f64 / d as f64).log2() };
            let (mean, share) = (runs as f64 / SEEDS as f64, right as f64 / SEEDS as f64 * 100.0);
            let name = format!("{conditions} {kind}");
            println!("{name:24} {mean:6.1} {most:6} {bits:13.1} {share:6.1}% {:11.2} ms", longest.as_secs_f64() * 1e3);
        }
    }
}

/// Plays one search; returns the number of runs, the sets it found, and the longest time to choose a run.
fn play_large(settings: Settings, minimal: &[Set]) -> (usize, Vec<Set>, Duration) {
    let mut search = Search::new(settings);
    let (mut runs, mut longest) = (0, Duration::ZERO);
    loop {
        let begun = Instant::now();
        let next = search.next(1, &[]);
        longest = longest.max(begun.elapsed());
        let Some(run) = next.first().copied() else { break };
        runs += 1;
        let fails = minimal.iter().any(|set| set.is_subset(run));
        search.record(run, if fails { Answer::Fail } else { Answer::Pass });
    }
    (runs, search.findings().sets, longest)
}

/// The first seed of a case: no two cases share their noise.
fn first_seed(case: usize) -> u64 {
    case as u64 * 1000
}

fn seed_of(n: u64) -> u64 {
    n * 7919 + 1
}

const VERSIONS: usize = 20;

/// Plays one search for the first bad version.
fn play_versions(first_bad: usize, truth: Rates, told: Option<Rates>, seed: u64) -> (usize, bool) {
    let mut random = Random(seed);
    let noise = told.map_or_else(Noise::none, Noise::about);
    let mut search = Versions::new(VERSIONS, versions::Settings { noise, confidence: 0.99 });
    let mut runs = 0;
    loop {
        let next = search.next(1, &[]);
        if next.is_empty() {
            return (runs, search.culprit() == Culprit::First(first_bad));
        }
        for version in next {
            runs += 1;
            let fails = random.share() < truth.fails(version >= first_bad);
            search.record(version, if fails { Answer::Fail } else { Answer::Pass });
        }
    }
}

fn of_versions() {
    println!("\n{VERSIONS} versions, every first bad one, {SEEDS} searches each where answers are noisy");
    let usual = Rates { fires: 0.7, spurious: 0.02 };
    for (name, truth, told) in [
        ("no noise", Rates::CERTAIN, None),
        ("flaky, told", usual, Some(usual)),
        ("told (0.7, 0.02), is (0.6, 0.05)", Rates { fires: 0.6, spurious: 0.05 }, Some(usual)),
        ("told (0.7, 0.02), is (0.85, 0)", Rates { fires: 0.85, spurious: 0.0 }, Some(usual)),
        ("told (0.7, 0.02), is (1, 0)", Rates::CERTAIN, Some(usual)),
    ] {
        let seeds = if told.is_none() { 1 } else { SEEDS };
        let all = (1..VERSIONS).flat_map(|bad| (0..seeds).map(move |seed| (bad, seed)));
        let played: Vec<(usize, bool)> =
            all.map(|(bad, seed)| play_versions(bad, truth, told, seed_of(seed))).collect();
        let count = played.len() as f64;
        let runs = played.iter().map(|(n, _)| n).sum::<usize>() as f64 / count;
        let most = played.iter().map(|(n, _)| *n).max().unwrap_or_default();
        let right = played.iter().filter(|(_, good)| *good).count() as f64 / count;
        println!("{name:36} {runs:6.1} {most:6} {:7.1}%", right * 100.0);
    }
}

/// The cases for other tools (`benches/others`): those without noise, and those at (0.7, 0.02).
fn written() -> String {
    let list = |set: &Set| set.iter().map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let seeds = |first: u64, noisy: bool| {
        let count = if noisy { SEEDS } else { 1 };
        (first..first + count).map(|n| seed_of(n).to_string()).collect::<Vec<_>>().join(",")
    };
    let levels = [(1.0, 0.0), (0.7, 0.02)];
    let noise = |first: u64, (fires, spurious): (f64, f64)| {
        format!(r#""fires":{fires:?},"spurious":{spurious:?},"seeds":[{}]"#, seeds(first, fires < 1.0))
    };
    let mut sets = Vec::new();
    for (at, case) in planted().into_iter().enumerate() {
        let minimal: Vec<String> = case.minimal.iter().map(|m| format!("[{}]", list(m))).collect();
        let heals: Vec<String> = case.heals.iter().map(|(h, of)| format!("[{h},[{}]]", list(of))).collect();
        let (name, kind) = (&case.name, case.kind);
        let (minimal, heals) = (minimal.join(","), heals.join(","));
        sets.extend(levels.map(|level| {
            let rest = noise(first_seed(at), level);
            format!(
                r#"{{"name":"{name}","kind":"{kind}","conditions":{CONDITIONS},"minimal":[{minimal}],"heals":[{heals}],{rest}}}"#
            )
        }));
    }
    let mut versions = Vec::new();
    for bad in [1, 4, 7, 10, 13, 16, 19] {
        versions.extend(levels.map(|level| {
            format!(r#"{{"name":"first bad {bad}","count":{VERSIONS},"first_bad":{bad},{}}}"#, noise(0, level))
        }));
    }
    format!("{{\"sets\":[\n{}\n],\"versions\":[\n{}\n]}}\n", sets.join(",\n"), versions.join(",\n"))
}

/// Plays the same cases with other tools.
fn others() {
    let file = std::env::temp_dir().join(format!("exitone-cases-{}.json", std::process::id()));
    std::fs::write(&file, written()).expect("the cases are written");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/others/run.sh");
    let status = std::process::Command::new("bash").arg(script).arg(&file).stdout(std::process::Stdio::null()).status();
    let _ = std::fs::remove_file(&file);
    assert!(status.expect("a shell").success(), "the other tools were played");
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wants = |what: &str| asked.iter().all(|a| a.contains('=')) || asked.iter().any(|a| a == what);
    if asked.iter().any(|a| a == "cases") {
        print!("{}", written());
        return;
    }
    if wants("versions") {
        of_versions();
    }
    if wants("sets") {
        let value = |key: &str| asked.iter().find_map(|a| a.strip_prefix(key));
        sets(value("level=").unwrap_or(""), value("seeds=").and_then(|n| n.parse().ok()).unwrap_or(SEEDS));
    }
    if wants("large") {
        large();
    }
    if asked.iter().any(|a| a == "others") {
        others();
    }
}
