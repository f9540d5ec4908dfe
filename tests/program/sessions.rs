//! What sessions leave on an engine, who removes it, and the holders that keep a session alive.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use exitone::engine::fake::{Act, FakeEngine, Faults, exits, healthy};
use exitone::engine::{ContainerSpec, Engine, EngineError, Found, HolderSpec, IMAGE_LABEL, ROLE_LABEL, SESSION_LABEL};
use exitone::model::{ConditionSet, Plan};
use exitone::run::cleanup::{self, Life};
use exitone::run::context::Options;
use exitone::run::drivers::{self, Finished};
use exitone::run::rig::Rig;
use exitone::run::session::Session;
use tokio::sync::watch;
use tokio::time::timeout;

use super::support::{candidates, close, open, service, try_open};

const SECOND: Duration = Duration::from_secs(1);

/// What `kill -9` leaves of a session: an unlocked lock file.
fn killed(state: &Path, session: Session) {
    let lock = state.join("sessions").join(format!("{}.lock", session.name));
    drop(session);
    std::fs::write(lock, "").expect("written");
}

async fn volume_of(engine: &FakeEngine, session: &Session) {
    engine.create_volume(&session.volume(), &session.labels("volume"), false).await.expect("created");
}

async fn volumes_of(engine: &FakeEngine, session: &str) -> usize {
    engine.volumes(&format!("{SESSION_LABEL}={session}")).await.expect("listed").len()
}

/// A container that a user created from an image.
async fn by_hand(engine: &FakeEngine, image: &str) -> String {
    engine.create(&ContainerSpec::plain(image, BTreeMap::new())).await.expect("created")
}

/// A holder of a session, which runs until its container is removed.
async fn holder_of(engine: &FakeEngine, session: &Session) -> String {
    let holder = HolderSpec {
        hostname: "h".to_owned(),
        dns: "127.0.0.1".to_owned(),
        network: true,
        auto_remove: true,
        groups: None,
    };
    let spec = ContainerSpec { holder: Some(holder), ..ContainerSpec::plain("holder", session.labels("holder")) };
    let id = engine.create(&spec).await.expect("created");
    engine.start(&id).await.expect("started");
    id
}

/// Removes what a plain `exitone clean` removes.
async fn clean(engine: &FakeEngine, state: &Path) -> cleanup::Removed {
    let sessions = cleanup::sessions(engine, state, SESSION_LABEL).await.expect("listed");
    let dead = sessions.iter().filter(|session| session.life.is_none());
    cleanup::remove(engine, dead).await.expect("removed")
}

