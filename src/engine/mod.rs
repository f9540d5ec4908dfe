//! The container engine behind one trait: the real one in [`docker`], a scripted one in [`fake`].

pub mod archive;
pub mod context;
mod credentials;
pub mod docker;
pub(crate) mod error;
pub mod fake;
pub mod files;
pub(crate) mod saved;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncWrite;

pub use error::EngineError;
pub(crate) use error::EngineResult;
pub(crate) use files::{FileKind, FileStat};

use crate::model::ImageFacts;

/// The label of every container and volume of a session; its value is the session's name.
pub const SESSION_LABEL: &str = "exitone.session";
/// The label with the machine and user whose sessions may be swept from here.
pub const OWNER_LABEL: &str = "exitone.owner";
/// The label with the purpose of a container or volume.
pub const ROLE_LABEL: &str = "exitone.role";
/// The label of images, which outlive sessions as a cache; its value is the image's purpose. A container inherits the
/// labels of its image, so no image may carry a label that says who created a container.
pub const IMAGE_LABEL: &str = "exitone.image";
/// The session name that version 0.1.0 put on images.
pub(crate) const OLD_IMAGE_SESSION: &str = "kept";

/// What the engine reports about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// `Docker`, `Podman`, …
    pub name: String,
    /// The engine's own version.
    pub version: String,
    /// The API version it supports.
    pub api: String,
    /// The engine's own id; if it makes a new one for every answer (Podman), its address and its machine's name.
    pub id: String,
    /// `linux/amd64`, …
    pub platform: String,
    /// The kernel and cgroup version of the machine that runs the containers: `6.1.0, cgroup v2`.
    pub kernel: String,
    /// What else its sandboxes depend on, as `name=value`: cgroup driver, storage, runtime, security options.
    pub parts: Vec<String>,
    /// Logical CPUs of the machine that runs the containers.
    pub cpus: usize,
    /// Its memory in bytes, if the engine reports it.
    pub memory: Option<u64>,
    /// Whether `network_mode: container:X` joins the namespace that the main process of X is in at that moment.
    pub joins_current_namespace: bool,
    /// Whether it can limit CPU time.
    pub cpu_limit: bool,
    /// Whether it can limit memory.
    pub memory_limit: bool,
    /// Whether a bare variable name removes the image's variable (Podman looks it up in its own environment).
    pub unsets_variables: bool,
    /// Whether a read-only root file system is read-only as a whole (Podman keeps /tmp, /run and /var/tmp writable).
    pub read_only_root: bool,
    /// Whether containers that join a namespace share /etc/hosts and /etc/resolv.conf with its owner.
    pub shares_names: bool,
    /// Whether an empty volume is filled when a container that mounts it is created; otherwise when it starts.
    pub fills_at_create: bool,
}

impl EngineInfo {
    /// Whether containers can make AF_VSOCK sockets, which belong to no network namespace: the default seccomp profile
    /// forbids them from Docker 23.0 on (<https://github.com/moby/moby/pull/44563>).
    #[must_use]
    pub fn lets_vsock(&self) -> bool {
        let major = self.version.split('.').next().and_then(|n| n.parse::<u32>().ok());
        self.name == "Docker" && major.is_some_and(|major| major < 23)
    }

    /// The machine's architecture in image terms: `amd64`, `arm64`.
    #[must_use]
    pub(crate) fn architecture(&self) -> &str {
        match self.platform.rsplit('/').next().unwrap_or_default() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}

/// The network of a container.
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
    /// Labels, including the session's.
    pub labels: BTreeMap<String, String>,
    /// Replaces ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces CMD.
    pub cmd: Option<Vec<String>>,
    /// `NAME=VALUE`, on top of the image's ENV.
    pub env: Vec<String>,
    /// Its network.
    pub network: Network,
    /// Volumes and their mount points.
    pub volumes: Vec<VolumeMount>,
    /// Thousandths of a CPU.
    pub cpu_milli: Option<u32>,
    /// Memory in bytes; no swap in addition.
    pub memory: Option<u64>,
    /// Limit of open files.
    pub nofile: Option<u64>,
    /// Whether only the volumes are writable.
    pub read_only: bool,
    /// Replaces USER.
    pub user: Option<String>,
    /// Folders in memory that everybody may write to.
    pub empty_folders: Vec<String>,
    /// The names that it sees, where the engine does not share them with the owner of its network.
    pub names: Option<Names>,
    /// Settings of a holder, if the container is one.
    pub holder: Option<HolderSpec>,
}

impl ContainerSpec {
    /// A container of an unmodified image without a network.
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
            user: None,
            empty_folders: Vec::new(),
            names: None,
            holder: None,
        }
    }
}

/// The environment is not shown: it may contain secrets.
impl std::fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("image", &self.image)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// The names that a container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Its host name.
    pub hostname: String,
    /// Files of the engine's machine that are mounted read-only: from, to.
    pub files: Vec<(String, String)>,
}

/// A volume in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeMount {
    /// The volume.
    pub name: String,
    /// Its mount point.
    pub(crate) target: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Whether an empty volume is filled with what the image has there.
    pub(crate) copy: bool,
}

/// Settings that only a holder has: host name, resolver, capabilities, cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderSpec {
    /// The host name that every candidate in its namespace sees.
    pub hostname: String,
    /// The resolver in resolv.conf.
    pub dns: String,
    /// Whether it creates and configures network namespaces; otherwise it only mounts.
    pub network: bool,
    /// Whether the engine removes it when it ends.
    pub auto_remove: bool,
    /// Mount point of the machine's control groups, read-only; `None` if not needed.
    pub groups: Option<String>,
}

