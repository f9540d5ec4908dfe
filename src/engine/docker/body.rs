//! A container as a request to create it.

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, ResourcesUlimits,
};

use super::super::{ContainerSpec, Network, VolumeMount};

pub(super) fn body(spec: &ContainerSpec, is_podman: bool) -> ContainerCreateBody {
    let holder = spec.holder.as_ref();
    let mount = |volume: &VolumeMount| Mount {
        target: Some(volume.target.clone()),
        source: Some(volume.name.clone()),
        typ: Some(MountType::VOLUME),
        read_only: Some(volume.read_only),
        volume_options: Some(MountVolumeOptions { no_copy: Some(!volume.copy), ..Default::default() }),
        ..Default::default()
    };
    // A volume of its own: runc gives a `tmpfs` the mode of the image's folder, if there is one. Podman does not.
    let empty = |path: &String| Mount {
        target: Some(path.clone()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(spec.labels.clone().into_iter().collect()),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(
                    [("type", "tmpfs"), ("device", "tmpfs"), ("o", "mode=1777")]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .into(),
                ),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let empties = spec.empty_folders.iter().filter(|_| !is_podman);
    let limit = |files: u64| i64::try_from(files).unwrap_or(i64::MAX);
    let ulimit = |n| ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(limit(n)), hard: Some(limit(n)) };
    let groups = holder.and_then(|h| h.groups.as_ref());
    let names = spec.names.as_ref();
    let host_config = HostConfig {
        network_mode: Some(match &spec.network {
            Network::None => "none".to_owned(),
            Network::Container(id) => format!("container:{id}"),
        }),
        mounts: Some(spec.volumes.iter().map(mount).chain(empties.map(empty)).collect()),
        binds: Some(
            (groups.map(|target| format!("/sys/fs/cgroup:{target}:ro")).into_iter())
                .chain(names.iter().flat_map(|names| &names.files).map(|(from, to)| format!("{from}:{to}:ro")))
                .collect(),
        ),
        ulimits: spec.nofile.map(|n| vec![ulimit(n)]),
        readonly_rootfs: Some(spec.read_only),
        tmpfs: (is_podman && !spec.empty_folders.is_empty())
            .then(|| spec.empty_folders.iter().map(|path| (path.clone(), "mode=1777".to_owned())).collect()),
        nano_cpus: spec.cpu_milli.map(|milli| i64::from(milli) * 1_000_000),
        memory: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
        memory_swap: spec.memory.and_then(|bytes| i64::try_from(bytes).ok()),
        // Output is read from the attached stream; a log file on the engine would be useless.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        // SYS_ADMIN creates the namespaces, NET_ADMIN configures them, NET_RAW (not a default everywhere) taps them.
        // The profiles would forbid writing /proc/sys/net.
        cap_add: holder.map(|h| {
            let all = ["SYS_ADMIN", "NET_ADMIN", "NET_RAW"].map(ToOwned::to_owned).to_vec();
            if h.network { all } else { all[..1].to_vec() }
        }),
        security_opt: holder.map(|h| {
            let mut options = vec!["apparmor=unconfined".to_owned(), "label=disable".to_owned()];
            // Podman ignores `ReadonlyPaths`, and Docker knows no `unmask`.
            options.extend((is_podman && h.network).then(|| "unmask=/proc/sys".to_owned()));
            options
        }),
        readonly_paths: holder.filter(|h| h.network).map(|_| Vec::new()),
        dns: holder.map(|h| vec![h.dns.clone()]),
        dns_search: holder.map(|_| vec![".".to_owned()]),
        auto_remove: holder.map(|h| h.auto_remove),
        ..Default::default()
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        entrypoint: spec.entrypoint.clone(),
        user: spec.user.clone(),
        cmd: spec.cmd.clone(),
        env: Some(spec.env.clone()),
        hostname: holder.map(|h| &h.hostname).or(names.map(|names| &names.hostname)).cloned(),
        open_stdin: Some(holder.is_some()),
        stdin_once: Some(holder.is_some()),
        attach_stdin: Some(holder.is_some()),
        // Podman waits this many seconds before it removes by force.
        stop_timeout: Some(0),
        // App Runner ignores HEALTHCHECK.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        host_config: Some(host_config),
        ..Default::default()
    }
}
