//! A scripted engine: the whole program, including holders, runs against it with a paused clock.
//!
//! It knows images by name, each with a script that defines what the process does under its holder's conditions.
//! Nothing waits for real time.

mod holder;
mod planted;
mod relay;
mod script;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use script::{Act, Faults, Foreign, Script, Situation};

use super::files::{FileStat, Tree};
use super::saved::{Saved, read_saved};
use super::{
    Attached, ContainerSpec, ContainerState, Engine, EngineError, EngineEvent, EngineInfo, EngineResult, Found,
    Network, Output,
};
use crate::model::image::env_map;
use crate::model::{Condition, ImageFacts, ImageId};

#[derive(Clone)]
struct Image {
    facts: ImageFacts,
    script: Script,
    files: Tree,
}

struct Container {
    spec: ContainerSpec,
    created_us: i64,
    state: ContainerState,
    started: Option<Instant>,
    act: Act,
    output: Option<mpsc::UnboundedSender<EngineResult<Output>>>,
    receiver: Option<mpsc::UnboundedReceiver<EngineResult<Output>>>,
    /// The holder's end of its standard input, until it starts.
    stdin: Option<DuplexStream>,
    /// For a holder: the number of the prepared run, its conditions, and when it was prepared.
    prepared: Option<(u64, Vec<Condition>, Instant)>,
}

struct Volume {
    labels: BTreeMap<String, String>,
    created_us: i64,
}

#[derive(Default)]
struct State {
    images: BTreeMap<String, Image>,
    containers: BTreeMap<String, Container>,
    volumes: BTreeMap<String, Volume>,
    events: Vec<mpsc::UnboundedSender<EngineResult<EngineEvent>>>,
    tagged: Vec<mpsc::UnboundedSender<String>>,
    faults: Faults,
    counter: u64,
    most_running: usize,
    /// The images of all started containers.
    started: Vec<String>,
    /// Every request to a candidate that is under way has a copy.
    requests: Arc<()>,
}

/// The scripted engine.
#[derive(Clone)]
pub struct FakeEngine {
    state: Arc<Mutex<State>>,
    zero: Instant,
    shared: bool,
    /// Its machine's architecture, as the kernel names it.
    machine: &'static str,
}

impl FakeEngine {
    /// An engine without images. `shared`: containers join the namespace that the holder is currently in.
    #[must_use]
    pub fn new(shared: bool) -> Self {
        Self { state: Arc::default(), zero: Instant::now(), shared, machine: std::env::consts::ARCH }
    }

