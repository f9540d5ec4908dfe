use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::engine::fake::{Act, FakeEngine, Faults};
use crate::engine::files::Tree;
use crate::engine::{EngineError, ROLE_LABEL};

fn system() -> Tree {
    Tree::default()
        .file("/etc/hostname", 0o644, "x")
        .file("/etc/os-release", 0o644, "Debian 12")
        .file("/var/lib/dpkg/status", 0o644, "Package: bash\nStatus: install ok installed\nVersion: 5.2\n")
        .file("/app/main.py", 0o644, "import otp")
        .file("/app/old.py", 0o644, "x")
        .link("/usr/bin/python", "python3.11")
}

fn engine(before: Tree, after: Tree) -> FakeEngine {
    let engine = FakeEngine::new(true);
    let idle = || Arc::new(|_: &_| Act::default());
    engine.image("app:1", &["A=1", "APP_SECRET=old-secret"], idle());
    engine.image_of("app:2", "arm64", &["A=2", "APP_SECRET=new-secret"], idle());
    engine.set_files("app:1", before);
    engine.set_files("app:2", after);
    engine
}

async fn changed(engine: &FakeEngine) -> Result<ImageChange, RunError> {
    let images = (engine.inspect_image("app:1").await, engine.inspect_image("app:2").await);
    let (Ok(before), Ok(after)) = images else { panic!("both are there") };
    let labels = BTreeMap::from([(ROLE_LABEL.to_owned(), "compared".to_owned())]);
    change(engine, &labels, &before, &after, &BTreeSet::new()).await
}

#[tokio::test]
async fn packages_and_files_are_compared() {
    let twilio = "/opt/site/twilio-9.1.dist-info";
    let after = Tree::default()
        .file("/etc/hostname", 0o644, "y")
        .file("/etc/os-release", 0o644, "Debian 13")
        .file("/var/lib/dpkg/status", 0o644, "Package: bash\nStatus: install ok installed\nVersion: 5.3\n")
        .file("/app/main.py", 0o644, "import otp, twilio")
        .file("/app/otp.py", 0o644, vec![b'x'; 2100])
        .file("/app/__pycache__/otp.cpython-311.pyc", 0o644, "x")
        .link("/usr/bin/python", "python3.12")
        .file("/opt/site/twilio/rest.py", 0o644, "x")
        .file(&format!("{twilio}/METADATA"), 0o644, "Name: twilio\nVersion: 9.1\n")
        .file(&format!("{twilio}/RECORD"), 0o644, "twilio/rest.py,sha256=x,1\n");
    let engine = engine(system(), after);
    let change = changed(&engine).await.expect("compared");
    assert_eq!(change.env, ["A: 1 → 2", "APP_SECRET: ‹redacted› → ‹redacted›"]);
    assert_eq!(change.arch, ["linux/amd64 → linux/arm64"]);
    assert_eq!(change.packages, ["+ twilio 9.1 (python)", "bash 5.2 → 5.3 (debian)"]);
    let expected = [
        "changed /app/main.py (10 B → 18 B)",
        "- /app/old.py",
        "+ /app/otp.py (2.1 kB)",
        "changed /etc/os-release (9 B, other content)",
        "changed /usr/bin/python (python3.11 → python3.12)",
    ];
    assert_eq!(change.files, expected);
    assert_eq!((change.more_files, change.note), (0, None));
    assert_eq!(engine.left(), Vec::<String>::new(), "the containers are removed");
}

#[tokio::test]
async fn images_with_the_same_layers_are_not_read() {
    let engine = engine(system(), Tree::default());
    engine.set_layers("app:1", &["sha256:a"]);
    engine.set_layers("app:2", &["sha256:a"]);
    let error = EngineError::Broken { action: "x".to_owned(), message: "y".to_owned() };
    engine.set_faults(Faults { errors: HashMap::from([("create", error)]), ..Faults::default() });
    let change = changed(&engine).await.expect("compared");
    assert_eq!((change.env.len(), change.files.len(), change.note), (2, 0, None));
}

#[tokio::test]
async fn configuration_is_compared_when_files_cannot_be_read() {
    for operation in ["create", "export", "state"] {
        let engine = engine(system(), Tree::default());
        let error = EngineError::Broken { action: "x".to_owned(), message: "y".to_owned() };
        engine.set_faults(Faults { errors: HashMap::from([(operation, error)]), ..Faults::default() });
        let change = changed(&engine).await.expect("compared");
        assert_eq!((change.env.len(), change.files.len(), change.packages.len()), (2, 0, 0), "{operation}");
        let expected = "cannot read the files of app:1: x: y; cannot read the files of app:2: x: y; packages and files \
                        were not compared";
        assert_eq!(change.note.as_deref(), Some(expected), "{operation}");
        assert_eq!(engine.left(), Vec::<String>::new(), "{operation}");
    }
}

#[tokio::test]
async fn container_left_behind_is_an_error() {
    let engine = engine(system(), system());
    let error = EngineError::Broken { action: "removing".to_owned(), message: "y".to_owned() };
    engine.set_faults(Faults { errors: HashMap::from([("remove", error.clone())]), ..Faults::default() });
    assert!(matches!(changed(&engine).await, Err(RunError::Engine(e)) if e == error));
}
