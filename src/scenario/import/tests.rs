use proptest::prelude::*;

use super::*;
use crate::scenario::apprunner;
use crate::scenario::file::Scenario;

const FULL: &str = include_str!("samples/describe.json");

fn imported(file: &str, text: &str) -> String {
    scenario(file, text, &[], &apprunner()).map_or_else(|refused| panic!("{refused}"), |imported| imported.text)
}

fn refused(text: &str) -> String {
    scenario("x", text, &[], &apprunner()).expect_err(text).to_string()
}

/// The scenario that a file is made into, read again.
fn again(text: &str) -> Scenario {
    let made = imported("x", text);
    file::read("made.yaml", &made, Path::new("."), None).unwrap_or_else(|e| panic!("{e}\n{made}"))
}

/// A description whose variables are these.
fn with_env(env: &serde_json::Value) -> String {
    let configuration = serde_json::json!({"RuntimeEnvironmentVariables": env});
    let image = serde_json::json!({"ImageIdentifier": "app:1", "ImageConfiguration": configuration});
    serde_json::json!({"Service": {"SourceConfiguration": {"ImageRepository": image}}}).to_string()
}

#[test]
fn imports_a_full_description() {
    insta::assert_snapshot!(imported("/home/me/describe.json", FULL));
    let read = again(FULL);
    assert_eq!(read.candidates, ["123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:v20-otp-fix"]);
    assert_eq!((read.service.port, read.service.cpu_milli, read.service.memory), (8000, 250, 1 << 30));
    assert_eq!(read.service.health_check.path, "/healthz");
    assert_eq!((read.service.health_check.timeout, read.service.health_check.unhealthy_threshold), (4, 3));
    let sets: Vec<String> = read.sets.iter().map(ToString::to_string).collect();
    assert_eq!(sets[..3], ["baseline", "egress.drop", "metadata.none"]);
    assert!(read.is_deployed && read.service.role == Some(false), "what is in force together is `deployed`");
    assert!(read.service.secrets.contains("DATABASE_URL") && read.service.secrets.contains("REDIS_URL"));
    let made = imported("x", FULL);
    for hidden in ["hunter2", "arn:aws", "not-a-real-token", "r3dis-pw"] {
        assert!(!made.contains(hidden), "{hidden}");
    }
}

#[test]
fn imports_a_minimal_description() {
    let text = r#"{"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"public.ecr.aws/a/b:latest",
        "ImageRepositoryType":"ECR_PUBLIC"}},"InstanceConfiguration":{"InstanceRoleArn":"arn:aws:iam::1:role/x"}}"#;
    insta::assert_snapshot!(imported("describe.json", text));
}

#[test]
fn imports_a_description_of_code() {
    let text = r#"{"Service":{"ServiceName":"api","SourceConfiguration":{"CodeRepository":{"RepositoryUrl":"https://github.com/a/b",
        "CodeConfiguration":{"ConfigurationSource":"API","CodeConfigurationValues":{"Runtime":"PYTHON_3",
        "BuildCommand":"pip install -r requirements.txt","StartCommand":"python app.py && echo \"done\"","Port":"8000",
        "RuntimeEnvironmentVariables":{"ENV":"production"}}}}},"CreatedAt":1735689600.123,"Tags":[1,2],
        "NetworkConfiguration":{"EgressConfiguration":{"EgressType":"DEFAULT"}}}}"#;
    insta::assert_snapshot!(imported("describe.json", text));
}

#[test]
fn imports_an_apprunner_yaml() {
    let text = include_str!("samples/apprunner.yaml");
    insta::assert_snapshot!(imported("apprunner.yaml", text));
    let env = again(text).service.env;
    assert_eq!((env["DEBUG"].as_str(), env["RELEASE"].as_str(), env["EMPTY"].as_str()), ("yes", "1.10", ""));
    assert_eq!(env["APP_PORT"], "8000");
}

#[test]
fn imports_an_env_file() {
    let text = "# for development\nexport ENV=dev\nPORT=8000\nAPI_TOKEN=hunter2\nMAX_TOKENS=4096\nURL=\"amqp://u:hunter2@mq:5672\"\n";
    let made = imported("prod.env", text);
    assert!(!made.contains("hunter2"));
    insta::assert_snapshot!(made);
    assert_eq!(again(text).service.port, 8000);
}

#[test]
fn reads_every_form_of_a_description() {
    let inner = r#"{"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"a:1","ImageConfiguration":{"Port":8000}}},
        "InstanceConfiguration":{"Cpu":"1 vCPU","Memory":"2 GB"},"UpdatedAt":"2025-01-01T00:00:00+00:00"}"#;
    for text in [
        inner.to_owned(),
        format!("\u{feff}\n{{\"Service\": {inner}, \"OperationId\": \"x\"}}"),
        format!("[{inner}]"),
        format!("[{{\"Service\": {inner}}}]"),
        format!("{{\"Services\": [{inner}]}}"),
        "Service:\n  SourceConfiguration:\n    ImageRepository:\n      ImageIdentifier: a:1\n      \
         ImageConfiguration:\n        Port: '8000'\n"
            .to_owned(),
    ] {
        let read = again(&text);
        assert_eq!((read.service.port, read.service.cpu_milli, read.service.memory), (8000, 1000, 2 << 30), "{text}");
        assert_eq!(read.candidates, ["a:1"]);
    }
}

