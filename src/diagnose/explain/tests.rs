//! Log excerpts from the field, and texts that are not logs.

use super::*;

/// The common beginning.
const HEAD: &str = "08-28-2023 07:57:01 PM [AppRunner] Deployment with ID : 0123456789abcdef0123456789abcdef started. Triggering \
                    event : SERVICE_UPDATE\n08-28-2023 07:57:02 PM [AppRunner] Deployment Artifact: [Repo Type: ECR], \
                    [Image URL: 1.dkr.ecr.us-east-1.amazonaws.com/app], [Image Tag: v20]\n08-28-2023 07:57:05 PM [AppRunner] \
                    Pulling image 1.dkr.ecr.us-east-1.amazonaws.com/app:v20 from ECR repository.\n08-28-2023 07:57:25 PM \
                    [AppRunner] Successfully pulled your application image from ECR.\n";
const STARTED: &str = "08-28-2023 07:57:36 PM [AppRunner] Provisioning instances and deploying image for publicly accessible \
                       service.\n08-28-2023 07:57:46 PM [AppRunner] Performing health check on protocol `HTTP` [Path: \
                       '/healthz'], [Port: '8000'].\n";
const EXITED: &str = "08-28-2023 07:58:40 PM [AppRunner] Your application stopped or failed to start. See logs for more \
                      information.  Container exit code: 1\n";
const UNHEALTHY: &str = "08-28-2023 08:04:40 PM [AppRunner] Health check failed on protocol `HTTP`[Path: '/healthz'], [Port: \
                         '8000']. Check your configured port number. For more information, see the application logs.\n";
const NEVER: &str = "08-28-2023 07:57:42 PM [AppRunner] Failed to deploy your application image.\n";
const FALSE_ONE: &str =
    "08-28-2023 07:59:30 PM [AppRunner] Invalid Access Role in AuthenticationConfiguration, cannot pull image.\n";
const FAILED: &str =
    "08-28-2023 07:59:58 PM [AppRunner] Deployment with ID : 0123456789abcdef0123456789abcdef failed.\n";
const GOOD: &str = "08-28-2023 07:58:12 PM [AppRunner] Health check is successful. Routing traffic to \
                    application.\n08-28-2023 07:58:20 PM [AppRunner] Successfully routed incoming traffic to \
                    application.\n08-28-2023 07:58:21 PM [AppRunner] Service update completed successfully. New \
                    configuration is deployed.\n08-28-2023 07:58:22 PM [AppRunner] Service status is set to RUNNING.\n";

fn of(log: &str) -> Explanation {
    explain(&crate::diagnose::log::of_text(log).expect("a log"), &Service::some())
}

#[test]
fn recognises_each_class_by_its_line() {
    for (line, class, code, number) in [
        (format!("{STARTED}{EXITED}"), Some(FailureClass::B), Some(1), 7),
        (format!("{STARTED}{UNHEALTHY}"), Some(FailureClass::C), None, 7),
        (NEVER.to_owned(), Some(FailureClass::A), None, 5),
        // What says only that it failed yields to what says how, wherever that stands.
        (format!("{STARTED}{NEVER}{EXITED}"), Some(FailureClass::B), Some(1), 8),
        (format!("{STARTED}{EXITED}{NEVER}"), Some(FailureClass::B), Some(1), 7),
    ] {
        let explanation = of(&format!("{HEAD}{line}{FAILED}"));
        assert_eq!((explanation.class, explanation.exit_code), (class, code));
        let failure = explanation.failure.expect("a line");
        assert_eq!(failure.number, number);
        assert!(failure.time.expect("a time").starts_with("08-28-2023 0"));
        assert_eq!(explanation.image.as_deref(), Some("1.dkr.ecr.us-east-1.amazonaws.com/app:v20"));
        assert_eq!(explanation.deployment.as_deref(), Some("0123456789abcdef0123456789abcdef"));
        assert!(!explanation.likely.is_empty() && !explanation.next.is_empty() && explanation.misleading.is_empty());
    }
}

#[test]
fn false_last_line_is_not_the_failure() {
    for text in [
        format!("{HEAD}{STARTED}{EXITED}{FALSE_ONE}{FAILED}"),
        // Newest line first.
        format!("{HEAD}{STARTED}{EXITED}{FALSE_ONE}{FAILED}").lines().rev().collect::<Vec<_>>().join("\n"),
    ] {
        let explanation = of(&text);
        assert_eq!((explanation.class, explanation.exit_code), (Some(FailureClass::B), Some(1)));
        assert_eq!(explanation.misleading.len(), 1);
        assert!(explanation.misleading[0].text.starts_with("Invalid Access Role"));
        assert!(explanation.notes[0].contains("first failure line in time is the true one"));
    }
}

#[test]
fn ranks_causes_of_a_silent_failure_by_field_cases() {
    let silent = of(&format!("{HEAD}{STARTED}{EXITED}"));
    let ids: Vec<&str> = silent.likely.iter().map(|likely| likely.id.as_str()).collect();
    assert_eq!(ids[..3], ["arch-mismatch", "environment", "upstream-needed"]);
    assert!(
        silent
            .next
            .iter()
            .any(|step| step == "exitone why 1.dkr.ecr.us-east-1.amazonaws.com/app:v20 --service service.json")
    );
    let never = of(&format!("{HEAD}{NEVER}"));
    let ids: Vec<&str> = never.likely.iter().map(|likely| likely.id.as_str()).collect();
    assert_eq!(ids, ["instance-role", "secret-reference", "vpc-connector", "image-pull", "account"]);
    assert!(never.text.contains("no local run can show why") && never.next[0].contains("hello-app-runner"));
}

