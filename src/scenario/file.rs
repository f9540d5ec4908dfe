//! Scenario files: candidates, a service, sets of conditions to run them under, and expectations.

use std::path::{Path, PathBuf};

use super::combine::{self, Combine};
use super::expect::{self, Known, Rule, Sets};
use super::image_name::image_problem;
use super::keys::{IMAGE, SCENARIO, SERVICE_IN_SCENARIO};
use super::node::{Entry, Node, Value, number};
use super::problem::{Place, Problem, Refused};
use super::service;
use super::shape::{Key, Shape};
use super::{apprunner, document, profile};
use crate::model::condition::nearest;
use crate::model::search::SearchRequest;
use crate::model::{Condition, ConditionSet, Expectation, Service};
use crate::profile::Profile;

/// Maximum length of a name, in characters.
const LONGEST_NAME: usize = 80;

/// The content of a scenario file.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name: as given, or the file's.
    pub name: String,
    /// Image names, oldest first.
    pub candidates: Vec<String>,
    /// How images are built: candidates with a Dockerfile, in order.
    pub builds: Vec<Build>,
    /// How the image of a commit is built.
    pub build: Option<Build>,
    /// The service's configuration.
    pub service: Service,
    /// How the conditions are combined.
    pub combine: Combine,
    /// Every condition of the file once, in order.
    pub conditions: Vec<Condition>,
    /// The sets of conditions; the baseline comes first.
    pub sets: Vec<ConditionSet>,
    /// Whether everything that is in force for the service is to be imposed together, too.
    pub(crate) is_deployed: bool,
    /// Number of runs of each case.
    pub repeat: usize,
    rules: Vec<Rule>,
}

/// How an image is built. Paths are as written, appended to the scenario's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The image's name.
    pub(crate) image: String,
    /// The Dockerfile.
    pub(crate) dockerfile: PathBuf,
    /// The build context.
    pub(crate) context: PathBuf,
}

impl Scenario {
    /// Adds the set of everything that is in force.
    pub(crate) fn add_deployed(&mut self, set: ConditionSet) {
        let new = set.iter().filter(|condition| !self.conditions.contains(condition)).cloned();
        let new: Vec<Condition> = new.collect();
        self.conditions.extend(new);
        if !self.sets.contains(&set) {
            self.sets.push(set);
        }
    }

    /// The cases for images (the candidates, or others in their place), in report order: image, conditions, and
    /// expectation; `None` if it must pass.
    #[must_use]
    pub fn cases(&self, images: &[String]) -> Vec<(String, ConditionSet, Option<Expectation>)> {
        let case = |set: &ConditionSet, image: &String| {
            let expected = expect::of_case(&self.rules, &self.candidates, image, set);
            (image.clone(), set.clone(), expected)
        };
        self.sets.iter().flat_map(|set| images.iter().map(move |image| case(set, image))).collect()
    }

    /// The searches for images, if the conditions are to be searched.
    #[must_use]
    pub fn searches(&self, images: &[String]) -> Vec<SearchRequest> {
        if self.combine != Combine::Why {
            return Vec::new();
        }
        let search = |image: &String| {
            let named = expect::named(&self.rules, &self.candidates, image).into_iter();
            let expected = |set| expect::of_case(&self.rules, &self.candidates, image, set);
            SearchRequest {
                image: image.clone(),
                conditions: self.conditions.clone(),
                named: named.map(|set| (set.clone(), expected(set))).collect(),
                others: expect::of_others(&self.rules, &self.candidates, image),
            }
        };
        images.iter().map(search).collect()
    }
}

