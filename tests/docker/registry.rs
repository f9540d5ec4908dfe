//! Building the candidates from a registry's `python:3.12-slim`: Debian's docker-registry, in a container.

use std::collections::BTreeMap;
use std::process::Command;

use exitone::engine::archive::{Layer, NewImage, write};
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

use super::support::{PLANTED, engine, exitone, load_planted};

fn docker(args: &[&str]) -> bool {
    Command::new("docker").args(args).output().is_ok_and(|o| o.status.success())
}

/// Loads an image with Debian's docker-registry, extracted from its package.
async fn load_registry(engine: &dyn exitone::engine::Engine) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let tar = folder.path().join("registry.tar");
    let made = Command::new("mmdebstrap")
        .args(["--variant=extract", "--include=docker-registry,ca-certificates", "bookworm"])
        .arg(&tar)
        .output();
    if !made.is_ok_and(|o| o.status.success()) {
        return false;
    }
    let image = NewImage {
        tag: "exitone-test/registry:latest".to_owned(),
        architecture: "amd64".to_owned(),
        entrypoint: vec!["/usr/bin/docker-registry".to_owned(), "serve".to_owned()],
        cmd: vec!["/etc/docker/registry/config.yml".to_owned()],
        env: BTreeMap::from([
            ("REGISTRY_HTTP_ADDR".to_owned(), "0.0.0.0:5000".to_owned()),
            ("REGISTRY_AUTH".to_owned(), "none".to_owned()),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY".to_owned(), "/tmp/registry".to_owned()),
        ]),
        layers: vec![Layer::of_file(&tar).expect("a layer")],
        ..NewImage::default()
    };
    let file = folder.path().join("image.tar");
    write(&[image], std::fs::File::create(&file).expect("created")).expect("packed");
    engine.load_image(&file).await.expect("loaded");
    true
}

/// The login of the private registry, as `htpasswd -B` writes it; the password is `not-a-password`.
const LOGIN: &str = "app:$2b$05$hyf6FIKG/tUveYJjSB3vveQB8WfPIaOIwxsee2emwJi3i8ib2GZHC\n";