#[test]
fn command_line_images_take_precedence() {
    let images = ["b:1".to_owned(), "odd.example:5000/name:2".to_owned()];
    let made = scenario("x", FULL, &images, &apprunner()).expect("good").text;
    let read = file::read("x", &made, Path::new("."), None).expect("good");
    assert_eq!(read.candidates, images);
    assert!(!made.contains("dkr.ecr"), "{made}");
}

#[test]
fn reports_every_error_with_its_path() {
    let bad = r#"{"Service":{"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":7,"ImageConfiguration":{
        "Port":"eight","RuntimeEnvironmentVariables":{"A":1,"9B":"hunter2","NUL":"a\u0000b","AWSAPPRUNNER_X":"1"},
        "RuntimeEnvironmentSecrets":["x"],"StartCommand":{}}}},"InstanceConfiguration":[],
        "HealthCheckConfiguration":{"Interval":true},"NetworkConfiguration":{"EgressConfiguration":{"EgressType":false}}}}"#;
    insta::assert_snapshot!("wrong_types", refused(bad));
    let bad = r#"{"Service":{"SourceConfiguration":{"ImageRepository":{"ImageIdentifier":"a:1","ImageConfiguration":{
        "Port":"eight","RuntimeEnvironmentVariables":{"A.b":"1","9B":"hunter2","AWSAPPRUNNER_X":"1"}}}},
        "InstanceConfiguration":{"Cpu":"3000","Memory":"7"},"HealthCheckConfiguration":{"Protocol":"UDP","Path":"x",
        "Interval":0,"UnhealthyThreshold":21},"NetworkConfiguration":{"EgressConfiguration":{"EgressType":"NONE"}}}}"#;
    insta::assert_snapshot!("out_of_range", refused(bad));
    // As AWS prints it: an excerpt is shown of lines where no credential can stand.
    let printed: serde_json::Value = serde_json::from_str(bad).expect("JSON");
    let printed = serde_json::to_string_pretty(&printed).expect("JSON");
    let command = "\"eight\",\n          \"StartCommand\": [\"run --key hunter2\"]";
    let printed = printed.replace("\"eight\"", command);
    let said = refused(&printed);
    assert!(!said.contains("hunter2"), "{said}");
    insta::assert_snapshot!("printed_by_aws", said);
    let bad = "version: 1.0\nruntime: python3\nrun:\n  network:\n    port: eight\n  env:\n    - name: A\n      value: \
               hunter2\n    - name: A\n      value: x\n    - name: 9B\n      value: y\n  secrets:\n    - name: A\n      \
               value-from: 'arn:aws:ssm:r:1:parameter/x'\n";
    insta::assert_snapshot!("apprunner_yaml_mistakes", refused(bad));
    let bad =
        "runtime: python3\nrun:\n  network:\n    port: eight\n  command: x\n  env:\n    - name: 9B\n      value: y\n";
    insta::assert_snapshot!("apprunner_yaml_out_of_range", refused(bad));
}

