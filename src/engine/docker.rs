//! The real engine, through bollard; no other module uses that crate.

mod answers;
mod body;
mod ends;
mod forwarding;
mod streams;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as Cause;
use bollard::models::{ImageInspect, VolumeCreateRequest};
use bollard::query_parameters as q;
use bytes::Bytes;
use docker_credential::DockerCredential;
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::answers::{Inspected, Listed, lenient, micros, parts};
use self::body::body;
use self::ends::Running;
use self::forwarding::Forwarding;
use self::streams::outputs;
use super::context::{EngineEnv, connects};
use super::credentials::{credentials_for, with_tag};
use super::error::{refused, start_error};
use super::files::FileStat;
use super::{
    Attached, ContainerSpec, ContainerState, Engine, EngineError, EngineEvent, EngineInfo, EngineResult, Found,
};
use crate::model::image::env_map;
use crate::model::image::nearest_name;
use crate::model::{ImageFacts, ImageId};

/// The lowest API version with everything used here (Docker 20.10, December 2020).
const LOWEST_API: (u32, u32) = (1, 41);

/// Time limit of a request over TLS, in seconds: that of bollard's other ways to connect.
const REQUEST_WITHIN_S: u64 = 120;
/// Time limit for loading an image: the engine answers only when it is done.
const LOAD_WITHIN: Duration = Duration::from_secs(900);
/// How often a stream of events is opened again.
const MOST_STREAMS: usize = 1000;
/// A removal that takes longer is an error.
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

/// An engine reached over its socket, tcp or ssh.
pub struct DockerEngine {
    client: Docker,
    host: String,
    /// Whether it is Podman, known once it has been identified.
    is_podman: AtomicBool,
    /// What leads to an engine on another machine.
    _forwarding: Option<Forwarding>,
}

impl DockerEngine {
    /// Finds the engine as the docker command line does. Sends nothing yet, but waits for `ssh` to connect.
    ///
    /// # Errors
    /// [`EngineError::Address`] when the address or the context cannot be used.
    pub fn connect(surroundings: &EngineEnv) -> EngineResult<Self> {
        let host = surroundings.host()?;
        if let Some(path) = host.strip_prefix("unix://") {
            reachable(path, &host)?;
        }
        let forwarding = if host.starts_with("ssh://") { Some(Forwarding::open(&host)?) } else { None };
        let address = match &forwarding {
            Some(forwarding) => format!("unix://{}", forwarding.socket().display()),
            None => host.clone(),
        };
        let is_tcp = host.starts_with("tcp://") || host.starts_with("https://");
        let connected = match surroundings.certificates()?.filter(|_| is_tcp) {
            Some(folder) => {
                let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|name| folder.join(name));
                Docker::connect_with_ssl(&host, &key, &cert, &ca, REQUEST_WITHIN_S, bollard::API_DEFAULT_VERSION)
            }
            None => Docker::connect_with_host(&address),
        };
        let client = connected.map_err(|e| EngineError::Address { problem: format!("{host}: {}", chain(&e)) })?;
        Ok(Self { client, host, is_podman: AtomicBool::new(false), _forwarding: forwarding })
    }

    /// Whether it is Podman, once it has been identified.
    fn is_podman(&self) -> bool {
        self.is_podman.load(Ordering::Relaxed)
    }

    /// Converts an error of the client.
    fn error(&self, action: &str, cause: Cause) -> EngineError {
        let action = action.to_owned();
        match cause {
            Cause::DockerResponseServerError { status_code, message } => refused(action, status_code, message),
            Cause::RequestTimeoutError => {
                EngineError::Broken { action, message: "the container engine did not answer in time".to_owned() }
            }
            other => {
                let message = chain(&other);
                if message.contains("no space left on device") {
                    return EngineError::DiskFull { action, message };
                }
                if message.contains("Permission denied") {
                    return EngineError::Permission { host: self.host.clone() };
                }
                if ["Connection refused", "No such file or directory", "client error (Connect)"]
                    .iter()
                    .any(|words| message.contains(words))
                {
                    return EngineError::NoEngine { host: self.host.clone(), cause: message };
                }
                EngineError::Broken { action, message }
            }
        }
    }

    /// Waits for a removal that is already in progress.
    async fn removed(&self, id: &str) -> EngineResult<()> {
        let options = q::WaitContainerOptionsBuilder::new().condition("removed").build();
        let mut waited = self.client.wait_container(id, Some(options));
        match tokio::time::timeout(REMOVED_WITHIN, waited.next()).await {
            // Gone, perhaps before the request; the exit code in the answer is irrelevant.
            Ok(_) => Ok(()),
            Err(_) => Err(EngineError::Broken {
                action: "removing a container".to_owned(),
                message: format!("not removed after {} s", REMOVED_WITHIN.as_secs()),
            }),
        }
    }

    async fn known_images(&self) -> Vec<String> {
        let all = self.client.list_images(None::<q::ListImagesOptions>).await.unwrap_or_default();
        all.into_iter().flat_map(|i| i.repo_tags).collect()
    }

    /// What the engine's list says of an image that it keeps with all its platforms (containerd's store): only such an
    /// engine describes what the name refers to (API 1.48, ImageInspect, Descriptor).
    async fn kept(&self, reference: &str, image: &ImageInspect) -> Kept {
        let Some(descriptor) = &image.descriptor else { return Kept::default() };
        // The filter takes names only, not ids.
        let id = image.id.as_deref().unwrap_or_default().trim_start_matches("sha256:");
        let by_id = reference.contains("sha256:") || id.starts_with(reference);
        let only = if by_id { HashMap::new() } else { filters(&[("reference", reference)]) };
        let options = q::ListImagesOptionsBuilder::new().all(true).manifests(true).filters(&only).build();
        let images = self.client.list_images(Some(options)).await.unwrap_or_default();
        let same = images.into_iter().filter(|i| image.id.as_ref() == Some(&i.id));
        // Attestations have neither a platform of their own nor image data.
        let described: Vec<_> =
            same.flat_map(|i| i.manifests.unwrap_or_default()).filter_map(|m| m.image_data).collect();
        let unpacked = described.iter().map(|data| data.size.unpacked).max().and_then(|n| u64::try_from(n).ok());
        let name = |p: bollard::models::OciPlatform| Some(format!("{}/{}", p.os?, p.architecture?));
        let is_index = descriptor.media_type.as_deref().is_none_or(|of| INDEXES.contains(&of));
        let mut platforms: Vec<String> =
            described.into_iter().filter(|_| is_index).filter_map(|data| name(data.platform)).collect();
        platforms.sort_unstable();
        platforms.dedup();
        Kept { platforms, unpacked: unpacked.filter(|bytes| *bytes > 0) }
    }
}

