//! One log in every form that tools give it, and files that are not logs.

use super::*;

/// The application's lines of a log, in order.
fn texts(log: &str) -> Vec<String> {
    of_text(log).expect("a log").into_iter().map(|line| line.text).collect()
}

const PLAIN: [&str; 5] = [
    "starting",
    "Traceback (most recent call last):",
    "  File \"/app/main.py\", line 3, in <module>",
    "    import psycopg2",
    "ModuleNotFoundError: No module named 'psycopg2'",
];

#[test]
fn a_line_of_app_runner_is_known_without_its_prefix() {
    let lines =
        of_text("12-01-2025 10:16:27 AM Your application stopped or failed to start. Container exit code: 1\nbye\n");
    let lines = lines.expect("a log");
    assert_eq!(lines[0].meaning, Some(PlatformLine::Exited(Some(1))));
    assert_eq!((lines[0].time.as_deref(), &lines[1].meaning), (Some("12-01-2025 10:16:27 AM"), &None));
}

#[test]
fn reads_one_log_in_every_form() {
    let each = |form: &dyn Fn(usize, &str) -> String| {
        PLAIN.iter().enumerate().map(|(n, line)| form(n, line) + "\n").collect::<String>()
    };
    let event =
        |n: usize, line: &str| serde_json::json!({"timestamp": 1_700_000_000_000_i64 + n as i64, "message": line});
    let events: Vec<_> = PLAIN.iter().enumerate().map(|(n, line)| event(n, line)).collect();
    let newest_first: Vec<_> = events.iter().rev().cloned().collect();
    let csv = |n: usize, line: &str| format!("2026-11-28 10:00:0{n}.000,\"{}\"", line.replace('"', "\"\""));
    let rows: Vec<String> = PLAIN.iter().enumerate().map(|(n, line)| csv(n, line)).rev().collect();
    let quoted = |line: &str| line.replace('"', "\"\"");
    let analytics: Vec<String> = (PLAIN.iter().enumerate().rev())
        .map(|(n, line)| format!("\"11/28/2026, 10:00:0{n}.123 AM\",web,\"{}\"", quoted(line)))
        .collect();
    let datadog: Vec<String> = (PLAIN.iter().enumerate().rev())
        .map(|(n, line)| format!("2026-11-28T10:00:0{n}.000Z,i-01,web,\"{}\"", quoted(line)))
        .collect();
    let gcloud = |n: usize, line: &str| serde_json::json!({"timestamp": format!("2026-11-28T10:00:0{n}Z"), "textPayload": line, "severity": "ERROR"});
    for (form, log) in [
        ("text", each(&|_, line| line.to_owned())),
        ("text with CRLF", each(&|_, line| format!("{line}\r"))),
        ("colours", each(&|_, line| format!("\u{1b}[31m{line}\u{1b}[0m"))),
        ("docker logs -t", each(&|n, line| format!("2026-11-28T10:00:00.00000000{n}Z {line}"))),
        ("kubectl logs --timestamps", each(&|n, line| format!("2026-11-28T10:00:00.00000000{n}Z {line}"))),
        ("compose", each(&|_, line| format!("web-1  | {line}"))),
        ("Docker Desktop", each(&|n, line| format!("2026-11-28 10:00:0{n} web  | {line}"))),
        ("Loguru's times", each(&|n, line| format!("2026-11-28 10:00:0{n}.123 | {line}"))),
        ("compose, indented", each(&|_, line| format!("    web-1  | {line}"))),
        ("compose, quoted", each(&|_, line| format!("> web-1  | {line}"))),
        ("compose -t", each(&|n, line| format!("web-1  | 2026-11-28T10:00:00.00000000{n}Z {line}"))),
        ("kubectl logs --prefix", each(&|_, line| format!("[pod/web-0/app] {line}"))),
        ("aws logs tail", each(&|n, line| format!("2026-11-28T10:00:0{n}.000000+00:00 instance/0123abcd {line}"))),
        ("aws logs tail, ECS", each(&|n, line| format!("2026-11-28T10:00:0{n}.000000+00:00 ecs/web/0123abcd {line}"))),
        ("heroku", each(&|n, line| format!("2026-11-28T10:00:0{n}.000000+00:00 app[web.1]: {line}"))),
        ("Fly", each(&|n, line| format!("2026-11-28T10:00:0{n}.000 app[683930ef216748] ams [info]{line}"))),
        ("Cloud Run", each(&|n, line| format!("2026-11-28 10:00:0{n} {line}"))),
        ("containerd", each(&|n, line| format!("2026-11-28T10:00:0{n}.000000Z stderr F {line}"))),
        ("vLLM", each(&|_, line| format!("(EngineCore_DP0 pid=99) {line}"))),
        ("Ray", each(&|_, line| format!("(Worker rank=0 pid=99) {line}"))),
        ("a child's", each(&|_, line| format!("stderr: {line}"))),
        ("journal", each(&|n, line| format!("Nov 28 10:00:0{n} host app[12]: {line}"))),
        (
            "newest first",
            PLAIN.iter().enumerate().rev().map(|(n, line)| format!("2026-11-28T10:00:0{n}Z {line}\n")).collect(),
        ),
        ("get-log-events", serde_json::json!({"events": events, "nextForwardToken": "f/1"}).to_string()),
        ("filter-log-events, newest first", format!("{:#}", serde_json::json!({"events": newest_first}))),
        ("events on one line", serde_json::json!(events).to_string()),
        ("Insights", format!("@timestamp,@message\n{}\n", rows.join("\n"))),
        ("Log Analytics", format!("\"TimeGenerated [UTC]\",ContainerName_s,Log_s\n{}\n", analytics.join("\n"))),
        ("Datadog", format!("Date,Host,Service,Content\n{}\n", datadog.join("\n"))),
        (
            "gcloud JSON",
            serde_json::json!(PLAIN.iter().enumerate().map(|(n, line)| gcloud(n, line)).collect::<Vec<_>>())
                .to_string(),
        ),
    ] {
        assert_eq!(texts(&log), PLAIN, "{form}:\n{log}");
    }
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(PLAIN.join("\n").encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let lines: Vec<String> = read(utf16.as_slice()).expect("a log").into_iter().map(|line| line.text).collect();
    assert_eq!(lines, PLAIN);
}

#[test]
fn keeps_the_programs_own_words() {
    for log in [
        "INFO server started\nINFO ready",
        "web | is up\nand running\nfor ever\nand ever",
        "2026 was a good year",
        "E1234 is unknown\nE1235 too",
        "{\"init terminating in do_boot\",{undef,[]}}\nCrash dump is being written",
    ] {
        assert_eq!(texts(log).join("\n"), log);
    }
    assert_eq!(texts("2026-11-28T10:00:00Z INFO ready\n2026-11-28T10:00:01Z INFO done"), ["INFO ready", "INFO done"]);
    assert_eq!(
        texts("env: can't execute 'php\r': No such file\r\n10 %\r20 %\n"),
        [r"env: can't execute 'php\r': No such file", "10 %20 %"]
    );
    // A restarted program repeats its words.
    assert_eq!(
        texts("2026-11-28T10:00:00Z memory is short\n2026-11-28T10:00:01Z memory is short"),
        ["memory is short", "memory is short"]
    );
}

#[test]
fn reads_how_a_task_stopped() {
    let task = |container: serde_json::Value, reason: &str| {
        let task = serde_json::json!({"stoppedReason": reason, "stoppedAt": "2026-11-28T10:00:00Z", "containers": [container]});
        of_text(&serde_json::json!({"tasks": [task], "failures": []}).to_string()).expect("a log")
    };
    let lines = task(
        serde_json::json!({"name": "web", "exitCode": 137, "reason": "OutOfMemoryError"}),
        "Essential container in task exited",
    );
    assert_eq!(lines[1].text, "container web exited with code 137: OutOfMemoryError");
    assert_eq!(lines[1].meaning, Some(PlatformLine::Exited(Some(137))));
    let lines = task(serde_json::json!({"name": "web"}), "Task failed ELB health checks in (target-group x)");
    assert_eq!(lines[0].meaning, Some(PlatformLine::Unhealthy));
}

#[test]
fn reads_the_event_of_a_task() {
    let task = serde_json::json!({"stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: boom"});
    let event =
        serde_json::json!({"detail-type": "ECS Task State Change", "detail": task, "time": "2026-11-28T10:00:00Z"});
    assert_eq!(texts(&format!("{event:#}")), ["CannotPullContainerError: boom"]);
}

#[test]
fn reads_what_cloud_logging_says_of_a_revision() {
    let request =
        serde_json::json!({"insertId": "a", "timestamp": "2026-11-28T10:00:00Z", "httpRequest": {"status": 503}});
    let status = serde_json::json!({"code": 9, "message": "The user-provided container failed to start"});
    let audit =
        serde_json::json!({"insertId": "b", "timestamp": "2026-11-28T10:00:01Z", "protoPayload": {"status": status}});
    let log = serde_json::json!([request, audit]).to_string();
    assert_eq!(texts(&log), ["The user-provided container failed to start"]);
}

#[test]
fn what_follows_a_document_is_read_as_text() {
    let log =
        "{\"tasks\": [{\"stoppedReason\": \"Essential container in task exited\", \"containers\": []}]}\n\nboom\n";
    assert_eq!(texts(log), ["Essential container in task exited", "", "", "boom"]);
}

#[test]
fn merges_by_time_where_every_log_has_times() {
    let one = of_text("2026-11-28T10:00:00Z a1\n2026-11-28T10:00:02Z a2").expect("a log");
    let other = of_text("2026-11-28T10:00:01Z b1\n  below").expect("a log");
    let words = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>();
    assert_eq!(words(merged(vec![one.clone(), other])), ["a1", "b1", "  below", "a2"]);
    let untimed = of_text("c").expect("a log");
    assert_eq!(words(merged(vec![untimed, one])), ["c", "a1", "a2"]);
}

#[test]
fn rejects_files_that_are_not_logs() {
    assert!(matches!(of_text(" \n"), Err(NotALog::Empty)));
    assert!(matches!(of_text("{\"events\": []}"), Err(NotALog::Empty)));
    assert!(matches!(of_text("{\"events\": [\n{\"message\": \"a"), Err(NotALog::CutOff { line: 2 })));
    let other = of_text("{\"Service\": {\"ServiceName\": \"a\"}}").expect_err("no log");
    assert!(other.to_string().contains("no `events`, but the keys Service"), "{other}");
    let other = of_text("[{\"message\": \"a\"}, {\"text\": \"b\"}]").expect_err("no log");
    assert!(other.to_string().contains("entry 2 has no `message`"), "{other}");
    // Lines of JSON are a log, one line too.
    assert_eq!(texts("{\"level\": 60, \"msg\": \"boom\"}\n").len(), 1);
    assert_eq!(texts("{\"level\": 30}\n{\"level\": 30}\n").len(), 2);
}

#[test]
fn keeps_the_beginning_and_the_end_of_a_huge_log() {
    let middle = "08-28-2023 07:57:20 PM [AppRunner] Failed to deploy your application image.\n";
    let log = format!("first\n{}{middle}{}last\n", "x\n".repeat(30_000), "y\n".repeat(30_000));
    let lines = of_text(&log).expect("a log");
    assert!(lines.len() < 30_000, "{}", lines.len());
    assert_eq!((lines[0].text.as_str(), lines[lines.len() - 1].text.as_str()), ("first", "last"));
    assert_eq!(lines[lines.len() - 1].number, 60_003);
    assert!(lines.iter().any(|line| line.meaning == Some(PlatformLine::NotDeployed)));
    let long = of_text(&format!("{}\nend", "z".repeat(10 << 20))).expect("a log");
    assert!(long[0].text.len() <= 64 << 10 && long[1].text == "end");
}

#[test]
fn empty_lines_below_every_line_are_no_part_of_a_log() {
    let spaced =
        "Traceback (most recent call last):\n\n  File \"a.py\", line 1\n\n    f()\n\nKeyError: 'A'\n\nbye\n\nend\n";
    let texts = |log: &str| of_text(log).expect("a log").into_iter().map(|line| line.text).collect::<Vec<_>>();
    let lines = texts(spaced);
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(lines[3], "KeyError: 'A'");
    assert_eq!(of_text(spaced).expect("a log")[3].number, 7, "places in the file stay");
    let usual = "one\ntwo\nthree\n\nfour\nfive\nsix\nseven\n";
    assert_eq!(texts(usual).len(), 8);
}
