use super::*;
use crate::model::Outcome;
use crate::model::deployment::{Fact, Revision};

fn conditions(text: &str) -> ConditionSet {
    ConditionSet::new(text.split_whitespace().map(|one| one.parse().expect("a condition"))).expect("a set")
}

fn failed(text: &str, log: &str) -> CaseResult {
    CaseResult {
        verdict: Verdict::Fail,
        class: Some(FailureClass::B),
        exit_code: Some(1),
        outcome: Some(Outcome::Exited),
        log: log.to_owned(),
        ..CaseResult::some(text, "app:1", conditions(text))
    }
}

fn set(result: &CaseResult) -> MinimalSet {
    MinimalSet {
        conditions: result.conditions.clone(),
        confidence: 0.99,
        fails: [1, 1],
        passes_without_each: !result.conditions.is_empty(),
        signature: String::new(),
        class: result.class,
        exit_code: result.exit_code,
        causes: Vec::new(),
        limits: Vec::new(),
        repairs: Vec::new(),
        repro: String::new(),
        case: result.id.clone(),
    }
}

/// What is said of a deployment whose image fails under these sets, each with a log.
struct Case<'a> {
    sets: &'a [(&'a str, &'a str)],
    /// The log of the run of everything in force.
    deployed: Option<&'a str>,
    /// Whether that run is healthy instead.
    passes: bool,
    revision: Revision,
    seen: Option<Seen>,
    image: SameImage,
    placeholders: &'a [&'a str],
}

impl Case<'_> {
    fn broke(&self) -> Broke {
        let service = crate::model::Service::some();
        let results: Vec<CaseResult> = self.sets.iter().map(|(set, log)| failed(set, log)).collect();
        let facts = crate::model::ImageFacts {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            ..crate::model::ImageFacts::default()
        };
        let deployment = Deployment {
            revision: self.revision.clone(),
            seen: self.seen.clone(),
            placeholders: self.placeholders.iter().map(|name| (*name).to_owned()).collect(),
            is_told: true,
            ..Deployment::default()
        };
        let of = |condition: &Condition| {
            crate::diagnose::standing::standing(condition, &deployment.revision, &service, (&facts, self.image))
        };
        let standing: Vec<ConditionStanding> = results.iter().flat_map(|r| r.conditions.iter()).map(of).collect();
        let in_force = crate::diagnose::standing::deployed(&standing);
        let healthy = CaseResult { verdict: Verdict::Pass, ..CaseResult::some("deployed", "app:1", in_force.clone()) };
        let deployed = self.passes.then_some(healthy).or(self
            .deployed
            .map(|log| failed(&in_force.to_string().replace(" + ", " ").replace("baseline", ""), log)));
        let mut answer = Answer {
            minimal_sets: results.iter().map(set).collect(),
            findings: not_pushed(&deployment, self.image).into_iter().collect(),
            ..Answer::some()
        };
        let runs = |answer: &Answer| Runs {
            standing: standing.clone(),
            deployed: (in_force.clone(), deployed.as_ref()),
            failed: answer
                .minimal_sets
                .iter()
                .map(|set| results.iter().find(|result| result.conditions == set.conditions))
                .collect(),
            image: self.image,
            baseline_differs: false,
        };
        let order = order(&deployment, &answer, &runs(&answer));
        answer.minimal_sets = order.into_iter().map(|n| answer.minimal_sets[n].clone()).collect();
        let runs = runs(&answer);
        broke(&deployment, &mut answer, runs)
    }

    /// `proved set:0 = egress.drop`, in the order of the answer.
    fn said(&self) -> (String, String) {
        let broke = self.broke();
        let name = |suspect: &Suspect| format!("{:?} {}", suspect.certainty, suspect.part);
        (broke.likely.iter().map(name).collect::<Vec<_>>().join(", "), broke.also.join(", "))
    }
}

fn fact<T>(value: T) -> Option<Fact<T>> {
    Some(Fact { value, source: "update.json".to_owned(), holds: true })
}