#[test]
fn rejects_unknown_kinds() {
    for (text, expected) in [
        ("", "the file is empty"),
        ("# A=1\n\n", "the file is empty"),
        ("hello\n", "this is neither the output of"),
        ("{\"a\": }", "x:1:7: invalid JSON"),
        ("{}", "neither `Service` nor `SourceConfiguration`"),
        ("[]", "a list of 0 services"),
        ("[{}, {}]", "a list of 2 services"),
        ("{\"ServiceSummaryList\": []}", "the output of list-services"),
        ("{\"Service\": 1}", "Service: expected an object, not a number"),
        ("{\"Service\": {}}", "Service.SourceConfiguration: missing"),
        ("{\"Service\": {\"SourceConfiguration\": {}}}", "Service.SourceConfiguration: missing key: `ImageRepository`"),
        ("{\"SourceConfiguration\": {\"ImageRepository\": {}}}", "ImageRepository.ImageIdentifier: missing"),
        ("{\"SourceConfiguration\": {\"ImageRepository\": {\"ImageIdentifier\": \" \"}}}", "the image's name is empty"),
        ("candidates: [a:1]\n", "already a scenario"),
        ("port: 8000\n", "already a service file"),
        ("runtime: python3\nbuild: {}\n", "missing key `run`"),
        ("run: {}\n", "missing key `run.command`"),
        ("run: hunter2\n", "x:1:6: run: expected a mapping"),
        ("run: {command: [hunter2]}\n", "x:1:16: run.command: expected a string"),
        ("run: {command: x, env: {A: hunter2}}\n", "x:1:24: run.env: expected a list"),
        ("run:\n  command: x\n  secrets:\n    - value-from: hunter2\n", "x:4:7: run.secrets: missing key `name`"),
        ("run:\n  command: x\n  command: hunter2\n", "x:3:3: duplicate key `command`"),
        ("A=1\nbroken hunter2\n", "x:2:1: expected NAME=VALUE"),
    ] {
        let said = refused(text);
        assert!(said.contains(expected), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(refused(&"#\n".repeat(LARGEST)).contains("bytes"));
}

#[test]
fn preserves_odd_values() {
    let odd = [
        "",
        " ",
        "true",
        "No",
        "null",
        "~",
        "1.10",
        "0x1F",
        "1e3",
        "- a",
        "a: b",
        "a #b",
        "#",
        "'",
        "\"",
        "\\",
        "\\n",
        "line\nline\n",
        "\ttab",
        "cr\r\n",
        "é",
        "😀",
        "\u{2028}",
        "\u{feff}x",
        "\u{85}",
        "\u{7f}",
        "\u{1b}[0m",
        "&a",
        "*a",
        "!x",
        "%x",
        "@x",
        "`x",
        "{a: b}",
        "[a]",
        "---",
        "...",
        "?",
        "|",
        ">",
        "$A ${B}",
        "trailing ",
        "=",
        "<<",
        "\u{a0}",
        "\u{10ffff}",
        "\u{ffff}",
    ];
    let names = odd.iter().enumerate().map(|(i, value)| (format!("V{i}"), serde_json::json!(value)));
    let mut env: serde_json::Map<String, serde_json::Value> = names.collect();
    for name in ["true", "null", "y", "-", "---", ".", "_", "a.b-c", ".inf"] {
        env.insert(name.to_owned(), serde_json::json!("x"));
    }
    let text = with_env(&serde_json::Value::Object(env.clone()));
    let read = again(&text);
    let described = told(&text).expect("good");
    for (name, value) in env {
        assert_eq!(Some(read.service.env[&name].as_str()), value.as_str(), "{name}");
        assert_eq!(Some(described.service.env[&name].as_str()), value.as_str(), "{name}");
    }
}

/// The service that a description is read as.
fn told(text: &str) -> Result<revision::Told, String> {
    let file = revision::File { name: "x", text, folder: Path::new(".") };
    let joined = |refused: Vec<Refused>| refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    revision::told(Some(file), None, false, &apprunner()).map_err(joined)
}

#[test]
fn accepts_a_description_as_service_file() {
    let revision::Told { service: read, revision, details, placeholders, .. } = told(FULL).expect("good");
    let image = revision.image.map(|image| image.value);
    assert_eq!(image.as_deref(), Some("123456789012.dkr.ecr.us-east-1.amazonaws.com/nerava-backend:v20-otp-fix"));
    assert_eq!(read.port, 8000);
    // Values that the file has go to the candidate, and are shown nowhere.
    assert_eq!(read.env["TWILIO_AUTH_TOKEN"], "not-a-real-token");
    assert_eq!(read.env["REDIS_URL"], "redis://app:r3dis-pw@cache.internal:6379/0");
    assert_eq!(read.env["DATABASE_URL"], "placeholder-for-DATABASE_URL");
    assert_eq!(placeholders, ["DATABASE_URL", "JWT_SECRET", "POSTHOG_KEY"]);
    assert!(["TWILIO_AUTH_TOKEN", "REDIS_URL", "DATABASE_URL"].iter().all(|name| read.secrets.contains(*name)));
    let notes = details.join("\n");
    assert!(notes.contains("--with egress.drop, --with metadata.none"), "{notes}");
    assert!(!notes.contains("not-a-real-token") && !notes.contains("arn:aws"), "{notes}");
    for text in [
        "port: 8000\n",
        "{port: 8000}",
        "{\"port\": 8000}",
        "env: {Service: x}\n",
        "{\"env\": {\"Service\": \"x\"}}",
        "",
    ] {
        assert!(!is_described(text), "{text}");
    }
    let broken = told("{\"Service\": {\"SourceConfiguration\"").expect_err("broken");
    assert!(broken.contains("invalid JSON"), "{broken}");
    let wrong = told("Service:\n  SourceConfiguration: 1\n").expect_err("wrong");
    assert!(wrong.contains("Service.SourceConfiguration: expected an object"), "{wrong}");
}

proptest! {
    #[test]
    fn preserves_any_value(value in "\\PC{0,20}|[ -~\n\t]{0,40}|.{0,10}", command in "[ -~]{1,30}") {
        let mut document: serde_json::Value =
            serde_json::from_str(&with_env(&serde_json::json!({"V": value}))).expect("JSON");
        document["Service"]["SourceConfiguration"]["ImageRepository"]["ImageConfiguration"]["StartCommand"] =
            command.clone().into();
        let made = told(&document.to_string());
        if value.contains('\0') {
            prop_assert!(made.is_err());
        } else {
            let read = made.expect("good").service;
            prop_assert_eq!(&read.env["V"], &value);
            prop_assert_eq!(read.start_command, Some(command).filter(|c| !c.trim().is_empty()));
            again(&document.to_string());
        }
    }
}