    /// The same engine on a machine of another architecture, as the kernel names it.
    #[must_use]
    pub fn on(self, machine: &'static str) -> Self {
        Self { machine, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a linux/amd64 image.
    pub fn image(&self, reference: &str, env: &[&str], script: Script) {
        self.image_of(reference, "amd64", env, script);
    }

    /// Adds an image for an architecture.
    pub fn image_of(&self, reference: &str, architecture: &str, env: &[&str], script: Script) {
        let facts = ImageFacts {
            reference: reference.to_owned(),
            id: ImageId(format!("sha256:{reference}")),
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            entrypoint: Vec::new(),
            cmd: vec!["app".to_owned()],
            env: env_map(env),
            ..ImageFacts::default()
        };
        self.lock().images.insert(reference.to_owned(), Image { facts, script, files: Tree::fine() });
    }

    /// Adds a saved image under its names and its id.
    fn saved(&self, saved: Saved) {
        let Saved { tags, facts, .. } = saved;
        for name in tags.into_iter().chain([facts.id.0.clone()]) {
            let facts = ImageFacts { reference: name.clone(), ..facts.clone() };
            let image = Image { facts, script: Arc::new(|_| Act::default()), files: Tree::fine() };
            self.lock().images.insert(name, image);
        }
    }

    /// Sets the digests of an image's layers.
    pub fn set_layers(&self, reference: &str, layers: &[&str]) {
        if let Some(image) = self.lock().images.get_mut(reference) {
            image.facts.layers = layers.iter().map(|layer| (*layer).to_owned()).collect();
        }
    }

    /// Sets labels of an image, which every container of it inherits.
    pub fn set_image_labels(&self, reference: &str, labels: &[(&str, &str)]) {
        if let Some(image) = self.lock().images.get_mut(reference) {
            image.facts.labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        }
    }

    /// Sets the files of an image.
    pub fn set_files(&self, reference: &str, files: Tree) {
        if let Some(image) = self.lock().images.get_mut(reference) {
            image.files = files;
        }
    }

    /// The files of a container: those of its image.
    fn files(&self, id: &str) -> EngineResult<Tree> {
        let state = self.lock();
        let name = &state.containers.get(id).ok_or_else(|| Self::gone(id))?.spec.image;
        let image = state.images.values().find(|i| i.facts.id.0 == *name || i.facts.reference == *name);
        image.map(|i| i.files.clone()).ok_or_else(|| Self::gone(id))
    }

    /// Sets the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Roles of the containers and volumes that exist.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let state = self.lock();
        let role = |labels: &BTreeMap<String, String>| labels.get(super::ROLE_LABEL).cloned().unwrap_or_default();
        let volumes = state.volumes.values().map(|volume| role(&volume.labels));
        state.containers.values().map(|c| role(&c.spec.labels)).chain(volumes).collect()
    }

    /// The highest number of candidates that ran at the same time.
    #[must_use]
    pub fn most_running(&self) -> usize {
        self.lock().most_running
    }

    /// Number of started containers of images whose id contains this text.
    #[must_use]
    pub fn started(&self, image: &str) -> usize {
        self.lock().started.iter().filter(|started| started.contains(image)).count()
    }

    /// Ends every event stream, like a restarting engine.
    pub fn break_events(&self) {
        self.lock().events.clear();
    }

    fn fault(&self, operation: &str) -> EngineResult<()> {
        self.lock().faults.errors.get(operation).map_or(Ok(()), |e| Err(e.clone()))
    }

    fn micros(&self) -> i64 {
        i64::try_from(self.zero.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn gone(id: &str) -> EngineError {
        EngineError::Gone { action: "using a container".to_owned(), message: id.to_owned() }
    }

    /// Ends the process of a container.
    fn end(&self, id: &str, code: i64, oom: bool) {
        let now = self.micros();
        let mut state = self.lock();
        let Some(container) = state.containers.get_mut(id).filter(|c| c.state.running) else { return };
        container.state.running = false;
        container.state.exit_code = code;
        container.state.oom_killed = oom;
        container.state.finished_at_us = Some(now);
        container.output = None;
        let ended = Some(container.state.clone()).filter(|_| !state.faults.bare_events);
        let died = EngineEvent::Died { id: id.to_owned(), state: ended };
        let late = state.faults.late_events;
        if late.is_zero() {
            state.events.retain(|sender| sender.send(Ok(died.clone())).is_ok());
            return;
        }
        let this = self.clone();
        drop(state);
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            this.lock().events.retain(|sender| sender.send(Ok(died.clone())).is_ok());
        });
    }

    fn write(&self, id: &str, output: Output) {
        if let Some(sender) = self.lock().containers.get(id).and_then(|c| c.output.as_ref()) {
            let _ = sender.send(Ok(output));
        }
    }
}

#[async_trait]
impl Engine for FakeEngine {
    async fn info(&self) -> EngineResult<EngineInfo> {
        self.fault("info")?;
        Ok(EngineInfo {
            name: if self.shared { "Docker" } else { "Podman" }.to_owned(),
            version: "0".to_owned(),
            api: "1.41".to_owned(),
            id: "fake".to_owned(),
            platform: format!("linux/{}", self.machine),
            kernel: "6.1.0, cgroup v2".to_owned(),
            parts: vec!["runtime=fake".to_owned()],
            cpus: 2,
            memory: None,
            joins_current_namespace: self.shared,
            read_only_root: true,
            shares_names: self.shared,
            fills_at_create: false,
            cpu_limit: true,
            memory_limit: true,
            unsets_variables: self.shared,
        })
    }