/// An image as an engine's list describes it.
#[derive(Default)]
struct Kept {
    /// The platforms of an index.
    platforms: Vec<String>,
    /// The size of its unpacked files in bytes: the image's own size counts the packed ones as well.
    unpacked: Option<u64>,
}

/// Media types of lists of images for several platforms; a name may also refer to an image by itself.
/// <https://github.com/opencontainers/image-spec/blob/main/media-types.md>
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];

/// Reports at once what is wrong with a socket: the client would only say "error in the client".
fn reachable(path: &str, host: &str) -> EngineResult<()> {
    connects(Path::new(path)).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => EngineError::Permission { host: host.to_owned() },
        _ => EngineError::NoEngine { host: host.to_owned(), cause: e.to_string() },
    })
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Credentials as the engine takes them.
fn in_request(credential: DockerCredential) -> DockerCredentials {
    match credential {
        DockerCredential::IdentityToken(token) => {
            DockerCredentials { identitytoken: Some(token), ..DockerCredentials::default() }
        }
        DockerCredential::UsernamePassword(username, password) => {
            DockerCredentials { username: Some(username), password: Some(password), ..DockerCredentials::default() }
        }
    }
}

fn filters<'a>(pairs: &[(&'a str, &'a str)]) -> HashMap<&'a str, Vec<&'a str>> {
    let mut map: HashMap<&str, Vec<&str>> = HashMap::new();
    for (key, value) in pairs {
        map.entry(key).or_default().push(value);
    }
    map
}

fn found(id: Option<String>, labels: Option<HashMap<String, String>>) -> Found {
    let labels = labels.unwrap_or_default().into_iter().collect();
    Found { id: id.unwrap_or_default(), labels, ..Found::default() }
}