#[tokio::test(start_paused = true)]
async fn opening_a_session_sweeps_only_this_owners_dead_sessions() {
    let (state, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let engine = FakeEngine::new(true);
    let dead = Session::begin(state.path()).expect("begun");
    let alive = Session::begin(state.path()).expect("begun");
    let foreign = Session::begin(elsewhere.path()).expect("begun");
    for session in [&dead, &alive, &foreign] {
        volume_of(&engine, session).await;
    }
    let name = dead.name.clone();
    killed(state.path(), dead);
    // Whether the foreign session is alive is unknown here, however old it is.
    tokio::time::sleep(SECOND * 3600).await;
    engine.image("app:1", &[], Arc::new(|_| healthy(8000)));
    let rig = open(&engine, state.path(), 1, Options::default()).await;
    rig.close(false).await.expect("closed");
    assert_eq!(volumes_of(&engine, &name).await, 0, "the dead session's volume is gone");
    for session in [&alive, &foreign] {
        assert_eq!(volumes_of(&engine, &session.name).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn clean_spares_every_session_that_is_in_use() {
    let (state, elsewhere) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let engine = FakeEngine::new(true);
    let begin = |state: &tempfile::TempDir| Session::begin(state.path()).expect("begun");
    let (here, dead) = (begin(&state), begin(&state));
    let (abandoned, served, opening) = (begin(&elsewhere), begin(&elsewhere), begin(&elsewhere));
    for session in [&here, &dead, &abandoned, &served] {
        volume_of(&engine, session).await;
    }
    killed(state.path(), dead);
    tokio::time::sleep(SECOND * 61).await;
    volume_of(&engine, &opening).await;
    // A holder that nobody talks to ends after 10 s.
    let holder = holder_of(&engine, &served).await;
    let sessions = cleanup::sessions(&engine, state.path(), SESSION_LABEL).await.expect("listed");
    let life = |session: &Session| sessions.iter().find(|s| s.name == session.name).expect("listed").life;
    let lives = [&here, &abandoned, &served, &opening].map(life);
    assert_eq!(lives, [Some(Life::Here), None, Some(Life::Elsewhere), Some(Life::Opening)]);
    let removed = clean(&engine, state.path()).await;
    assert_eq!((removed.containers, removed.volumes), (0, 2), "those of the dead and of the abandoned session");
    for session in [&here, &served, &opening] {
        assert_eq!(volumes_of(&engine, &session.name).await, 1);
    }
    engine.remove(&holder).await.expect("removed");
    tokio::time::sleep(SECOND * 61).await;
    let removed = clean(&engine, state.path()).await;
    assert_eq!((removed.containers, removed.volumes), (0, 2), "nothing keeps the others alive any more");
}

#[tokio::test(start_paused = true)]
async fn containers_with_inherited_session_labels_are_not_ours() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    let session = Session::begin(state.path()).expect("begun");
    let of_session = session.labels("candidate");
    let of_session: Vec<(&str, &str)> = of_session.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    // What version 0.1.0 wrote on images, what this version writes, and a commit of one of our containers.
    let images: [(&str, &[(&str, &str)]); 3] = [
        ("old:1", &[(SESSION_LABEL, "kept"), (ROLE_LABEL, "candidate")]),
        ("new:1", &[(IMAGE_LABEL, "candidate")]),
        ("commit:1", &of_session),
    ];
    let mut theirs = Vec::new();
    for (image, labels) in images {
        engine.image(image, &[], Arc::new(|_| Act::default()));
        engine.set_image_labels(image, labels);
        theirs.push(by_hand(&engine, image).await);
    }
    // What 0.1.0 itself labelled this way, and a container of ours from its image.
    let old = BTreeMap::from([(SESSION_LABEL.to_owned(), "kept".to_owned())]);
    engine.create_volume("left", &old, false).await.expect("created");
    engine.create(&ContainerSpec::plain("new:1", old)).await.expect("created");
    engine.create(&ContainerSpec::plain("old:1", session.labels("candidate"))).await.expect("created");
    killed(state.path(), session);
    let removed = clean(&engine, state.path()).await;
    assert_eq!((removed.containers, removed.volumes), (2, 1));
    for id in theirs {
        assert!(engine.state(&id).await.is_ok(), "{id} still exists");
    }
}

#[tokio::test(start_paused = true)]
async fn volume_in_use_is_kept_and_reported() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    let dead = Session::begin(state.path()).expect("begun");
    volume_of(&engine, &dead).await;
    let mut theirs = ContainerSpec::plain("app:1", BTreeMap::new());
    theirs.volumes.push(dead.shared(false));
    engine.create(&theirs).await.expect("created");
    let volume = dead.volume();
    killed(state.path(), dead);
    let removed = clean(&engine, state.path()).await;
    assert_eq!((removed.volumes, removed.in_use), (0, vec![volume]));
}

#[tokio::test(start_paused = true)]
async fn keeps_images_in_use_and_images_of_others() {
    let engine = FakeEngine::new(true);
    let images: [(&str, &[(&str, &str)]); 5] = [
        ("exitone/holder:1", &[(IMAGE_LABEL, "holder")]),
        ("exitone/planted:1", &[(SESSION_LABEL, "kept")]),
        ("app:1", &[(IMAGE_LABEL, "candidate")]),
        ("app:2", &[(SESSION_LABEL, "kept")]),
        ("somebody/app:1", &[(IMAGE_LABEL, "candidate")]),
    ];
    for (image, labels) in images {
        engine.image(image, &[], Arc::new(|_| Act::default()));
        engine.set_image_labels(image, labels);
    }
    by_hand(&engine, "sha256:app:2").await;
    let removed = cleanup::remove_images(&engine, &["app:1".to_owned(), "app:2".to_owned()]).await.expect("removed");
    assert_eq!((removed.removed, removed.in_use), (3, vec!["app:2".to_owned()]));
    assert!(engine.inspect_image("somebody/app:1").await.is_ok(), "built on one of ours");
}

#[tokio::test(start_paused = true)]
async fn opening_error_survives_a_failing_cleanup() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    let broken = |action: &str| EngineError::Broken { action: action.to_owned(), message: "gone".to_owned() };
    for operation in ["load_image", "create_volume"] {
        let errors = HashMap::from([(operation, broken(operation)), ("containers", broken("containers"))]);
        engine.set_faults(Faults { errors, ..Faults::default() });
        let error = try_open(&engine, state.path(), 1, Options::default()).await.err().expect("it cannot be opened");
        assert!(error.to_string().contains(operation), "{error}");
    }
}

/// Runs one case of `app:1`.
async fn one(engine: &FakeEngine, rig: &Rig) -> Finished {
    let plan =
        Plan::new(service(&[]), candidates(engine, &["app:1"]).await, [("app:1".to_owned(), ConditionSet::baseline())]);
    drivers::run(rig.context.clone(), Arc::new(plan), 1, watch::channel(0).1, |_| {}).await
}

async fn holders(engine: &FakeEngine) -> Vec<String> {
    let found: Vec<Found> = engine.containers(&format!("{ROLE_LABEL}=holder")).await.expect("listed");
    found.into_iter().map(|holder| holder.id).collect()
}

#[tokio::test(start_paused = true)]
async fn holder_lives_as_long_as_its_session() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(|_| exits(SECOND, 1, "no")));
    let rig = open(&engine, state.path(), 1, Options::default()).await;
    one(&engine, &rig).await;
    let before = holders(&engine).await;
    tokio::time::sleep(SECOND * 60).await;
    assert_eq!(holders(&engine).await, before);
    assert_eq!(one(&engine, &rig).await.results[0].exit_code, Some(1));
    close(rig, &engine, false).await;
}