    async fn clock_us(&self) -> EngineResult<Option<i64>> {
        if self.lock().faults.hangs {
            std::future::pending::<()>().await;
        }
        self.fault("clock_us")?;
        Ok(Some(self.micros()))
    }

    async fn inspect_image(&self, reference: &str) -> EngineResult<ImageFacts> {
        self.fault("inspect_image")?;
        let state = self.lock();
        let by_id = || state.images.values().find(|i| i.facts.id.0 == reference);
        let image = state.images.get(reference).or_else(by_id).map(|i| i.facts.clone());
        image.ok_or_else(|| EngineError::ImageNotFound { name: reference.to_owned(), nearest: None })
    }

    async fn load_image(&self, archive: &Path) -> EngineResult<()> {
        self.fault("load_image")?;
        if let Ok(saved) = read_saved(archive) {
            self.saved(saved);
            return Ok(());
        }
        // More than one image.
        let bytes = std::fs::read(archive).unwrap_or_default();
        let mut documents: BTreeMap<String, serde_json::Value> = BTreeMap::new();
        let mut tar = tar::Archive::new(bytes.as_slice());
        for entry in tar.entries().into_iter().flatten().flatten() {
            let name = entry.path().map(|path| path.display().to_string()).unwrap_or_default();
            if name.ends_with(".json") {
                let mut text = String::new();
                let _ = entry.take(1 << 20).read_to_string(&mut text);
                documents.insert(name, serde_json::from_str(&text).unwrap_or_default());
            }
        }
        for one in documents.get("manifest.json").and_then(|all| all.as_array()).into_iter().flatten() {
            let (Some(tag), Some(config)) = (one["RepoTags"][0].as_str(), one["Config"].as_str()) else { continue };
            let script: Script = match tag.starts_with(planted::IMAGE) {
                true => Arc::new(planted::act),
                false => Arc::new(|_| Act::default()),
            };
            let architecture = documents.get(config).and_then(|config| config["architecture"].as_str());
            self.image_of(tag, architecture.unwrap_or_default(), &[], script);
        }
        Ok(())
    }

    async fn save_image(&self, reference: &str, _: &Path) -> EngineResult<()> {
        Err(EngineError::ImageNotFound { name: reference.to_owned(), nearest: None })
    }

    async fn pull_image(&self, reference: &str, _: &str) -> EngineResult<()> {
        Err(EngineError::ImageNotFound { name: reference.to_owned(), nearest: None })
    }

    async fn tag_image(&self, from: &str, to: &str) -> EngineResult<()> {
        let image = self.lock().images.get(from).cloned();
        let image = image.ok_or_else(|| EngineError::ImageNotFound { name: from.to_owned(), nearest: None })?;
        let mut state = self.lock();
        state.images.insert(to.to_owned(), image);
        state.tagged.retain(|told| told.send(to.to_owned()).is_ok());
        Ok(())
    }

    async fn remove_image(&self, reference: &str) -> EngineResult<()> {
        self.lock().images.remove(reference);
        Ok(())
    }

    async fn images(&self, label: &str) -> EngineResult<Vec<Found>> {
        let state = self.lock();
        let found = |(name, image): (&String, &Image)| Found {
            id: image.facts.id.0.clone(),
            labels: image.facts.labels.clone(),
            names: vec![name.clone()],
            ..Found::default()
        };
        Ok(state.images.iter().map(found).filter(|image| matches(&image.labels, label)).collect())
    }

    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        self.fault(if spec.holder.is_some() { "create_holder" } else { "create" })?;
        let created_us = self.micros();
        let mut state = self.lock();
        state.counter += 1;
        let id = format!("c{}", state.counter);
        let (output, receiver) = mpsc::unbounded_channel();
        let mut spec = spec.clone();
        if let Some(image) =
            state.images.values().find(|i| i.facts.id.0 == spec.image || i.facts.reference == spec.image)
        {
            let inherited = image.facts.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
            spec.labels = inherited.chain(std::mem::take(&mut spec.labels)).collect();
        }
        let container = Container {
            spec,
            created_us,
            state: ContainerState::default(),
            started: None,
            act: Act::default(),
            output: Some(output),
            receiver: Some(receiver),
            stdin: None,
            prepared: None,
        };
        state.containers.insert(id.clone(), container);
        Ok(id)
    }