#[async_trait]
impl Engine for DockerEngine {
    #[tracing::instrument(skip_all)]
    async fn info(&self) -> EngineResult<EngineInfo> {
        let asked = tokio::join!(self.client.version(), self.client.info());
        let version = asked.0.map_err(|e| self.error("identifying the engine", e))?;
        let api = version.api_version.unwrap_or_default();
        let number = |part: Option<&str>| part.and_then(|p| p.parse::<u32>().ok()).unwrap_or(0);
        let mut numbers = api.split('.');
        if (number(numbers.next()), number(numbers.next())) < LOWEST_API {
            return Err(EngineError::TooOld { host: self.host.clone(), found: api, needed: "1.41" });
        }
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|c| c.name.to_ascii_lowercase().contains("podman"));
        self.is_podman.store(podman, Ordering::Relaxed);
        let info = asked.1.map_err(|e| self.error("identifying the engine", e))?;
        let parts = parts(&info);
        let is_v2 = info.cgroup_version.is_some_and(|version| version.to_string() == "2");
        let id = info.id.filter(|id| !podman && !id.is_empty());
        let id = id.unwrap_or_else(|| format!("{} {}", self.host, info.name.unwrap_or_default()));
        Ok(EngineInfo {
            id,
            parts,
            name: if podman { "Podman" } else { "Docker" }.to_owned(),
            version: version.version.unwrap_or_default(),
            api,
            platform: format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default()),
            kernel: format!(
                "{}, cgroup v{}",
                info.kernel_version.unwrap_or_else(|| "unknown".to_owned()),
                info.cgroup_version.map_or_else(|| "1".to_owned(), |v| v.to_string())
            ),
            memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0),
            cpus: info.ncpu.and_then(|n| usize::try_from(n).ok()).unwrap_or(1).max(1),
            joins_current_namespace: !podman,
            // An engine that does not mention a feature has it.
            // Podman denies it on cgroup v2, where its limits work.
            cpu_limit: info.cpu_cfs_quota.unwrap_or(true) || (podman && is_v2),
            memory_limit: info.memory_limit.unwrap_or(true),
            unsets_variables: !podman,
            read_only_root: !podman,
            shares_names: !podman,
            fills_at_create: !podman,
        })
    }

    #[tracing::instrument(skip_all)]
    async fn clock_us(&self) -> EngineResult<Option<i64>> {
        let info = self.client.info().await.map_err(|e| self.error("reading the engine's clock", e))?;
        Ok(micros(info.system_time))
    }

    #[tracing::instrument(skip_all)]
    async fn inspect_image(&self, reference: &str) -> EngineResult<ImageFacts> {
        let image = match self.client.inspect_image(reference).await {
            Ok(image) => image,
            Err(Cause::DockerResponseServerError { status_code: 404, .. }) => {
                let names = self.known_images().await;
                let near = nearest_name(reference, &names).map(ToOwned::to_owned);
                return Err(EngineError::ImageNotFound { name: reference.to_owned(), nearest: near });
            }
            Err(e) => return Err(self.error("inspecting an image", e)),
        };
        let kept = self.kept(reference, &image).await;
        let size = image.size.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        let config = image.config.unwrap_or_default();
        let mut volumes = config.volumes.unwrap_or_default();
        volumes.sort_unstable();
        Ok(ImageFacts {
            reference: reference.to_owned(),
            id: ImageId(image.id.unwrap_or_default()),
            digests: image.repo_digests.unwrap_or_default(),
            os: image.os.unwrap_or_default(),
            architecture: image.architecture.unwrap_or_default(),
            entrypoint: config.entrypoint.unwrap_or_default(),
            cmd: config.cmd.unwrap_or_default(),
            env: env_map(&config.env.unwrap_or_default()),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            workdir: config.working_dir.unwrap_or_default(),
            user: config.user.unwrap_or_default(),
            size: kept.unpacked.unwrap_or(size),
            platforms: kept.platforms,
            volumes,
            layers: image.root_fs.and_then(|files| files.layers).unwrap_or_default(),
        })
    }

    #[tracing::instrument(skip_all)]
    async fn load_image(&self, archive: &Path) -> EngineResult<()> {
        let options = q::ImportImageOptionsBuilder::new().quiet(true).build();
        let file = tokio::fs::File::open(archive).await.map_err(|e| broken_file("loading", archive, &e))?;
        let client = self.client.clone().with_timeout(LOAD_WITHIN);
        let result: Result<Vec<_>, _> =
            client.import_image_stream(options, file_chunks(file), None).try_collect().await;
        result.map(drop).map_err(|e| match e {
            Cause::DockerStreamError { error } => refused("loading an image".to_owned(), 500, error),
            e => self.error("loading an image", e),
        })
    }

    #[tracing::instrument(skip_all)]
    async fn save_image(&self, reference: &str, to: &Path) -> EngineResult<()> {
        let mut file = tokio::fs::File::create(to).await.map_err(|e| broken_file("saving", to, &e))?;
        let mut stream = std::pin::pin!(self.client.export_image(reference));
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| self.error("saving an image", e))?;
            file.write_all(&chunk).await.map_err(|e| broken_file("saving", to, &e))?;
        }
        file.flush().await.map_err(|e| broken_file("saving", to, &e))
    }

    #[tracing::instrument(skip_all)]
    async fn pull_image(&self, reference: &str, platform: &str) -> EngineResult<()> {
        // Without a tag the engine would pull all of them.
        let name = with_tag(reference);
        let options = q::CreateImageOptionsBuilder::new().from_image(&name).platform(platform).build();
        let refused = |message: String, has_credentials: bool| EngineError::NotPulled {
            name: reference.to_owned(),
            message,
            has_credentials,
        };
        let credentials = credentials_for(reference).await.map_err(|e| refused(e, true))?;
        let has_credentials = credentials.is_some();
        let client = self.client.clone().with_timeout(LOAD_WITHIN);
        let pulled = client.create_image(Some(options), None, credentials.map(in_request));
        let result: Result<Vec<_>, _> = pulled.try_collect().await;
        result.map(drop).map_err(|e| match e {
            Cause::DockerStreamError { error: message }
            | Cause::DockerResponseServerError { status_code: _, message } => refused(message, has_credentials),
            e => self.error(&format!("pulling {reference}"), e),
        })
    }

    #[tracing::instrument(skip_all)]
    async fn tag_image(&self, from: &str, to: &str) -> EngineResult<()> {
        let (repository, tag) = to.rsplit_once(':').unwrap_or((to, "latest"));
        let options = q::TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.client.tag_image(from, Some(options)).await.map_err(|e| self.error("tagging an image", e))
    }

    #[tracing::instrument(skip_all)]
    async fn remove_image(&self, reference: &str) -> EngineResult<()> {
        let options = q::RemoveImageOptionsBuilder::new().force(true).build();
        match self.client.remove_image(reference, Some(options), None).await {
            Ok(_) | Err(Cause::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(e) => Err(self.error("removing an image", e)),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn images(&self, label: &str) -> EngineResult<Vec<Found>> {
        let options = q::ListImagesOptionsBuilder::new().filters(&filters(&[("label", label)])).build();
        let images = self.client.list_images(Some(options)).await.map_err(|e| self.error("listing images", e))?;
        // Podman's registry for images that have none.
        let registry = if self.is_podman() { "localhost/" } else { "" };
        let named = |i: bollard::models::ImageSummary| {
            let names = i.repo_tags.into_iter().filter(|name| name != "<none>:<none>");
            let names = names.map(|name| name.strip_prefix(registry).unwrap_or(&name).to_owned()).collect();
            Found { names, ..found(Some(i.id), Some(i.labels)) }
        };
        Ok(images.into_iter().map(named).collect())
    }

    #[tracing::instrument(skip_all)]
    async fn create(&self, spec: &ContainerSpec) -> EngineResult<String> {
        let body = body(spec, self.is_podman());
        match self.client.create_container(None::<q::CreateContainerOptions>, body).await {
            Ok(created) => Ok(created.id),
            Err(e) => Err(start_error(self.error("creating a container", e))),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn attach(&self, id: &str, stdin: bool) -> EngineResult<Attached> {
        let options =
            q::AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).stdin(stdin).build();
        // Podman looks for the program here, other engines when it starts.
        let attached = self.client.attach_container(id, Some(options)).await;
        let attached = attached.map_err(|e| start_error(self.error("attaching", e)))?;
        Ok(Attached { output: Box::pin(outputs(attached.output)), input: attached.input })
    }

    #[tracing::instrument(skip_all)]
    async fn start(&self, id: &str) -> EngineResult<()> {
        let started = self.client.start_container(id, None::<q::StartContainerOptions>).await;
        started.map_err(|e| start_error(self.error("starting a container", e)))
    }

    #[tracing::instrument(skip_all)]
    async fn exec(&self, container: &str, command: &[&str]) -> EngineResult<Attached> {
        streams::exec(&self.client, container, command)
            .await
            .map_err(|e| self.error("running a command in a container", e))
    }

    #[tracing::instrument(skip_all)]
    async fn state(&self, id: &str) -> EngineResult<ContainerState> {
        let inspected = self.client.inspect_container(id, None::<q::InspectContainerOptions>).await;
        let state = match inspected {
            Ok(container) => container.state.unwrap_or_default().into(),
            Err(e) => lenient::<Inspected>(e).map_err(|e| self.error("inspecting a container", e))?.state,
        };
        Ok(ContainerState {
            running: state.running,
            exit_code: state.exit_code,
            oom_killed: state.oom_killed,
            started_at_us: micros(state.started_at),
            finished_at_us: micros(state.finished_at),
        })
    }

    #[tracing::instrument(skip_all)]
    async fn kill(&self, id: &str, signal: &str) -> EngineResult<()> {
        let options = q::KillContainerOptionsBuilder::new().signal(signal).build();
        match self.client.kill_container(id, Some(options)).await {
            // 409: it is not running.
            Ok(()) | Err(Cause::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(e) => Err(self.error("signalling a container", e)),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn remove(&self, id: &str) -> EngineResult<()> {
        let options = q::RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.client.remove_container(id, Some(options)).await {
            Ok(()) | Err(Cause::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            // It is already being removed: its resources are free only when that has finished.
            Err(Cause::DockerResponseServerError { status_code: 409, .. }) => self.removed(id).await,
            Err(e) => Err(self.error("removing a container", e)),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn containers(&self, label: &str) -> EngineResult<Vec<Found>> {
        let options = q::ListContainersOptionsBuilder::new().all(true).filters(&filters(&[("label", label)])).build();
        let all: Vec<Listed> = match self.client.list_containers(Some(options)).await {
            Ok(all) => all.into_iter().map(Into::into).collect(),
            Err(e) => lenient(e).map_err(|e| self.error("listing containers", e))?,
        };
        let listed = |c: Listed| Found {
            image: c.image,
            running: c.state == "running",
            created_us: c.created.map(|seconds| seconds * 1_000_000),
            ..found(Some(c.id), c.labels)
        };
        Ok(all.into_iter().map(listed).collect())
    }

    #[tracing::instrument(skip_all)]
    async fn stat(&self, container: &str, path: &str) -> EngineResult<Option<FileStat>> {
        let options = q::ContainerArchiveInfoOptionsBuilder::new().path(path).build();
        match self.client.get_container_archive_info(container, Some(options)).await {
            Ok(stat) => Ok(Some(FileStat::new(stat.file_mode, stat.size, &stat.link_target))),
            Err(Cause::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(e) => Err(self.error("inspecting a file of a container", e)),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn archive_start(&self, container: &str, path: &str, most: usize) -> EngineResult<Option<Vec<u8>>> {
        let options = q::DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut stream = std::pin::pin!(self.client.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        // The rest of a large file is not fetched: dropping the stream ends it.
        while archive.len() < most {
            match stream.next().await {
                Some(Ok(chunk)) => archive.extend_from_slice(&chunk),
                Some(Err(Cause::DockerResponseServerError { status_code: 404, .. })) => return Ok(None),
                Some(Err(e)) => return Err(self.error("reading a file of a container", e)),
                None => break,
            }
        }
        Ok(Some(archive))
    }

    fn export(&self, container: &str) -> Pin<Box<dyn Stream<Item = EngineResult<Bytes>> + Send>> {
        let broken =
            |e: Cause| EngineError::Broken { action: "reading an image's files".to_owned(), message: chain(&e) };
        Box::pin(self.client.export_container(container).map_err(broken))
    }

    #[tracing::instrument(skip_all)]
    async fn create_volume(&self, name: &str, labels: &BTreeMap<String, String>, memory: bool) -> EngineResult<String> {
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=50%")];
        let request = VolumeCreateRequest {
            driver_opts: memory.then(|| options.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..Default::default()
        };
        let created = self.client.create_volume(request).await.map_err(|e| self.error("creating a volume", e))?;
        Ok(created.mountpoint)
    }

    #[tracing::instrument(skip_all)]
    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        let options = q::RemoveVolumeOptionsBuilder::new().force(true).build();
        match self.client.remove_volume(name, Some(options)).await {
            Ok(()) | Err(Cause::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(Cause::DockerResponseServerError { status_code: 409, message }) => {
                Err(EngineError::InUse { action: "removing a volume".to_owned(), message })
            }
            Err(e) => Err(self.error("removing a volume", e)),
        }
    }

    #[tracing::instrument(skip_all)]
    async fn volumes(&self, label: &str) -> EngineResult<Vec<Found>> {
        let options = q::ListVolumesOptionsBuilder::new().filters(&filters(&[("label", label)])).build();
        let all = self.client.list_volumes(Some(options)).await.map_err(|e| self.error("listing volumes", e))?;
        // The type of `created_at` depends on client features that other crates may enable; its JSON does not.
        let created =
            |v: &bollard::models::Volume| serde_json::to_value(v).ok()?["CreatedAt"].as_str().map(str::to_owned);
        let listed = |v: bollard::models::Volume| Found {
            created_us: micros(created(&v)),
            ..found(Some(v.name), Some(v.labels))
        };
        Ok(all.volumes.unwrap_or_default().into_iter().map(listed).collect())
    }

    fn image_names(&self) -> Pin<Box<dyn Stream<Item = EngineResult<String>> + Send>> {
        Box::pin(streams::image_names(&self.client))
    }

    fn events(&self, label: &str) -> Pin<Box<dyn Stream<Item = EngineResult<EngineEvent>> + Send>> {
        let is_podman = self.is_podman();
        // The times of Podman's events are untried: it is asked for the state instead.
        let events = if is_podman { &["die"][..] } else { &["start", "oom", "die"] };
        let mut wanted = vec![("type", "container"), ("label", label)];
        wanted.extend(events.iter().map(|event| ("event", *event)));
        let options = q::EventsOptionsBuilder::new().since("0").filters(&filters(&wanted)).build();
        // Podman ends the stream when it rotates its file of events, and no container ends with it. From the beginning
        // again, no end is missed.
        let client = self.client.clone();
        let streams = futures_util::stream::repeat_with(move || client.events(Some(options.clone())));
        let most = if is_podman { MOST_STREAMS } else { 1 };
        let ends = streams.take(most).flatten().scan(Running::default(), |running, item| {
            let end = match item {
                Ok(event) => running.on(event).map(Ok),
                Err(e) => {
                    Some(Err(EngineError::Broken { action: "following the events".to_owned(), message: chain(&e) }))
                }
            };
            std::future::ready(Some(end))
        });
        Box::pin(ends.filter_map(std::future::ready))
    }
}

fn broken_file(action: &str, path: &Path, error: &std::io::Error) -> EngineError {
    EngineError::Broken { action: format!("{action} {}", path.display()), message: error.to_string() }
}

/// A file as a stream of 256 KiB chunks.
fn file_chunks(file: tokio::fs::File) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures_util::stream::unfold(file, |mut file| async move {
        let mut chunk = vec![0; 256 << 10];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(n) => {
                chunk.truncate(n);
                Some((Ok(Bytes::from(chunk)), file))
            }
            Err(e) => Some((Err(e), file)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classifies_start_errors() {
        let code = |message: &str| match start_error(refused("starting".to_owned(), 400, message.to_owned())) {
            EngineError::CannotStart { exit_code, .. } => Ok(exit_code),
            other => Err(other),
        };
        assert_eq!(code(r#"exec: "nope": executable file not found in $PATH: unknown"#), Ok(Some(127)));
        assert_eq!(code(r#"exec: "/x": stat /x: no such file or directory: unknown"#), Ok(Some(127)));
        assert_eq!(code(r#"exec: "/etc": permission denied: unknown"#), Ok(Some(126)));
        assert_eq!(code("unable to find user ghost: no matching entries in passwd file"), Ok(None));
        assert_eq!(code("No command specified"), Ok(None));
        let user = "unable to find user ghost: no matching entries in passwd file";
        assert_eq!(code(user), Ok(None));
        assert_eq!(code(r#"chdir to cwd ("/x") set in config.json failed: no such file or directory"#), Ok(None));
        assert_eq!(code("exec /app: exec format error"), Ok(Some(1)));
        assert_eq!(code("crun: executable file `nope` not found in $PATH: No such file or directory"), Ok(Some(127)));
        // Similar errors of the engine itself.
        for message in [
            "cannot join network of a non running container",
            "namespace path: lstat /proc/7/ns/net: no such file or directory",
            "apparmor failed to apply profile: write /proc/self/attr/apparmor/exec: no such file or directory",
            "error mounting \"/var/lib/docker/x\": permission denied",
            "mkdir /sys/fs/cgroup/x: permission denied",
        ] {
            assert!(code(message).is_err(), "{message}");
        }
        let full = refused("creating".to_owned(), 500, "write /x: no space left on device".to_owned());
        assert!(matches!(start_error(full), EngineError::DiskFull { .. }));
    }
}