fn exited(error: Option<&str>) -> Option<Seen> {
    let shown = |text: &str| Shown { source: "a.log".to_owned(), line: Some(1), text: text.to_owned() };
    Some(Seen {
        class: Some(FailureClass::B),
        exit_code: Some(1),
        failure: Some(shown("Container exit code: 1")),
        error: error.map(shown),
        silent: error.is_none(),
        ..Seen::default()
    })
}

const PLAIN: Case<'static> = Case {
    sets: &[],
    deployed: None,
    passes: false,
    revision: Revision {
        image: None,
        vpc: None,
        nat: None,
        role: None,
        dual_stack: None,
        start_command: None,
        variables: None,
        changed: Vec::new(),
        written: false,
    },
    seen: None,
    image: SameImage::Unknown,
    placeholders: &[],
};

#[test]
fn what_was_in_force_leads() {
    let sets: &[_] =
        &[("env.unset:A", "KeyError: 'A'"), ("egress.drop", "TimeoutError: x"), ("dns.servfail", "gaierror: y")];
    let variables = fact([("A".to_owned(), crate::model::deployment::Known::Plain(String::new()))].into());
    let through_vpc = Revision { vpc: fact(true), variables: variables.clone(), ..Revision::default() };
    let case = Case { sets, revision: through_vpc, seen: exited(None), ..PLAIN };
    assert_eq!(case.said(), ("Proved set:0".to_owned(), "set:1, set:2".to_owned()));
    assert_eq!(case.broke().reproduced, Reproduced::Partly);
    assert_eq!(case.broke().matches.len(), 2, "the line of the log, and that of the update");

    // With egress to the internet, nothing points anywhere: the architecture of what was pushed leads.
    let public = Revision { vpc: fact(false), variables, ..Revision::default() };
    let case = Case { sets, revision: public.clone(), seen: exited(None), ..PLAIN };
    assert_eq!(case.said().0, "Likely static:0, Undecided set:0");
    // Unless that is the image at hand.
    let case = Case { sets, revision: public.clone(), seen: exited(None), image: SameImage::Same, ..PLAIN };
    assert_eq!(case.said(), ("Undecided set:0".to_owned(), "set:1, set:2".to_owned()));

    // The log's own error tells the sets apart.
    let case = Case { sets, revision: public.clone(), seen: exited(Some("gaierror: y")), ..PLAIN };
    assert_eq!(case.said().0, "Proved set:0");
    let case = Case { sets, revision: public, seen: exited(Some("ValueError: another thing")), ..PLAIN };
    assert_eq!(case.said(), (String::new(), "set:0, set:1, set:2".to_owned()));
}

#[test]
fn log_is_right_where_it_contradicts_what_the_user_wrote() {
    let sets: &[_] = &[("env.unset:A", "KeyError: 'A'"), ("dns.servfail", "gaierror: y")];
    let variables = fact([("A".to_owned(), crate::model::deployment::Known::Plain(String::new()))].into());
    let written = Revision { variables, written: true, ..Revision::default() };
    let case = Case { sets, revision: written.clone(), seen: exited(Some("KeyError: 'A'")), ..PLAIN };
    assert_eq!(case.said(), ("Proved set:0".to_owned(), "set:1".to_owned()));
    let broke = case.broke();
    assert_eq!(broke.matches.len(), 2, "the two lines of the log alone");
    // A log without the error refutes nothing, and AWS knows what it deployed.
    let case = Case { sets, revision: written.clone(), seen: exited(None), image: SameImage::Same, ..PLAIN };
    assert_eq!(case.said(), ("Undecided set:0".to_owned(), "set:1".to_owned()));
    let described = Revision { written: false, ..written };
    let case = Case { sets, revision: described, seen: exited(Some("KeyError: 'A'")), ..PLAIN };
    assert_eq!(case.said(), (String::new(), "set:0, set:1".to_owned()));
}