    async fn attach(&self, id: &str, stdin: bool) -> EngineResult<Attached> {
        self.fault("attach")?;
        let mut state = self.lock();
        let container = state.containers.get_mut(id).ok_or_else(|| Self::gone(id))?;
        let receiver = container.receiver.take().ok_or_else(|| Self::gone(id))?;
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        if stdin {
            container.stdin = Some(theirs);
        }
        let output = stream::unfold(receiver, |mut r| async { r.recv().await.map(|item| (item, r)) });
        Ok(Attached { output: Box::pin(output), input: Box::pin(ours) })
    }

    async fn exec(&self, container: &str, _: &[&str]) -> EngineResult<Attached> {
        self.fault("exec")?;
        if !self.lock().containers.contains_key(container) {
            return Err(Self::gone(container));
        }
        Ok(self.relay(container))
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        let holder = self.lock().containers.get(id).is_some_and(|c| c.spec.holder.is_some());
        self.fault(if holder { "start_holder" } else { "start" })?;
        let now = self.micros();
        let mut guard = self.lock();
        let state = &mut *guard;
        let container = state.containers.get(id).ok_or_else(|| Self::gone(id))?;
        let Network::Container(joined) = container.spec.network.clone() else {
            let container = state.containers.get_mut(id).ok_or_else(|| Self::gone(id))?;
            container.state.running = true;
            if let Some(stdin) = container.stdin.take() {
                tokio::spawn(self.clone().serve_holder(id.to_owned(), stdin));
            }
            return Ok(());
        };
        let conditions = state.containers.get(&joined).and_then(|h| h.prepared.clone());
        let (_, conditions, _) = conditions.ok_or_else(|| EngineError::Refused {
            action: "starting a container".to_owned(),
            status: 409,
            message: "its holder has not prepared a run".to_owned(),
        })?;
        let image = state.images.values().find(|i| i.facts.id.0 == container.spec.image).cloned();
        let image = image.ok_or_else(|| Self::gone(id))?;
        let mut env = image.facts.env.clone();
        for entry in &container.spec.env {
            match entry.split_once('=') {
                Some((name, value)) => drop(env.insert(name.to_owned(), value.to_owned())),
                None => drop(env.remove(entry)),
            }
        }
        let words = [&container.spec.entrypoint, &container.spec.cmd].into_iter().flatten().flatten().cloned();
        let situation = Situation {
            env,
            conditions,
            words: words.collect(),
            foreign: state.faults.foreign.clone(),
            memory: container.spec.memory,
            nofile: container.spec.nofile,
            cpu_milli: container.spec.cpu_milli,
        };
        let act = (image.script)(&situation);
        let container = state.containers.get_mut(id).ok_or_else(|| Self::gone(id))?;
        let started = Instant::now();
        container.state.running = true;
        container.state.started_at_us = Some(now);
        container.started = Some(started);
        container.act = act.clone();
        state.started.push(image.facts.id.0.clone());
        let running = state.containers.values().filter(|c| c.state.running && c.spec.network != Network::None).count();
        state.most_running = state.most_running.max(running);
        tokio::spawn(self.clone().act(id.to_owned(), joined, act, started));
        Ok(())
    }

    async fn state(&self, id: &str) -> EngineResult<ContainerState> {
        self.fault("state")?;
        self.lock().containers.get(id).map(|c| c.state.clone()).ok_or_else(|| Self::gone(id))
    }

    async fn kill(&self, id: &str, signal: &str) -> EngineResult<()> {
        let deaf = self.lock().containers.get(id).is_some_and(|c| c.act.deaf);
        if signal == "SIGKILL" || !deaf {
            self.end(id, if signal == "SIGKILL" { 137 } else { 143 }, false);
        }
        Ok(())
    }

    async fn remove(&self, id: &str) -> EngineResult<()> {
        self.fault("remove")?;
        self.end(id, 137, false);
        self.lock().containers.remove(id);
        Ok(())
    }

