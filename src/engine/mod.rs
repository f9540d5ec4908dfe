//! The container engine behind one trait: the real one in [`docker`], a scripted one in [`fake`].

pub mod archive;
pub mod context;
pub mod docker;
pub(crate) mod error;
pub mod fake;
pub mod files;
pub(crate) mod saved;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncWrite;

pub use error::EngineError;
pub(crate) use error::EngineResult;
pub(crate) use files::{FileKind, FileStat};

use crate::model::ImageFacts;

/// The label of every container and volume that a session creates; its value is the session's name.
pub const SESSION_LABEL: &str = "exitone.session";
/// The label that names the machine and user whose sessions may be swept from here.
pub const OWNER_LABEL: &str = "exitone.owner";
/// The label that says what a container or volume is for.
pub const ROLE_LABEL: &str = "exitone.role";
/// The label of images, which outlive sessions as a cache; its value says what the image is for. A container inherits the
/// labels of its image, so that no image may carry a label that says who created a container.
pub const IMAGE_LABEL: &str = "exitone.image";
/// The session that version 0.1.0 wrote on images.
pub(crate) const OLD_IMAGE_SESSION: &str = "kept";

/// What the engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// `Docker`, `Podman`, …
    pub name: String,
    /// The engine's own version.
    pub version: String,
    /// The API version that it speaks.
    pub api: String,
    /// The engine's own id; where it makes a new one for every answer (Podman), its address and its machine's name.
    pub id: String,
    /// `linux/amd64`, …
    pub platform: String,
    /// The kernel of the machine that runs the containers, and its control groups: `6.1.0, cgroup v2`.
    pub kernel: String,
    /// What else its sandboxes depend on, as `name=value`: cgroup driver, storage, runtime, security options.
    pub parts: Vec<String>,
    /// Logical CPUs of the machine that runs the containers.
    pub cpus: usize,
    /// Its memory in bytes, where the engine says it.
    pub memory: Option<u64>,
    /// True when `network_mode: container:X` joins the namespace that the main process of X is in at that moment.
    pub joins_current_namespace: bool,
    /// True when it can limit CPU time.
    pub cpu_limit: bool,
    /// True when it can limit memory.
    pub memory_limit: bool,
    /// True when a variable's name alone takes the image's variable away (Podman looks it up in its own environment).
    pub unsets_variables: bool,
}

impl EngineInfo {
    /// True when containers can make AF_VSOCK sockets, which belong to no network namespace: the default seccomp profile
    /// forbids them from Docker 23.0 on (<https://github.com/moby/moby/pull/44563>).
    #[must_use]
    pub fn lets_vsock(&self) -> bool {
        let major = self.version.split('.').next().and_then(|n| n.parse::<u32>().ok());
        self.name == "Docker" && major.is_some_and(|major| major < 23)
    }

    /// The machine's architecture in the words of images: `amd64`, `arm64`.
    #[must_use]
    pub(crate) fn architecture(&self) -> &str {
        match self.platform.rsplit('/').next().unwrap_or_default() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}

/// How a container is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Loopback only.
    None,
    /// The namespace of another container's main process.
    Container(String),
}

/// A container to create.
#[derive(Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image's name or id.
    pub image: String,
    /// Labels; the session's is among them.
    pub labels: BTreeMap<String, String>,
    /// Instead of ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Instead of CMD.
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, over the image's ENV.
    pub env: Vec<String>,
    /// How it is connected.
    pub network: Network,
    /// Volumes and where they are mounted.
    pub volumes: Vec<VolumeMount>,
    /// Thousandths of a CPU.
    pub cpu_milli: Option<u32>,
    /// Bytes of memory; no swap on top.
    pub memory: Option<u64>,
    /// Open files.
    pub nofile: Option<u64>,
    /// True: nothing but the volumes can be written.
    pub read_only: bool,
    /// What makes a container a holder, for the one that is.
    pub holder: Option<HolderSpec>,
}

impl ContainerSpec {
    /// A container of an image as it is, connected to nothing.
    #[must_use]
    pub fn plain(image: &str, labels: BTreeMap<String, String>) -> Self {
        Self {
            image: image.to_owned(),
            labels,
            entrypoint: None,
            cmd: None,
            env: Vec::new(),
            network: Network::None,
            volumes: Vec::new(),
            cpu_milli: None,
            memory: None,
            nofile: None,
            read_only: false,
            holder: None,
        }
    }
}

/// The environment stays out: it may hold secrets.
impl std::fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("image", &self.image)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// The volume.
    pub(crate) name: String,
    /// Where it is mounted.
    pub(crate) target: String,
    /// True: it cannot be written there.
    pub(crate) read_only: bool,
    /// True: an empty volume is filled with what the image has at that place.
    pub(crate) copy: bool,
}

