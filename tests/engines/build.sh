#!/usr/bin/env bash
# Builds what the matrix boots: the kernel (user-mode Linux) and a disk for each Debian release, with Docker and Podman.
#
#   tests/engines/build.sh FOLDER [RELEASE…]      releases: trixie (Docker 26.1, Podman 5.4), sid (Docker 28.5, Podman 5.8)
#
# Needs root, mmdebstrap, mke2fs and a Debian mirror; takes a few minutes and about 3 GB of FOLDER.
set -euo pipefail
folder=${1:?usage: build.sh FOLDER [RELEASE…]}
shift
releases=("${@:-trixie}")
[ $# != 0 ] || releases=(trixie sid)
mkdir -p "$folder"
cd "$folder"

# A mirror that is a few weeks old is good enough here.
fetch=(mmdebstrap --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"')

if [ ! -e kernel ]; then
    "${fetch[@]}" --variant=extract --include=user-mode-linux sid kernel.new
    # It runs in this folder as its root: the C library of the host may be too old for it.
    ln -s usr/lib kernel.new/lib
    ln -s usr/lib/x86_64-linux-gnu kernel.new/lib64
    mkdir -p kernel.new/{proc,dev/shm,tmp,disks}
    mv kernel.new kernel
fi
modules=$(echo "$PWD"/kernel/usr/lib/uml/modules/*)

[ -e key ] || ssh-keygen -q -t ed25519 -N '' -C engines -f key

packages=(systemd-sysv dbus dbus-user-session libpam-systemd iproute2 iptables kmod procps ca-certificates openssh-server openssl
    docker.io docker-cli rootlesskit slirp4netns fuse-overlayfs uidmap
    podman netavark aardvark-dns crun passt)

for release in "${releases[@]}"; do
    [ ! -e "$release.disk" ] || continue
    root=$(mktemp -d "$PWD/$release.XXXXXX")
    "${fetch[@]}" --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$release" "$root"
    install -d "$root/usr/lib/modules"
    cp -a "$modules" "$root/usr/lib/modules/"
    chroot "$root" depmod "$(basename "$modules")"
    install -d -m 700 "$root/root/.ssh"
    install -m 600 key.pub "$root/root/.ssh/authorized_keys"
    echo "engine-$release" >"$root/etc/hostname"
    echo '/dev/ubda / ext4 defaults 0 1' >"$root/etc/fstab"
    cat >"$root/etc/systemd/system/vec0.service" <<'UNIT'
[Unit]
Before=network.target

[Service]
Type=oneshot
ExecStart=ip link set vec0 up
ExecStart=ip address add 10.99.0.2/24 dev vec0

[Install]
WantedBy=multi-user.target
UNIT
    # A user without rights, whose engines are rootless.
    chroot "$root" useradd --create-home --shell /bin/bash ann
    install -d -m 700 -o 1000 -g 1000 "$root/home/ann/.ssh"
    install -m 600 -o 1000 -g 1000 key.pub "$root/home/ann/.ssh/authorized_keys"
    install -d "$root/var/lib/systemd/linger"
    touch "$root/var/lib/systemd/linger/ann"
    # Limits reach a user's containers only where the controllers are delegated.
    install -d "$root/etc/systemd/system/user@.service.d"
    printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
    chroot "$root" systemctl enable -q vec0 ssh
    chroot "$root" systemctl disable -q docker docker.socket containerd podman podman.socket podman-auto-update.timer podman-restart
    # A kernel without these makes them fail for nothing.
    chroot "$root" systemctl mask -q systemd-modules-load apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer getty@tty1
    truncate -s 14G "$release.disk.new"
    mke2fs -q -t ext4 -d "$root" "$release.disk.new"
    mv "$release.disk.new" "$release.disk"
    rm -rf "$root"
done