    async fn containers(&self, label: &str) -> EngineResult<Vec<Found>> {
        self.fault("containers")?;
        let state = self.lock();
        let found = |(id, container): (&String, &Container)| Found {
            id: id.clone(),
            labels: container.spec.labels.clone(),
            image: container.spec.image.clone(),
            running: container.state.running,
            created_us: Some(container.created_us),
            ..Found::default()
        };
        Ok(state.containers.iter().map(found).filter(|container| matches(&container.labels, label)).collect())
    }

    async fn stat(&self, container: &str, path: &str) -> EngineResult<Option<FileStat>> {
        self.fault("stat")?;
        Ok(self.files(container)?.stat(path))
    }

    async fn archive_start(&self, container: &str, path: &str, _: usize) -> EngineResult<Option<Vec<u8>>> {
        self.fault("archive_start")?;
        Ok(self.files(container)?.archive_of(path))
    }

    fn export(&self, container: &str) -> Pin<Box<dyn Stream<Item = EngineResult<Bytes>> + Send>> {
        let broken = |e: std::io::Error| EngineError::Broken { action: "export".to_owned(), message: e.to_string() };
        let archive = self.fault("export").and_then(|()| self.files(container)?.archive().map_err(broken));
        let pieces = archive.map(|bytes| bytes.chunks(1000).map(Bytes::copy_from_slice).collect::<Vec<_>>());
        match pieces {
            Ok(pieces) => Box::pin(stream::iter(pieces.into_iter().map(Ok))),
            Err(e) => Box::pin(stream::iter([Err(e)])),
        }
    }

    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>, _: bool) -> EngineResult<String> {
        self.fault("create_volume")?;
        let volume = Volume { labels: labels.clone(), created_us: self.micros() };
        self.lock().volumes.insert(name.to_owned(), volume);
        Ok(format!("/volumes/{name}"))
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        let mut state = self.lock();
        if state.containers.values().any(|c| c.spec.volumes.iter().any(|volume| volume.name == name)) {
            return Err(EngineError::InUse { action: "removing a volume".to_owned(), message: name.to_owned() });
        }
        state.volumes.remove(name);
        Ok(())
    }

    async fn volumes(&self, label: &str) -> EngineResult<Vec<Found>> {
        let state = self.lock();
        let found = |(name, volume): (&String, &Volume)| Found {
            id: name.clone(),
            labels: volume.labels.clone(),
            created_us: Some(volume.created_us),
            ..Found::default()
        };
        Ok(state.volumes.iter().map(found).filter(|volume| matches(&volume.labels, label)).collect())
    }

    fn image_names(&self) -> Pin<Box<dyn Stream<Item = EngineResult<String>> + Send>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().tagged.push(sender);
        Box::pin(stream::unfold(receiver, |mut r| async { r.recv().await.map(|item| (Ok(item), r)) }))
    }

    fn events(&self, _: &str) -> Pin<Box<dyn Stream<Item = EngineResult<EngineEvent>> + Send>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.lock().events.push(sender);
        Box::pin(stream::unfold(receiver, |mut r| async { r.recv().await.map(|item| (item, r)) }))
    }
}

/// Whether the labels contain a label (`name` or `name=value`).
fn matches(labels: &BTreeMap<String, String>, label: &str) -> bool {
    let (name, value) = label.split_once('=').map_or((label, None), |(n, v)| (n, Some(v)));
    labels.get(name).is_some_and(|l| value.is_none_or(|v| v == l))
}

/// A script that opens `port` on every address and answers 200.
#[must_use]
pub fn healthy(port: u16) -> Act {
    let open = Duration::from_millis(300);
    Act {
        listens: Some((open, std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), port)),
        status: (open, 200),
        ..Act::default()
    }
}

/// A script that writes a line and exits.
#[must_use]
pub fn exits(after: Duration, code: i64, log: &str) -> Act {
    Act { exits: Some((after, code)), logs: vec![(Duration::ZERO, log.to_owned())], ..Act::default() }
}