/// What only a holder gets: its standard input, its capabilities, the names that its namespace resolves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderSpec {
    /// The host name that every candidate in its namespace sees.
    pub hostname: String,
    /// The resolver in resolv.conf.
    pub dns: String,
    /// True: it makes and fills network namespaces. False: it only mounts.
    pub network: bool,
    /// True: the engine removes it when it ends.
    pub auto_remove: bool,
    /// Where the machine's control groups are mounted, read-only; nothing where they are not wanted.
    pub groups: Option<String>,
}

/// The end of an attached container.
pub struct Attached {
    /// What the process writes.
    pub(crate) output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    /// What the process reads.
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// A piece of what a process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// To standard output.
    Stdout(Bytes),
    /// To standard error.
    Stderr(Bytes),
}

/// The state of a container. Times are microseconds since the epoch, by the engine's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerState {
    /// True while the process lives.
    pub running: bool,
    /// The exit code of the last run.
    pub exit_code: i64,
    /// True when the kernel killed a process in it for its memory.
    pub oom_killed: bool,
    /// When the process started.
    pub started_at_us: Option<i64>,
    /// When it ended.
    pub finished_at_us: Option<i64>,
}

/// Something that happened to a container of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// The main process ended.
    Died {
        /// The container.
        id: String,
    },
}

/// Something with a label of ours that is on the engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The container's id, the volume's name, or the image's id.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// An image's names.
    pub names: Vec<String>,
    /// The id of a container's image.
    pub image: String,
    /// True for a container whose process runs.
    pub running: bool,
    /// When a container or volume was created: microseconds since the epoch by the engine's clock.
    pub created_us: Option<i64>,
}

/// An image archive to load.
#[derive(Clone, Debug)]
pub enum Archive {
    /// In memory.
    Bytes(Bytes),
    /// In a file.
    File(PathBuf),
}

/// A container engine.
///
/// Every method returns [`EngineError`]: what happened, where, and what to do.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Asks the engine who it is; fails when there is none or it is too old.
    async fn info(&self) -> EngineResult<EngineInfo>;
    /// The engine's clock: microseconds since the epoch. `None` when the engine does not say.
    async fn clock_us(&self) -> EngineResult<Option<i64>>;
    /// The image's own configuration.
    async fn inspect_image(&self, reference: &str) -> EngineResult<ImageFacts>;
    /// Loads an archive as `docker save` writes it.
    async fn load_image(&self, archive: Archive) -> EngineResult<()>;
    /// Saves an image as `docker save` does.
    async fn save_image(&self, reference: &str, to: &Path) -> EngineResult<()>;
    /// Fetches an image from its registry for a platform such as `linux/amd64`.
    async fn pull_image(&self, reference: &str, platform: &str) -> EngineResult<()>;
    /// Gives an image another name.
    async fn tag_image(&self, from: &str, to: &str) -> EngineResult<()>;
    /// Removes an image by name or id.
    async fn remove_image(&self, reference: &str) -> EngineResult<()>;
    /// Images with a label (`name` or `name=value`).
    async fn images(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// Creates a container and returns its id.
    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String>;
    /// Attaches to a container, before it is started, so that no byte is missed.
    async fn attach(&self, id: &str, stdin: bool) -> EngineResult<Attached>;
    /// Starts a container.
    async fn start(&self, id: &str) -> EngineResult<()>;
    /// The state of a container.
    async fn state(&self, id: &str) -> EngineResult<ContainerState>;
    /// Sends a signal (`SIGTERM`, `SIGKILL`); a container that has ended is no error.
    async fn kill(&self, id: &str, signal: &str) -> EngineResult<()>;
    /// Removes a container by force, its anonymous volumes too; one that is gone is no error.
    async fn remove(&self, id: &str) -> EngineResult<()>;
    /// Containers with a label, running or not.
    async fn containers(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// What a path in a container leads to, whether it was started or not; a link at its end is not followed.
    async fn stat(&self, container: &str, path: &str) -> EngineResult<Option<FileStat>>;
    /// The first bytes of a plain file in a container; nothing when there is none at that path.
    async fn read_start(&self, container: &str, path: &str, most: usize) -> EngineResult<Option<Vec<u8>>>;
    /// All files of a container as a tar archive.
    fn export(&self, container: &str) -> Pin<Box<dyn Stream<Item = EngineResult<Bytes>> + Send>>;
    /// Creates a volume; `memory`: it is in memory, so that its size can be changed while it is mounted.
    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>, memory: bool) -> EngineResult<()>;
    /// Removes a volume; one that is gone is no error, one that a container uses is [`EngineError::InUse`].
    async fn remove_volume(&self, name: &str) -> EngineResult<()>;
    /// Volumes with a label.
    async fn volumes(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// Events of the containers with a label, from the first such container on: the label is new with each session,
    /// so that none is missed however late the engine answers.
    fn events(&self, label: &str) -> Pin<Box<dyn Stream<Item = EngineResult<EngineEvent>> + Send>>;
}