#[test]
fn application_lines_name_the_cause() {
    let application = "Traceback (most recent call last):\n  File \"/app/main.py\", line 3, in <module>\n    \
                       x\nModuleNotFoundError: No module named 'psycopg2'\n";
    let both = of(&format!("{HEAD}{STARTED}{application}{EXITED}"));
    assert_eq!(both.causes[0].id, "missing-dependency");
    assert!(both.application_log && both.likely.is_empty());
    let alone = of(application);
    assert_eq!((alone.class, alone.causes[0].id.as_str(), alone.status()), (None, "missing-dependency", 1));
    // A process that is still alive did not exit with its traceback.
    let lives = of(&format!("{HEAD}{STARTED}Invalid HTTP_HOST header: '10.0.1.2:8000'.\n{UNHEALTHY}"));
    assert_eq!(lives.causes[0].id, "host-check");
    // The platform asks one port, and the program says another.
    let other = of(&format!("{HEAD}{STARTED}Server is running on port 3000\n{UNHEALTHY}"));
    assert_eq!(other.causes[0].id, "says-it-listens-on-another-port");
    let inside = of(&format!("{HEAD}{STARTED} * Running on http://127.0.0.1:5000\n{UNHEALTHY}"));
    assert_eq!(inside.causes[0].id, "says-it-listens-on-loopback");
    let right = of(&format!("{HEAD}{STARTED}Uvicorn running on http://0.0.0.0:8000\n{UNHEALTHY}"));
    assert!(right.causes.is_empty() && !right.likely.is_empty());
}

#[test]
fn reads_aws_logs_json_in_chronological_order() {
    let event = |at: i64, message: &str| serde_json::json!({"timestamp": at, "message": message, "ingestionTime": at});
    let late = event(1_693_252_770_000, "[AppRunner] Invalid Access Role in AuthenticationConfiguration.");
    let first = event(
        1_693_252_720_000,
        "[AppRunner] Your application stopped or failed to start. See logs for more information.  Container exit code: 3",
    );
    let document = serde_json::json!({"events": [late, first], "nextForwardToken": "f/1"}).to_string();
    let explanation = of(&document);
    assert_eq!((explanation.class, explanation.exit_code), (Some(FailureClass::B), Some(3)));
    assert_eq!(explanation.failure.expect("a line").time.as_deref(), Some("2023-08-28T19:58:40Z"));
}

#[test]
fn explains_the_last_failed_deployment() {
    let good = format!("{HEAD}{STARTED}{GOOD}");
    let failed = format!("{HEAD}{STARTED}{EXITED}{FAILED}").replace("0123456789abcdef0123456789abcdef", "ffff");
    assert_eq!(of(&format!("{good}{failed}")).deployment.as_deref(), Some("ffff"));
    assert_eq!(of(&format!("{failed}{good}")).deployment.as_deref(), Some("ffff"));
    let fine = of(&good);
    assert!(fine.succeeded && fine.class.is_none() && fine.likely.is_empty());
    assert_eq!(fine.status(), 0);
    assert_eq!(of("something else\n").status(), 5);
}

#[test]
fn invalid_role_alone_is_the_failure() {
    let explanation = of(&format!("{HEAD}{FALSE_ONE}{FAILED}"));
    assert_eq!((explanation.class, explanation.misleading.len()), (Some(FailureClass::A), 0));
    let pull =
        "08-28-2023 07:57:09 PM [AppRunner] Failed to pull your application image. Reason: Invalid Access Role.\n";
    assert_eq!(of(&format!("{HEAD}{pull}{FAILED}")).class, Some(FailureClass::A));
}

#[test]
fn does_not_guess_who_killed_a_process() {
    let explanation = of(&format!("{HEAD}{STARTED}loading the model\n{}", EXITED.replace("code: 1", "code: 137")));
    assert!(explanation.causes.is_empty() && explanation.likely.iter().any(|likely| likely.id == "out-of-memory"));
}

#[test]
fn reads_only_the_failed_deployment_and_keeps_line_numbers() {
    let other = "Traceback (most recent call last):\n  File \"/app/a.py\", line 1, in f\n    x\nKeyError: 'FOO_BAR'\n";
    let failed = format!("{HEAD}{STARTED}boom\n{EXITED}{FAILED}");
    let log = format!("{failed}{HEAD}{STARTED}{other}{GOOD}");
    let explanation = of(&log);
    assert_eq!((explanation.class, explanation.causes.len()), (Some(FailureClass::B), 0));
    let lines: Vec<&str> = failed.lines().rev().collect();
    let number = of(&format!("\n{}", lines.join("\n"))).failure.expect("a line").number;
    assert_eq!(lines[number - 2], EXITED.trim_end());
}

#[test]
fn credentials_are_not_shown() {
    let log = format!(
        "DATABASE_URL=postgres://app:pw123@db/app\nKeyError: 'X_TOKEN'\nX_TOKEN=abc123 seen\n{HEAD}{STARTED}{EXITED}"
    );
    let shown = serde_json::to_string(&of(&log)).expect("a document");
    assert!(!shown.contains("pw123") && !shown.contains("abc123"), "{shown}");
}