#[tokio::test]
#[ignore = "takes minutes"]
async fn private_image_is_pulled_with_the_credentials_of_docker() {
    let Some((engine, _one)) = engine().await else { return };
    if !docker(&["version"]) || !load_registry(engine.as_ref()).await {
        assert!(std::env::var_os("CI").is_none(), "CI has mmdebstrap and docker");
        eprintln!("skipped: needs the docker command and mmdebstrap");
        return;
    }
    load_planted(engine.as_ref()).await;
    let registry = GenericImage::new("exitone-test/registry", "latest")
        .with_exposed_port(5000.tcp())
        .with_wait_for(WaitFor::message_on_stderr("listening on"))
        .with_label("exitone.session", "test")
        .with_copy_to("/etc/docker/registry/htpasswd", LOGIN.as_bytes().to_vec())
        .with_env_var("REGISTRY_AUTH", "htpasswd")
        .with_env_var("REGISTRY_AUTH_HTPASSWD_REALM", "private")
        .with_env_var("REGISTRY_AUTH_HTPASSWD_PATH", "/etc/docker/registry/htpasswd")
        .start()
        .await
        .expect("the registry starts");
    let host = format!("127.0.0.1:{}", registry.get_host_port_ipv4(5000).await.expect("a port"));
    let image = format!("{host}/team/app:v1");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.json");
    let service = folder.path().join("service.yaml");
    std::fs::write(&service, "port: 8000\nstart_command: /planted serve 0.0.0.0 8000\nhealth_check: {protocol: TCP}\n")
        .expect("written");
    let with = |config: &serde_json::Value| {
        std::fs::write(folder.path().join("config.json"), config.to_string()).expect("written");
    };
    let helpers = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let run = |more: &[&str]| {
        let mut command = exitone();
        command.env("DOCKER_CONFIG", folder.path()).env("PATH", &helpers);
        let output = command.args(["run", "--image", &image, "--service"]).arg(&service).args(more).output();
        let output = output.expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let login = serde_json::json!({"auths": {&host: {"auth": "YXBwOm5vdC1hLXBhc3N3b3Jk"}}});
    with(&login);
    let config = config.parent().expect("a folder").display().to_string();
    assert!(docker(&["tag", PLANTED, &image]), "the image has a name on the registry");
    assert!(docker(&["--config", &config, "push", "-q", &image]), "the image is pushed");
    assert!(docker(&["rmi", &image]), "the image is only on the registry now");

    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("no image") && said.contains("--pull"), "{said}");
    with(&serde_json::json!({}));
    let (code, said) = run(&["--pull"]);
    assert!(code == Some(2) && said.contains("cannot pull") && said.contains("docker login"), "{said}");
    with(&serde_json::json!({"auths": {&host: {"auth": "YXBwOndyb25n"}}}));
    let (code, said) = run(&["--pull"]);
    assert!(code == Some(2) && said.contains("cannot pull") && said.contains("still valid"), "{said}");
    assert!(!said.contains("wrong") && !said.contains("YXBwOndyb25n"), "no credentials in messages: {said}");

    // A helper that works, and one that does not.
    let helper = |name: &str, script: &str| {
        let path = folder.path().join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\ncat > /dev/null\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    };
    helper("broken", "echo not-a-password; echo 'the session has expired' >&2; exit 1");
    with(&serde_json::json!({"credHelpers": {&host: "broken"}}));
    let (code, said) = run(&["--pull"]);
    assert!(code == Some(2) && said.contains("the session has expired"), "{said}");
    assert!(!said.contains("not-a-password"), "{said}");
    helper("works", r#"echo '{"Username": "app", "Secret": "not-a-password"}'"#);
    with(&serde_json::json!({"credHelpers": {&host: "works"}}));
    let (code, said) = run(&["--pull"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("pulling"), "{said}");
    assert!(docker(&["rmi", &image]), "it was pulled");
    with(&login);
    assert_eq!(run(&["--pull"]).0, Some(0));
    assert!(docker(&["rmi", &image]), "it was pulled");
    registry.rm().await.expect("removed");
}

#[tokio::test]
#[ignore = "takes minutes"]
async fn builds_candidates_on_a_registry_base() {
    let Some((engine, _one)) = engine().await else { return };
    if !docker(&["version"]) || !load_registry(engine.as_ref()).await {
        assert!(std::env::var_os("CI").is_none(), "CI has mmdebstrap and docker");
        eprintln!("skipped: needs the docker command and mmdebstrap");
        return;
    }
    exitone().args(["images", "build"]).assert().success();
    let registry = GenericImage::new("exitone-test/registry", "latest")
        .with_exposed_port(5000.tcp())
        .with_wait_for(WaitFor::message_on_stderr("listening on"))
        .with_label("exitone.session", "test")
        .start()
        .await
        .expect("the registry starts");
    let port = registry.get_host_port_ipv4(5000).await.expect("a port");
    let base = format!("127.0.0.1:{port}/python:3.12-slim");
    // The registry's image names its Python version, like the official one.
    let folder = tempfile::tempdir().expect("a folder");
    let dockerfile = "FROM exitone/python-base:latest\nENV PYTHON_VERSION=3.11.2\n";
    std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("written");
    let path = folder.path().display().to_string();
    assert!(docker(&["build", "-q", "-t", &base, &path]), "the base is built");
    assert!(docker(&["push", "-q", &base]), "the base is pushed");
    assert!(docker(&["rmi", &base]), "the base is only on the registry now");
    assert!(docker(&["rmi", "nerava-backend:v24-lazy-otp"]), "there is something to build");
    let output = exitone()
        .args(["images", "build", "v24-lazy-otp", "--registry", &format!("127.0.0.1:{port}")])
        .output()
        .expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.contains(&base), "{err}");
    let service = folder.path().join("service.yaml");
    let text = "port: 8000\nenv: {DATABASE_URL: postgresql+psycopg://a:fake@db/a, JWT_SECRET: fake, ENV: dev}\n\
                health_check: {protocol: HTTP, path: /healthz}\n";
    std::fs::write(&service, text).expect("written");
    let run = exitone().args(["run", "--image", "nerava-backend:v24-lazy-otp", "--service"]).arg(&service).output();
    let run = run.expect("it runs");
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stdout));
    // Remove what was built from another base: the next build uses the usual one.
    docker(&["rmi", "nerava-backend:v24-lazy-otp"]);
    assert!(!docker(&["image", "inspect", &base]), "the base is removed: the name did not exist before");
    registry.rm().await.expect("removed");
}
