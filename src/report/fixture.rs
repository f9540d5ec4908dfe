//! Runs for the tests of reports.

use std::sync::Arc;

use crate::event::run::Run;
use crate::event::{Attempts, Header, Kind, Planned, VERSION};
use crate::model::observation::{ConnectAttempt, Evidence, Fate, Listening};
use crate::model::outcome::{CaseResult, Cause, CheckResult, Finding, NotExercised, Outcome, Verdict};
use crate::model::{CaseId, ConditionSet};

/// Output of a candidate that tries to break a report.
pub(crate) const HOSTILE: &str = "\u{1b}[31m</failure>]]><script>alert(1)</script> | `x` ```` @everyone #1 a\u{0}b\u{fffe} \
                           ::error::no %0A ##[error]no ##vso[task.complete] \"quoted\" *b* _c_ [l](http://x) $a$ \\|";

/// Conditions from their text.
pub(crate) fn set(texts: &[&str]) -> ConditionSet {
    ConditionSet::new(texts.iter().map(|text| text.parse().expect("a condition"))).expect("a set")
}

/// A case that passed.
pub(crate) fn passed(id: &str, image: &str, conditions: ConditionSet) -> CaseResult {
    CaseResult {
        evidence: Evidence {
            listens: vec![Listening { at_ms: 400.0, address: [0, 0, 0, 0].into(), port: 8000 }],
            ..Evidence::default()
        },
        apprunner_log: vec!["[AppRunner] Service is running.".to_owned()],
        ..CaseResult::some(id, image, conditions)
    }
}

/// A case that exited with code 1.
pub(crate) fn died(id: &str, image: &str, conditions: ConditionSet) -> CaseResult {
    let cause = Cause {
        id: "outbound-call-at-startup".to_owned(),
        text: "While it starts the process opens a connection to verify.example.com:443, and that fails.".to_owned(),
        fix: "Make the client lazily, with a time-out and retries.".to_owned(),
        evidence: vec!["connected at 1210 ms to verify.example.com:443: nothing came back".to_owned()],
        ..Cause::default()
    };
    let connect = ConnectAttempt {
        at_ms: 1210.0,
        protocol: "tcp".to_owned(),
        address: [198, 18, 0, 1].into(),
        port: 443,
        name: Some("verify.example.com".to_owned()),
        fate: Fate::Silent,
        sent: 3,
    };
    let evidence = Evidence {
        connects: vec![connect],
        log_tail: vec!["starting".to_owned(), "TimeoutError: verify.example.com".to_owned()],
        ..Evidence::default()
    };
    CaseResult {
        verdict: Verdict::Fail,
        outcome: Some(Outcome::Exited),
        exit_code: Some(1),
        healthy_ms: None,
        first_listen_ms: None,
        exited_ms: Some(2500.0),
        total_ms: 2750.0,
        evidence,
        causes: vec![cause],
        apprunner_log: vec![
            "[AppRunner] Your application stopped or failed to start. Container exit code: 1".to_owned(),
        ],
        ..passed(id, image, conditions)
    }
}

fn unresolved(id: &str, image: &str, conditions: ConditionSet, why: &str, skipped: bool) -> CaseResult {
    let cause = Cause {
        id: "unresolved".to_owned(),
        text: format!("The run is inconclusive: {why}"),
        fix: "Run it again.".to_owned(),
        evidence: vec![why.to_owned()],
        ..Cause::default()
    };
    CaseResult {
        verdict: Verdict::Unresolved,
        outcome: None,
        evidence: Evidence::default(),
        causes: vec![cause],
        apprunner_log: Vec::new(),
        skipped: skipped.then(|| why.to_owned()),
        cannot_impose: None,
        total_ms: 12.0,
        ..passed(id, image, conditions)
    }
}

fn planned(result: &CaseResult, scenario: Option<&str>) -> Planned {
    Planned {
        id: result.id.clone(),
        image: result.image.clone(),
        image_id: result.image_id.clone(),
        place: 0,
        conditions: result.conditions.clone(),
        scenario: scenario.map(ToOwned::to_owned),
        expect: None,
        search: None,
    }
}

