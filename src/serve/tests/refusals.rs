//! Inputs and clients that are refused: with the modelled exception that names the member, never as a fault of the server.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value as Json, json};

use super::{Local, PORT, arn, source};

/// A call, and words of its refusal.
type Row = ((&'static str, Json), &'static str);

/// CreateService with these settings besides the least that it needs.
fn create(settings: Json) -> (&'static str, Json) {
    let mut body = json!({ "ServiceName": "second", "SourceConfiguration": source("app:v1") });
    body.as_object_mut().expect("an object").extend(settings.as_object().expect("an object").clone());
    ("CreateService", body)
}

/// CreateService with these members of ImageConfiguration.
fn configured(configuration: Json) -> (&'static str, Json) {
    let mut source = source("app:v1");
    source["ImageRepository"]["ImageConfiguration"] = configuration;
    create(json!({ "SourceConfiguration": source }))
}

/// CreateService with this member of InstanceConfiguration, HealthCheckConfiguration or NetworkConfiguration.
fn of(group: &str, member: &str, value: Json) -> (&'static str, Json) {
    create(json!({ group: { member: value } }))
}

fn settings_rows() -> Vec<Row> {
    const ROLE: &str = "arn:aws:iam::123456789012:user/example-user";
    let long = "x".repeat(51_201);
    let image = |image: Json| create(json!({ "SourceConfiguration": { "ImageRepository": image } }));
    let code = |code: Json| create(json!({ "SourceConfiguration": { "CodeRepository": code } }));
    let egress = |egress: Json| create(json!({ "NetworkConfiguration": { "EgressConfiguration": egress } }));
    vec![
        (("CreateService", json!({})), "'serviceName'"),
        (("CreateService", json!({ "ServiceName": "second" })), "'sourceConfiguration'"),
        (create(json!({ "ServiceName": "a b c" })), "'serviceName'"),
        (create(json!({ "ServiceName": "abc" })), "'serviceName'"),
        (create(json!({ "ServiceName": "a".repeat(41) })), "'serviceName'"),
        (create(json!({ "ServiceName": "nerava" })), "already exists: nerava."),
        (create(json!({ "SourceConfiguration": {} })), "'sourceConfiguration'"),
        (image(json!({ "ImageRepositoryType": "ECR" })), "'sourceConfiguration.imageRepository.imageIdentifier'"),
        (image(json!({ "ImageIdentifier": "app:v1" })), "'sourceConfiguration.imageRepository.imageRepositoryType'"),
        (image(json!({ "ImageIdentifier": "a".repeat(1025), "ImageRepositoryType": "ECR" })), "imageIdentifier"),
        (image(json!({ "ImageIdentifier": "app:v1", "ImageRepositoryType": "DOCKER" })), "imageRepositoryType"),
        (code(json!({ "SourceCodeVersion": { "Type": "BRANCH", "Value": "main" } })), "codeRepository.repositoryUrl"),
        (code(json!({ "RepositoryUrl": "https://example.com" })), "codeRepository.sourceCodeVersion.type"),
        (
            create(json!({ "SourceConfiguration": { "AuthenticationConfiguration": { "AccessRoleArn": ROLE } } })),
            "authenticationConfiguration.accessRoleArn",
        ),
        (configured(json!({ "Port": "0" })), "imageConfiguration.port"),
        (configured(json!({ "Port": "http" })), "imageConfiguration.port"),
        (configured(json!({ "Port": 8000 })), "invalid type"),
        (configured(json!({ "StartCommand": "a\nb" })), "imageConfiguration.startCommand"),
        (
            configured(json!({ "RuntimeEnvironmentVariables": { "AWSAPPRUNNER_X": "1" } })),
            "runtimeEnvironmentVariables",
        ),
        (configured(json!({ "RuntimeEnvironmentVariables": { "": "1" } })), "runtimeEnvironmentVariables"),
        (configured(json!({ "RuntimeEnvironmentVariables": { "X": long } })), "'X'"),
        (configured(json!({ "RuntimeEnvironmentSecrets": { "X": "" } })), "runtimeEnvironmentSecrets"),
        (
            configured(json!({ "RuntimeEnvironmentSecrets": { "X": "arn:aws:ssm:x" } })),
            "Instance Role have to be provided",
        ),
        (of("InstanceConfiguration", "Cpu", json!("3 vCPU")), "'instanceConfiguration.cpu'"),
        (of("InstanceConfiguration", "Memory", json!("5 GB")), "'instanceConfiguration.memory'"),
        (of("InstanceConfiguration", "Memory", json!("512")), "Cpu 1024 and Memory 512"),
        (of("InstanceConfiguration", "InstanceRoleArn", json!(ROLE)), "'instanceConfiguration.instanceRoleArn'"),
        (of("HealthCheckConfiguration", "Protocol", json!("UDP")), "'healthCheckConfiguration.protocol'"),
        (of("HealthCheckConfiguration", "Path", json!("")), "'healthCheckConfiguration.path'"),
        (of("HealthCheckConfiguration", "Interval", json!(21)), "'healthCheckConfiguration.interval'"),
        (of("HealthCheckConfiguration", "Timeout", json!(0)), "'healthCheckConfiguration.timeout'"),
        (of("HealthCheckConfiguration", "HealthyThreshold", json!(21)), "'healthCheckConfiguration.healthyThreshold'"),
        (
            of("HealthCheckConfiguration", "UnhealthyThreshold", json!(-1)),
            "'healthCheckConfiguration.unhealthyThreshold'",
        ),
        (of("NetworkConfiguration", "IpAddressType", json!("IPV6")), "'networkConfiguration.ipAddressType'"),
        (egress(json!({ "EgressType": "NONE" })), "egressConfiguration.egressType"),
        (egress(json!({ "EgressType": "VPC" })), "egressConfiguration.vpcConnectorArn"),
        (egress(json!({ "EgressType": "VPC", "VpcConnectorArn": "net" })), "egressConfiguration.vpcConnectorArn"),
        (create(json!({ "AutoScalingConfigurationArn": "high" })), "'autoScalingConfigurationArn'"),
        (
            of("ObservabilityConfiguration", "ObservabilityConfigurationArn", json!("x")),
            "'observabilityConfiguration.observabilityConfigurationArn'",
        ),
        (create(json!({ "EncryptionConfiguration": {} })), "'encryptionConfiguration.kmsKey'"),
        (create(json!({ "Tags": [{ "Key": "aws:x", "Value": "" }] })), "'tags.1.member.key'"),
        (create(json!({ "Tags": [{ "Key": "x", "Value": "y".repeat(257) }] })), "'tags.1.member.value'"),
    ]
}

fn other_rows() -> Vec<Row> {
    const OTHER: &str = "arn:aws:apprunner:us-east-1:999999999999:service/nerava/0123456789abcdef0123456789abcdef";
    let mut rows: Vec<Row> = vec![
        (("ListServices", json!({ "MaxResults": 21 })), "'maxResults'"),
        (("ListServices", json!({ "MaxResults": "ten" })), "invalid type"),
        (("ListServices", json!({ "NextToken": "x" })), "NextToken"),
        (("ListServices", json!([])), "invalid type"),
        (("TagResource", json!({ "ResourceArn": OTHER })), "'tags'"),
        (("UntagResource", json!({ "ResourceArn": OTHER })), "'tagKeys'"),
        (("TagResource", json!({ "Tags": [] })), "'resourceArn'"),
        (("ListTagsForResource", json!({ "ResourceArn": OTHER })), OTHER),
        (("CreateVpcConnector", json!({ "VpcConnectorName": "abc", "Subnets": ["s"] })), "'vpcConnectorName'"),
        (("CreateVpcConnector", json!({ "VpcConnectorName": "network" })), "'subnets'"),
        (("DescribeVpcConnector", json!({})), "'vpcConnectorArn'"),
        (("DeleteVpcConnector", json!({ "VpcConnectorArn": OTHER })), OTHER),
        (("ListVpcConnectors", json!({ "MaxResults": 101 })), "'maxResults'"),
        (("DescribeAutoScalingConfiguration", json!({})), "'autoScalingConfigurationArn'"),
        (("ListAutoScalingConfigurations", json!({ "MaxResults": 0 })), "'maxResults'"),
        (("DescribeCustomDomains", json!({ "ServiceArn": OTHER, "MaxResults": 6 })), "'maxResults'"),
        (("Nonsense", json!({})), "Nonsense"),
    ];
    // Every operation on a service: an ARN that is none, one of another account, none at all.
    for operation in [
        "DescribeService",
        "UpdateService",
        "DeleteService",
        "PauseService",
        "ResumeService",
        "StartDeployment",
        "ListOperations",
        "DescribeCustomDomains",
    ] {
        rows.push(((operation, json!({ "ServiceArn": "nonsense" })), "'serviceArn'"));
        rows.push(((operation, json!({ "ServiceArn": OTHER })), OTHER));
        rows.push(((operation, json!({})), "'serviceArn'"));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn bad_input_is_the_modelled_exception_that_names_the_member() {
    let local = Local::new().await;
    let arn = arn(&local.create("nerava", "app:v1").await);
    local.settled(&arn).await;
    local.create("other", "app:v1").await;
    let known =
        ["InvalidRequestException", "ResourceNotFoundException", "SerializationException", "UnknownOperationException"];
    for ((operation, body), named) in settings_rows().into_iter().chain(other_rows()) {
        let refused = local.try_call(&format!("AppRunner.{operation}"), body).await.expect_err(named);
        assert!(refused["message"].as_str().is_some_and(|text| text.contains(named)), "{operation}: {refused:#}");
        assert!(refused["__type"].as_str().is_some_and(|code| known.contains(&code)), "{operation}: {refused:#}");
    }
    // Every mistake at once.
    let two = json!({ "ServiceName": "a", "SourceConfiguration": source("app:v1"),
                      "HealthCheckConfiguration": { "Interval": 0 } });
    let refused = local.try_call("AppRunner.CreateService", two).await.expect_err("two mistakes");
    assert!(refused["message"].as_str().is_some_and(|text| text.starts_with("2 validation errors detected")));
    // The token of another list.
    let page = local.call("ListServices", json!({ "MaxResults": 1 })).await;
    let token = &page["NextToken"];
    assert!(token.is_string(), "{page:#}");
    for (operation, body) in [
        ("ListOperations", json!({ "ServiceArn": arn, "NextToken": token })),
        ("ListVpcConnectors", json!({ "NextToken": token })),
        ("ListAutoScalingConfigurations", json!({ "NextToken": token })),
        ("DescribeCustomDomains", json!({ "ServiceArn": arn, "NextToken": token })),
    ] {
        let refused = local.try_call(&format!("AppRunner.{operation}"), body).await.expect_err(operation);
        assert_eq!(refused["__type"], "InvalidRequestException", "{operation}");
        assert!(refused["message"].as_str().is_some_and(|text| text.contains("NextToken")), "{operation}");
    }
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_call_is_refused_and_not_as_a_fault() {
    let local = Local::new().await;
    let target = "AppRunner.DescribeService";
    let rows: [(Option<&str>, &[u8], StatusCode, &str); 8] = [
        (Some(target), b"not JSON", StatusCode::BAD_REQUEST, "SerializationException"),
        (Some(target), b"{\"ServiceArn\":", StatusCode::BAD_REQUEST, "SerializationException"),
        (Some(target), b"\xff\xfe", StatusCode::BAD_REQUEST, "SerializationException"),
        (Some("DynamoDB_20120810.ListTables"), b"{}", StatusCode::BAD_REQUEST, "UnknownOperationException"),
        (Some(""), b"{}", StatusCode::BAD_REQUEST, "UnknownOperationException"),
        (Some("AppRunner.CreateConnection"), b"{}", StatusCode::NOT_IMPLEMENTED, "CreateConnection"),
        (Some("Logs_20140328.StartLiveTail"), b"{}", StatusCode::NOT_IMPLEMENTED, "StartLiveTail"),
        (None, b"Action=AssumeRole", StatusCode::BAD_REQUEST, "X-Amz-Target"),
    ];
    for (target, body, status, words) in rows {
        let mut request = Request::post("/").header("host", "localhost");
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
        let (answered, text) = local.send(request).await;
        let text = String::from_utf8_lossy(&text);
        assert_eq!((answered, text.contains(words)), (status, true), "{target:?}: {text}");
    }
    for (operation, body, named) in [
        ("DescribeImages", json!({}), "repositoryName"),
        ("DescribeImages", json!({ "repositoryName": "app" }), "imageIds"),
        ("CreateRepository", json!({}), "repositoryName"),
    ] {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let refused = local.try_call(&target, body).await.expect_err(operation);
        assert_eq!(refused["__type"], "InvalidParameterException");
        assert!(refused["message"].as_str().is_some_and(|text| text.contains(named)), "{refused:#}");
    }
    local.close().await;
}

#[tokio::test(start_paused = true)]
async fn other_sites_are_refused() {
    let local = Local::new().await;
    let own = format!("127.0.0.1:{PORT}");
    let rows = [
        (own.as_str(), Some("http://evil.example"), StatusCode::FORBIDDEN),
        ("evil.example", None, StatusCode::FORBIDDEN),
        (own.as_str(), None, StatusCode::OK),
        ("localhost:8765", Some("http://localhost:8765"), StatusCode::OK),
        ("unknown.us-east-1.awsapprunner.localhost:8765", None, StatusCode::NOT_FOUND),
    ];
    for (host, origin, status) in rows {
        let mut request = Request::post("/").header("host", host).header("x-amz-target", "AppRunner.ListServices");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).expect("a request");
        assert_eq!(local.send(request).await.0, status, "{host} {origin:?}");
    }
    local.close().await;
}