/// The streams of an attached container.
pub struct Attached {
    /// The output of the process.
    pub(crate) output: Pin<Box<dyn Stream<Item = EngineResult<Output>> + Send>>,
    /// The input of the process.
    pub(crate) input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// A chunk of output.
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
    /// Whether the process is alive.
    pub running: bool,
    /// The exit code of the last run.
    pub exit_code: i64,
    /// Whether the kernel killed a process in it for exceeding its memory.
    pub oom_killed: bool,
    /// When the process started. By an event it is a few milliseconds later: the engine first writes its files.
    pub started_at_us: Option<i64>,
    /// When it ended. By an event it is when the engine reported it.
    pub finished_at_us: Option<i64>,
}

/// Something that happened to one of our containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEvent {
    /// The main process ended.
    Died {
        /// The container.
        id: String,
        /// Its state at the end; `None` if the engine's events do not tell all of it.
        state: Option<ContainerState>,
    },
}

/// Something on the engine with one of our labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The container's id, the volume's name, or the image's id.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The names of an image.
    pub names: Vec<String>,
    /// The image id of a container.
    pub image: String,
    /// Whether the process of a container runs.
    pub running: bool,
    /// When a container or volume was created, in microseconds since the epoch by the engine's clock.
    pub created_us: Option<i64>,
}

/// A container engine.
///
/// Every method returns [`EngineError`]: what happened, where, and what to do.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Identifies the engine; fails if there is none or it is too old.
    async fn info(&self) -> EngineResult<EngineInfo>;
    /// The engine's clock: microseconds since the epoch. `None` if the engine does not report it.
    async fn clock_us(&self) -> EngineResult<Option<i64>>;
    /// The image's own configuration.
    async fn inspect_image(&self, reference: &str) -> EngineResult<ImageFacts>;
    /// Loads an archive in the format of `docker save`.
    async fn load_image(&self, archive: &Path) -> EngineResult<()>;
    /// Saves an image like `docker save`.
    async fn save_image(&self, reference: &str, to: &Path) -> EngineResult<()>;
    /// Pulls an image from its registry for a platform such as `linux/amd64`.
    async fn pull_image(&self, reference: &str, platform: &str) -> EngineResult<()>;
    /// Gives an image another name.
    async fn tag_image(&self, from: &str, to: &str) -> EngineResult<()>;
    /// Removes an image by name or id.
    async fn remove_image(&self, reference: &str) -> EngineResult<()>;
    /// Images with a label (`name` or `name=value`).
    async fn images(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// Creates a container and returns its id.
    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String>;
    /// Attaches to a container before it starts, so that no byte is missed.
    async fn attach(&self, id: &str, stdin: bool) -> EngineResult<Attached>;
    /// Starts a container.
    async fn start(&self, id: &str) -> EngineResult<()>;
    /// Runs a command in a running container, attached to its streams; it ends with its input, or with the container.
    async fn exec(&self, container: &str, command: &[&str]) -> EngineResult<Attached>;
    /// The state of a container.
    async fn state(&self, id: &str) -> EngineResult<ContainerState>;
    /// Sends a signal (`SIGTERM`, `SIGKILL`); a container that has ended is not an error.
    async fn kill(&self, id: &str, signal: &str) -> EngineResult<()>;
    /// Removes a container by force, including its anonymous volumes; a missing container is not an error.
    async fn remove(&self, id: &str) -> EngineResult<()>;
    /// Containers with a label, running or not.
    async fn containers(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// What a path in a container refers to, started or not; a link at its end is not followed.
    async fn stat(&self, container: &str, path: &str) -> EngineResult<Option<FileStat>>;
    /// The first bytes of a tar archive of what a path in a container refers to, at least `most` of them if it has that
    /// many; `None` if there is nothing at that path.
    async fn archive_start(&self, container: &str, path: &str, most: usize) -> EngineResult<Option<Vec<u8>>>;
    /// The first bytes of a plain file in a container; `None` if there is none at that path.
    async fn read_start(&self, container: &str, path: &str, most: usize) -> EngineResult<Option<Vec<u8>>> {
        let archive = self.archive_start(container, path, files::enough(most)).await?;
        Ok(archive.and_then(|archive| files::first_file(&archive, most)))
    }
    /// All files of a container as a tar archive.
    fn export(&self, container: &str) -> Pin<Box<dyn Stream<Item = EngineResult<Bytes>> + Send>>;
    /// Creates a volume, and returns where it is on the engine's machine; with `memory` it is kept in memory, so that its
    /// size can change while it is mounted.
    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>, memory: bool) -> EngineResult<String>;
    /// Removes a volume; a missing one is not an error, one that a container uses is [`EngineError::InUse`].
    async fn remove_volume(&self, name: &str) -> EngineResult<()>;
    /// Volumes with a label.
    async fn volumes(&self, label: &str) -> EngineResult<Vec<Found>>;
    /// Names that images get from now on.
    fn image_names(&self) -> Pin<Box<dyn Stream<Item = EngineResult<String>> + Send>>;
    /// Events of the containers with a label, from the first such container on: each session has a new label, so none
    /// is missed however late the engine answers.
    fn events(&self, label: &str) -> Pin<Box<dyn Stream<Item = EngineResult<EngineEvent>> + Send>>;
}