/// Reads a scenario file. `asked`: the platform that overrides the file's.
///
/// # Errors
/// Every error in the file.
pub fn read(file: &str, text: &str, folder: &Path, asked: Option<&Profile>) -> Result<Scenario, Refused> {
    let mut parts = Parts(Vec::new());
    let (root, mut problems) = document(file, text, Shape::Map(&SCENARIO), |root, problems| {
        parts = Parts::of(root);
        without_image(root, problems);
    })?;
    let empty = Node::empty();
    let named = root.get("platform").and_then(|platform| profile(platform.text()).ok());
    let own = named.unwrap_or_else(apprunner);
    let profile = asked.unwrap_or(&own);
    let service = service::check(root.get("service").unwrap_or(&empty), folder, profile, &mut problems);
    let entries = combine::entries(root.get("conditions"), &mut problems);
    let combine = root.get("combine").map(|word| Combine::of(word.text())).unwrap_or_default();
    let with_secrets = |set: ConditionSet| set.with_secrets(&service.secrets);
    let sets: Vec<ConditionSet> = combine.sets(&entries, &mut problems).into_iter().map(with_secrets).collect();
    let mut conditions: Vec<Condition> = Vec::new();
    for condition in entries.iter().flat_map(|entry| entry.set.iter()) {
        let condition = condition.clone().with_secrets(&service.secrets);
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let deployed = combine::deployed(root.get("conditions"));
    if let Some(entry) = deployed.filter(|_| combine != Combine::Each) {
        problems.push(entry.problem("`deployed` is one set of conditions: it needs `combine: each`"));
    }
    let is_deployed = deployed.is_some();
    if combine == Combine::Why
        && entries.is_empty()
        && let Some(word) = root.get("combine").filter(|_| parts.sound(&["conditions"], &[], &problems))
    {
        problems.push(word.problem("`combine: why` needs `conditions` to search among"));
    }
    let (mut candidates, builds) = candidates(root.get("candidates"), folder, &mut problems);
    let build = root.get("build").and_then(|written| build(written, candidates.last(), folder, &mut problems));
    if let (Some(build), false) = (&build, parts.has("candidates")) {
        candidates.push(build.image.clone());
    }
    // If something that an expectation refers to is invalid, the expectation would be blamed for it.
    let known = Known {
        candidates: (!candidates.is_empty() && parts.sound(&["candidates", "build"], &[], &problems))
            .then_some(candidates.as_slice()),
        sets: parts.sound(&["conditions"], &["combine"], &problems).then_some(match combine {
            Combine::Why => Sets::Of(&conditions),
            _ => Sets::These(&sets),
        }),
        checks: parts.sound(&[CHECKS], &["service"], &problems).then_some(service.checks.as_slice()),
        secrets: &service.secrets,
        platform: &profile.platform,
    };
    let rules = expect::read(root.get("expect"), &known, &mut problems);
    if !parts.has("candidates") && !parts.has("build") {
        problems.push(Problem::at(1, 1, "missing key `candidates`"));
    }
    let name = name(file, root.get("name"), &mut problems);
    if !problems.is_empty() {
        return Err(Refused::new(file, text, problems));
    }
    let repeat = root.get("repeat").map_or(1, number);
    Ok(Scenario { name, candidates, builds, build, service, combine, conditions, sets, is_deployed, repeat, rules })
}

/// The requests after healthy, by path.
const CHECKS: &str = "service.checks";

/// The keys of the whole document with their places, `service.KEY` for those of its service. A misspelt key counts as
/// the intended one.
struct Parts(Vec<(String, Place)>);

impl Parts {
    fn of(root: &Node) -> Self {
        let mut parts = Vec::new();
        for entry in root.entries() {
            let name = meant(&entry.key, &SCENARIO);
            parts.push((name.to_owned(), entry.place));
            if name == "service" {
                let inner = entry.node.entries().iter();
                let path = |inner: &Entry| format!("service.{}", meant(&inner.key, &SERVICE_IN_SCENARIO));
                parts.extend(inner.map(|inner| (path(inner), inner.place)));
            }
        }
        Self(parts)
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// Whether no problem is within one of these keys. An unrecognised key may stand for any missing one, so then one
    /// of the first must be present.
    fn sound(&self, keys: &[&str], beside: &[&str], problems: &[Problem]) -> bool {
        let there = keys.iter().any(|key| self.has(key));
        problems.iter().all(|problem| {
            let place = Place { line: problem.line.unwrap_or_default(), column: problem.column };
            let of = self.0.iter().rev().find(|(_, begin)| *begin <= place);
            of.is_some_and(|(name, _)| {
                let name = name.as_str();
                let known = match name.strip_prefix("service.") {
                    Some(inner) => SERVICE_IN_SCENARIO.iter().any(|key| key.name == inner) || inner == IMAGE,
                    None => SCENARIO.iter().any(|key| key.name == name),
                };
                !keys.contains(&name) && !beside.contains(&name) && (known || there)
            })
        })
    }
}

/// The intended key: one of these, or the word itself.
fn meant<'a>(word: &'a str, keys: &'a [Key]) -> &'a str {
    let names = || keys.iter().map(|key| key.name);
    if names().any(|name| name == word) { word } else { nearest(word, names()).unwrap_or(word) }
}

/// An image is named among the candidates only.
fn without_image(root: &mut Node, problems: &mut Vec<Problem>) {
    let Value::Map(entries) = &mut root.value else { return };
    for entry in entries.iter_mut().filter(|entry| entry.key == "service") {
        if let Value::Map(keys) = &mut entry.node.value {
            keys.retain(|key| {
                if key.key == IMAGE {
                    let message = "unexpected key `image`: a scenario names its images under `candidates`";
                    problems.push(Problem::of(key.place, message));
                }
                key.key != IMAGE
            });
        }
    }
}

/// The given name, or the file's.
fn name(file: &str, written: Option<&Node>, problems: &mut Vec<Problem>) -> String {
    let Some(written) = written else {
        let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        return stem.unwrap_or_else(|| file.to_owned());
    };
    let name = written.text().trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        problems.push(written.problem(format!("a name must be one line of 1 to {LONGEST_NAME} characters")));
    }
    name.to_owned()
}

fn candidates(list: Option<&Node>, folder: &Path, problems: &mut Vec<Problem>) -> (Vec<String>, Vec<Build>) {
    let (mut names, mut builds) = (Vec::new(), Vec::new());
    let Some(list) = list else { return (names, builds) };
    if list.items().is_empty() && problems.iter().all(|p| p.line < Some(list.place.line)) {
        problems.push(list.problem("`candidates` is empty: nothing to run"));
    }
    for item in list.items() {
        let Some(place) = (if item.is_scalar() { Some(item) } else { item.get("image") }) else { continue };
        let image = place.text().to_owned();
        if let Some(message) = image_problem(&image) {
            problems.push(place.problem(message));
        } else if names.contains(&image) {
            problems.push(place.problem(format!("duplicate candidate `{image}`")));
        }
        if item.get("dockerfile").is_some() || item.get("context").is_some() {
            builds.push(how(item, image.clone(), folder));
        }
        names.push(image);
    }
    (names, builds)
}

/// The top-level `build`; without a name it builds the newest candidate.
fn build(written: &Node, newest: Option<&String>, folder: &Path, problems: &mut Vec<Problem>) -> Option<Build> {
    let image = match written.get("image") {
        Some(image) => {
            problems.extend(image_problem(image.text()).map(|message| image.problem(message)));
            image.text().to_owned()
        }
        None if newest.is_none() => {
            problems.push(written.problem("missing key `image`: without `candidates`, it names the image to build"));
            return None;
        }
        None => newest?.clone(),
    };
    Some(how(written, image, folder))
}

fn how(written: &Node, image: String, folder: &Path) -> Build {
    let context = folder.join(written.get("context").map_or(".", Node::text));
    let dockerfile =
        written.get("dockerfile").map_or_else(|| context.join("Dockerfile"), |file| folder.join(file.text()));
    Build { image, dockerfile, context }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Scenario, Refused> {
        super::read("ci/s.yaml", text, Path::new("ci"), None)
    }

    fn sets(text: &str) -> Vec<String> {
        read(text).expect(text).sets.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_sets_and_locates_errors() {
        assert_eq!(
            sets("candidates: [a:1]\nconditions:\n  - egress.drop\n  - [egress.drop, 'env.set:A=b']\n"),
            ["baseline", "egress.drop", "egress.drop + env.set:A=b"]
        );
        let bad =
            read("candidates: [a:1]\nconditions:\n  - egres.drop\n  - [dns.drop, dns.servfail]\n").expect_err("bad");
        insta::assert_snapshot!(bad);
    }

    #[test]
    fn combines_conditions() {
        let text = "candidates: [a:1]\nconditions: [egress.drop, egress.reject, dns.drop]\ncombine: ";
        let with = |word: &str| sets(&text.replace("egress.reject, ", "").replace("combine: ", word));
        assert_eq!(
            sets(&format!("{text}pairs")),
            [
                "baseline",
                "egress.drop",
                "egress.reject",
                "dns.drop",
                "egress.drop + dns.drop",
                "egress.reject + dns.drop"
            ]
        );
        assert_eq!(with("combine: all"), ["baseline", "egress.drop + dns.drop"]);
        assert_eq!(with("combine: each"), with(""));
        assert_eq!(with("combine: why"), ["baseline"]);
        for word in ["all", "why"] {
            let said = read(&format!("{text}{word}")).expect_err("they exclude each other").to_string();
            assert!(said.contains("ci/s.yaml:2:27") && said.contains("both decide egress"), "{said}");
        }
        let said = read("candidates: [a:1]\ncombine: why\n").expect_err("nothing to search among").to_string();
        assert!(said.contains("ci/s.yaml:2:10") && said.contains("needs `conditions`"), "{said}");
    }

    #[test]
    fn reads_name_build_and_repeat() {
        let scenario = read("candidates:\n  - a:1\n  - {image: 'a:2', context: ..}\nrepeat: 3\n").expect("good");
        assert_eq!((scenario.name.as_str(), scenario.repeat, scenario.combine), ("s", 3, Combine::Each));
        assert_eq!(scenario.candidates, ["a:1", "a:2"]);
        let paths = |b: &Build| (b.image.clone(), b.dockerfile.clone(), b.context.clone());
        assert_eq!(paths(&scenario.builds[0]), ("a:2".into(), "ci/../Dockerfile".into(), "ci/..".into()));
        let scenario = read("name: gate\nbuild: {image: 'a:dev', dockerfile: ../Dockerfile.ci}\n").expect("good");
        assert_eq!((scenario.name.as_str(), scenario.candidates.as_slice()), ("gate", ["a:dev".to_owned()].as_slice()));
        let build = scenario.build.as_ref().expect("a build");
        assert_eq!(paths(build), ("a:dev".into(), "ci/../Dockerfile.ci".into(), "ci/.".into()));
        assert_eq!(read("build: {}\ncandidates: [a, b]\n").expect("good").build.expect("a build").image, "b");
    }

    #[test]
    fn reports_every_error_at_once() {
        let text = "nam: x\ncandidates: [a:1, 'A b', a:1]\nplatform: heroku\ncombine: pair\nrepeat: 0\nrepeat: 2\n\
                    service:\n  image: a:1\n  port: [1]\n  env: {9A: 1, B: }\n  env: {}\n  checks: [{name: OTP}]\n\
                    conditions:\n  - dns.drop\n  - {egress: drop}\n  - [dns.drop, dns.dro]\n  - dns.drop\n  - []\n\
                    expect: [pass]\n";
        insta::assert_snapshot!(read(text).expect_err("bad"));
        for (text, said) in [
            ("conditions: []\n", "missing key `candidates`"),
            ("candidates: []\n", "`candidates` is empty"),
            ("candidates:\n", "`candidates` has no value: expected a list"),
            ("candidatse: [a]\n", "did you mean `candidates`?"),
            ("build: {dockerfile: x}\n", "missing key `image`"),
            ("- a\n", "expected a mapping (KEY: value)"),
            ("hello\n", "expected a mapping (KEY: value)"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.problems.len() == 1 && refused.to_string().contains(said), "{refused}");
        }
    }

    const EXPECTING: &str = "candidates: [r.io/a:v1, r.io/a:v2, b]\nconditions:\n  - egress.drop\n  - dns.drop\n  \
                             - [env.set:TOKEN=x, egress.drop]\nservice: {checks: [{name: OTP, path: /otp}]}\n";

    #[test]
    fn most_specific_expectation_applies() {
        let text = format!(
            "{EXPECTING}expect:\n  '*': [pass, exit 1 under dns.drop]\n  v2:\n    - OTP fails under egress.drop\n    - \
             exit 3 under egress.drop + env.set:TOKEN=x\n    - healthy under anything\n  b: RUNNING under baseline\n"
        );
        let scenario = read(&text).expect("good");
        let expected = |images: &[&str]| -> Vec<String> {
            let images: Vec<String> = images.iter().map(|image| (*image).to_owned()).collect();
            let cases = scenario.cases(&images).into_iter();
            cases.map(|(image, set, expect)| format!("{image} | {set} | {}", expect.expect("one"))).collect()
        };
        insta::assert_snapshot!(expected(&["r.io/a:v1", "r.io/a:v2", "b"]).join("\n"));
        // An image of the command line: of a candidate's version, or of none.
        assert!(expected(&["ci.io/a:v2"])[0].ends_with("healthy") && expected(&["x"])[0].ends_with("pass"));
        let plain = read("candidates: [a]\n").expect("good");
        assert_eq!(plain.cases(&plain.candidates)[0].2, None);
    }

    #[test]
    fn search_may_be_expected_to_find_any_set() {
        let text = "candidates: [r.io/a:v1, b]\ncombine: why\nconditions: [egress.drop, [dns.drop, 'env.set:A=b']]\n\
                    service: {checks: [{name: OTP, path: /otp}]}\nexpect:\n  '*': pass\n  v1:\n    - OTP fails under \
                    baseline\n    - exit 1 under env.set:A=b + egress.drop\n    - fail under dns.drop\n  b: fail under \
                    anything\n";
        let scenario = read(text).expect("good");
        assert_eq!(scenario.sets, [ConditionSet::baseline()]);
        let searches = scenario.searches(&scenario.candidates);
        let said = |n: usize| {
            let named = searches[n].named.iter().map(|(set, e)| format!("{set}: {}", e.as_ref().expect("one")));
            named.chain(searches[n].others.iter().map(|e| format!("others: {e}"))).collect::<Vec<_>>()
        };
        assert_eq!(said(0), ["egress.drop + env.set:A=b: exit 1", "dns.drop: fail", "others: pass"]);
        assert_eq!(said(1), ["others: fail"]);
        assert_eq!(searches[0].conditions.len(), 3);
        for (wrong, said) in [
            ("fail under dns.dro", "dns.dro"),
            ("fail under dns.servfail", "the search does not include `dns.servfail`"),
            ("OTP fails under dns.drop", "a search makes no requests"),
        ] {
            let refused = read(&text.replace("fail under dns.drop", wrong)).expect_err(wrong).to_string();
            assert!(refused.contains(said), "{refused}");
        }
        assert!(
            read("candidates: [a]\nconditions: [dns.drop]\n").expect("good").searches(&["a".to_owned()]).is_empty()
        );
    }

    #[test]
    fn unknown_key_does_not_hide_wrong_expectations() {
        let expecting = "expect:\n  v9: pass\n  '*': [pass, OPT fails under baseline, exit 1 under egress.reject]\n";
        let service = "service: {checks: [{name: OTP, path: /otp}]}\n";
        let good = "candidates: [a:v1]\nconditions: [dns.drop]\n";
        // Number of further problems: in the candidate, the check, the conditions.
        for (before, more) in [
            (format!("repet: 3\n{good}{service}"), 3),
            (format!("{good}{service}zzzzzzzzzz: 3\n"), 3),
            (format!("{good}service: {{prot: 1, checks: [{{name: OTP, path: /otp}}]}}\n"), 3),
            // These may refer to what is misspelt.
            (format!("candidatse: [a:v9]\nconditions: [dns.drop]\n{service}"), 2),
            (format!("candidates: [a:v1]\nconditons: [egress.reject]\n{service}"), 2),
            (format!("candidates: [a:v1]\nzzzzzzzzzz: [egress.reject]\n{service}"), 2),
            (format!("{good}service: {{chekcs: [{{name: OPT, path: /otp}}]}}\n"), 2),
            (format!("{good}zzzzzzzzzz: {{checks: [{{name: OPT, path: /otp}}]}}\n"), 2),
            (format!("conditions: [dns.drop]\n{service}"), 2),
        ] {
            let refused = read(&format!("{before}{expecting}")).expect_err(&before);
            assert_eq!(refused.problems.len(), 1 + more, "{refused}");
        }
    }

    #[test]
    fn rejects_expectations_about_nothing() {
        let text = format!(
            "{EXPECTING}expect:\n  v3: pass\n  c: pass\n  b: [pas, OPT fails, exit 1 under dns.dro]\n  v1: [pass, fail, \
             exit 1 under egress.drop + dns.drop]\n  a:v1: fail under anything\n  v2: [exit 1 under env.set:TOKEN=hunter2]\n"
        );
        insta::assert_snapshot!(read(&text).expect_err("bad"));
    }
}