#[tokio::test(start_paused = true)]
async fn holder_survives_a_case_that_never_joined() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    engine.image("app:1", &[], Arc::new(|_| exits(SECOND, 1, "no")));
    let rig = open(&engine, state.path(), 1, Options::default()).await;
    one(&engine, &rig).await;
    let before = holders(&engine).await;
    let broken = EngineError::Broken { action: "creating a container".to_owned(), message: "no".to_owned() };
    engine.set_faults(Faults { errors: HashMap::from([("create", broken)]), ..Faults::default() });
    let spoiled = one(&engine, &rig).await;
    assert_eq!(spoiled.results[0].outcome, None, "no verdict");
    engine.set_faults(Faults::default());
    assert_eq!(one(&engine, &rig).await.results[0].exit_code, Some(1));
    assert_eq!(holders(&engine).await, before);
    close(rig, &engine, false).await;
}

#[tokio::test(start_paused = true)]
async fn failed_launches_do_not_count() {
    let state = tempfile::tempdir().expect("a folder");
    let engine = FakeEngine::new(true);
    let rig = open(&engine, state.path(), 1, Options::default()).await;
    let pool = &rig.context.pool;
    let holder = pool.take().await.expect("a holder");
    let broken = EngineError::Broken { action: "creating a container".to_owned(), message: "no".to_owned() };
    engine.set_faults(Faults { errors: HashMap::from([("create_holder", broken)]), ..Faults::default() });
    for _ in 0..3 {
        assert!(pool.take().await.is_err());
    }
    engine.set_faults(Faults::default());
    // One of two holders waits for its candidate to leave: there is room for another.
    pool.give_back(holder, tokio::time::sleep(SECOND * 3600)).await;
    let another = timeout(SECOND, pool.take()).await.expect("no waiting").expect("a holder");
    pool.discard(another).await;
}