#[test]
fn words_of_the_log_tell_errors_of_one_place_apart() {
    let crash = |name: &str| {
        format!(
            "Traceback (most recent call last):\n  File \"/app/settings.py\", line 18, in need\n    raise \
             ConfigError(name)\nConfigError: required setting {name} is missing"
        )
    };
    let (one, other) = (crash("DATABASE_URL"), crash("API_KEY"));
    let sets: &[_] = &[("env.unset:DATABASE_URL", one.as_str()), ("env.unset:API_KEY", other.as_str())];
    let mut seen = exited(Some("ConfigError: required setting API_KEY is missing"));
    if let Some(seen) = &mut seen {
        seen.log.clone_from(&other);
    }
    let broke = Case { sets, seen, ..PLAIN }.broke();
    let parts: Vec<&str> = broke.likely.iter().map(|suspect| suspect.part.as_str()).collect();
    assert_eq!((parts, broke.also), (vec!["set:0"], vec!["set:1".to_owned()]), "the set of API_KEY comes first");
}

#[test]
fn of_what_was_in_force_the_deployed_run_tells_which_came_first() {
    let sets: &[_] = &[("env.unset:A", "KeyError: 'A'"), ("env.unset:B", "KeyError: 'B'")];
    let revision = Revision { variables: fact([].into()), ..Revision::default() };
    let case = Case { sets, deployed: Some("KeyError: 'B'"), revision, seen: exited(None), ..PLAIN };
    let broke = case.broke();
    assert_eq!((case.said().0.as_str(), broke.reproduced), ("Proved set:0", Reproduced::Yes));
}

#[test]
fn nothing_is_proved_without_a_log_or_with_another_image() {
    let sets: &[_] = &[("egress.drop", "TimeoutError: x")];
    let revision = Revision { vpc: fact(true), nat: fact(false), ..Revision::default() };
    let case = Case { sets, revision: revision.clone(), ..PLAIN };
    assert_eq!(case.said().0, "Likely set:0");
    let case = Case { sets, revision: revision.clone(), seen: exited(None), image: SameImage::Other, ..PLAIN };
    assert_eq!(case.said().0, "Likely static:0, Undecided set:0");
    let mut seen = exited(None);
    if let Some(seen) = &mut seen {
        seen.class = Some(FailureClass::A);
    }
    assert_eq!(Case { sets, revision, seen, ..PLAIN }.said(), ("Undecided class_a".to_owned(), "set:0".to_owned()));
}

#[test]
fn later_image_that_passes_is_not_one_of_another_architecture() {
    let told = |tag: &str, passes: bool| {
        let mut seen = exited(None);
        if let Some(seen) = &mut seen {
            seen.image = Some(format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:{tag}"));
        }
        Case { seen, passes, ..PLAIN }.said().0
    };
    assert_eq!(told("0", true), "");
    assert_eq!(told("0", false), "Likely static:0");
    assert_eq!(told("1", true), "Likely static:0");
}

#[test]
fn placeholder_never_causes_a_verdict() {
    let sets: &[_] = &[("", "ValueError: bad key")];
    let case = Case { sets, seen: exited(None), image: SameImage::Same, placeholders: &["KEY"], ..PLAIN };
    assert_eq!(case.said().0, "Undecided baseline");
    assert!(case.broke().is_open_for_secrets());
    let case = Case { sets, seen: exited(Some("ValueError: bad key")), placeholders: &["KEY"], ..PLAIN };
    assert_eq!(case.said().0, "Proved baseline", "it fails with the error of the log all the same");
}

#[test]
fn other_exit_code_is_another_failure() {
    let mut seen = exited(None);
    if let Some(seen) = &mut seen {
        seen.exit_code = Some(137);
    }
    let case = Case { sets: &[("egress.drop", "x")], seen, image: SameImage::Same, ..PLAIN };
    assert_eq!(case.said(), (String::new(), "set:0".to_owned()));
}
