use super::*;
use crate::scenario::apprunner;

fn file<'a>(name: &'a str, text: &'a str) -> File<'a> {
    File { name, text, folder: Path::new(".") }
}

fn described(status: &str, env: &str) -> String {
    format!(
        r#"{{"Service": {{"ServiceArn": "arn:aws:apprunner:eu-west-1:1:service/a/b", "Status": "{status}",
        "SourceConfiguration": {{"ImageRepository": {{"ImageIdentifier": "r/a:v1",
        "ImageConfiguration": {{"Port": "8000", "RuntimeEnvironmentVariables": {env}}}}}}},
        "NetworkConfiguration": {{"EgressConfiguration": {{"EgressType": "DEFAULT"}}, "IpAddressType": "IPV4"}}}}}}"#
    )
}

fn updated(inside: &str) -> String {
    format!(r#"{{"ServiceArn": "arn:aws:apprunner:eu-west-1:1:service/a/b", {inside}}}"#)
}

fn changed(told: &Told) -> Vec<String> {
    told.revision.changed.iter().map(ToString::to_string).collect()
}

#[test]
fn map_of_an_update_replaces_the_whole_map() {
    let before = described("RUNNING", r#"{"ENV": "staging", "DATABASE_URL": "postgres://db", "PORTS": "1"}"#);
    let update = updated(
        r#""SourceConfiguration": {"ImageRepository": {"ImageIdentifier": "r/a:v2", "ImageConfiguration":
        {"RuntimeEnvironmentVariables": {"ENV": "production", "NEW": "x", "NODE_ENV": "production", "PORTS": "1"}}}}"#,
    );
    let told = told(Some(file("s.json", &before)), Some(file("u.json", &update)), true, &apprunner()).expect("good");
    assert_eq!(changed(&told), ["env.unset:DATABASE_URL", "env.set:ENV=production", "env.set:NODE_ENV=production"]);
    // The baseline stays friendly: it has the values from before, and what is new.
    let env = &told.service.env;
    assert_eq!(
        (env["ENV"].as_str(), env["DATABASE_URL"].as_str(), env["NEW"].as_str()),
        ("staging", "postgres://db", "x")
    );
    assert!(!env.contains_key("NODE_ENV"));
    assert_eq!(told.service.port, 8000, "what the update leaves out stays");
    let image = told.revision.image.expect("an image");
    assert_eq!((image.value.as_str(), image.source.as_str(), image.holds), ("r/a:v2", "u.json", true));
    let vpc = told.revision.vpc.expect("the network");
    assert_eq!((vpc.value, vpc.source.as_str(), vpc.holds), (false, "s.json", true), "unchanged by the update");
}

#[test]
fn events_of_cloudtrail_are_updates() {
    let event = r#"{"eventName": "UpdateService", "requestParameters": {"serviceArn": "arn:aws:apprunner:eu-west-1:1:service/a/b",
        "sourceConfiguration": {"imageRepository": {"imageIdentifier": "r/a:v2", "imageConfiguration":
        {"runtimeEnvironmentVariables": {"lower": "1", "TOKEN": "HIDDEN_DUE_TO_SECURITY_REASONS"}}}},
        "networkConfiguration": {"egressConfiguration": {"egressType": "VPC"}}}}"#;
    let told = told(None, Some(file("event", event)), true, &apprunner()).expect("good");
    assert_eq!(told.service.env["lower"], "1");
    assert_eq!(told.placeholders, ["TOKEN"]);
    assert_eq!(told.revision.vpc.map(|fact| (fact.value, fact.holds)), Some((true, true)));
    let wrong = super::told(None, Some(file("u.json", "{\"Service\": 1}")), true, &apprunner()).expect_err("none");
    assert!(wrong[0].to_string().contains("u.json"), "{}", wrong[0]);
}

#[test]
fn description_after_a_rollback_is_of_the_version_before() {
    let holds = |status: &str, rolled_back: bool| {
        let text = described(status, "{}");
        let told = told(Some(file("s.json", &text)), None, rolled_back, &apprunner()).expect("good");
        (
            told.revision.vpc.expect("the network").holds,
            told.notes.iter().any(|note| note.contains("assumed unchanged")),
        )
    };
    assert_eq!(holds("RUNNING", true), (false, true));
    assert_eq!(holds("RUNNING", false), (true, false));
    assert_eq!(holds("CREATE_FAILED", true), (true, false), "there was no version before");
}

#[test]
fn service_file_is_the_users_word() {
    let text = "port: 8000\negress: VPC\nnat: no\nenv: {A: b}\n";
    let told = told(Some(file("service.yaml", text)), None, true, &apprunner()).expect("good");
    assert_eq!(told.revision.nat.map(|fact| (fact.value, fact.holds)), Some((false, true)));
    assert!(!told.described);
    let wrong = super::told(Some(file("service.yaml", "nat: yes\n")), None, true, &apprunner()).expect_err("no VPC");
    assert!(wrong[0].to_string().contains("egress: VPC"), "{}", wrong[0]);
}