fn run(cases: Vec<(CaseResult, Option<&str>, bool)>) -> Run {
    let mut run = Run {
        header: Header {
            version: VERSION,
            kind: Kind::Run,
            tool: "0.1.0".to_owned(),
            session: "s1".to_owned(),
            platform: "apprunner".to_owned(),
            started: "2026-01-02T03:04:05Z".to_owned(),
            jobs: 4,
            shard: Some("1/4".to_owned()),
            files: Vec::new(),
            require: Vec::new(),
            cases: Vec::new(),
            searches: Vec::new(),
        },
        last_ms: 9800,
        ..Run::default()
    };
    for (result, scenario, ran) in cases {
        run.header.cases.push(planned(&result, scenario));
        if ran {
            run.results.insert(result.id.clone(), Arc::new(result));
        }
    }
    run
}

/// A run with every kind of result, and hostile text wherever a candidate's output appears.
pub(crate) fn every_kind() -> Run {
    let (v1, v2) = ("backend:v1.2", "registry:5000/backend:v2");
    let baseline = ConditionSet::baseline;
    let drop = || set(&["egress.drop"]);
    let slow = || set(&["cpu.limit:0.25"]);
    let key = || set(&["env.set:API_KEY=a"]);
    let mut hostile = died("v2-00000002", v2, baseline());
    hostile.evidence.log_tail.push(HOSTILE.to_owned());
    hostile.evidence.log_tail.push("::error::a line of the log".to_owned());
    hostile.causes[0].text.push_str(&format!(" {HOSTILE}"));
    hostile.causes[0].evidence.push(HOSTILE.to_owned());
    let mut missed = passed("v1.2-00000003", v1, drop());
    missed.not_exercised = vec![NotExercised {
        condition: "egress.drop".parse().expect("a condition"),
        because: "no outbound connection was tried".to_owned(),
    }];
    missed.notes.push("time compression: probed as soon as the port was open".to_owned());
    let as_wanted = died("v2-00000004", v2, drop());
    let skipped = unresolved("v1.2-00000005", v1, slow(), "host cannot: no control group for CPUs", true);
    let broken = unresolved("v2-00000006", v2, slow(), "the engine answered with an error: | broken", false);
    let otherwise = passed("v1.2-00000007", v1, key());
    let other_key = died("v1.2-00000007-2", v1, key());
    let never = [passed("v2-00000008", v2, key()), passed("v2-00000008-2", v2, key())];
    let mut check = passed("v1.2-00000009", v1, baseline());
    check.verdict = Verdict::Fail;
    check.checks = vec![CheckResult { name: "OTP".to_owned(), passed: false, text: "status 500".to_owned() }];
    let mut first_one = passed("v1.2-00000001", v1, baseline());
    let cause = Cause {
        id: "shebang".to_owned(),
        text: "The start script has Windows line ends.".to_owned(),
        fix: "Save it with Unix ones.".to_owned(),
        evidence: Vec::new(),
        ..Cause::default()
    };
    first_one.findings = vec![Finding { cause, fatal: false, exit_code: None }];
    let incident = Some("incident");
    let [first, second] = never;
    let mut run = run(vec![
        (first_one, incident, true),
        (hostile, incident, true),
        (missed, incident, true),
        (as_wanted, incident, true),
        (skipped, incident, true),
        (broken, incident, true),
        (otherwise, incident, true),
        (first, incident, false),
        (other_key, incident, true),
        (second, incident, false),
        (check, None, true),
    ]);
    for planned in &mut run.header.cases {
        if ["v2-00000004", "v1.2-00000007"].contains(&planned.id.0.as_str()) {
            planned.expect = Some("exit 1".to_owned());
        }
    }
    let outcomes = ["healthy", "exit 1", "healthy"].map(str::to_owned).to_vec();
    let attempts = Attempts { failed: 1, unexpected: 1, decided: 3, outcomes, cut_short: false };
    run.attempts.insert(CaseId("v1.2-00000007-2".to_owned()), attempts);
    run.not_run.insert(CaseId("v2-00000008".to_owned()), "a case failed, and --fail-fast was asked for".to_owned());
    run
}

/// A run of many images under many sets of conditions, all of which fail.
pub(crate) fn huge(images: usize, sets: usize) -> Run {
    let mut cases = Vec::new();
    for n in 0..sets {
        for image in 0..images {
            let conditions = set(&[&format!("env.set:N={n}")]);
            cases.push((died(&format!("v{image}-{n:08x}"), &format!("app:v{image}"), conditions), None, true));
        }
    }
    run(cases)
}
