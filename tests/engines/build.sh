#!/usr/bin/env bash
# Builds what the matrix boots: the kernel (user-mode Linux) and a disk for each Debian release, with Docker and Podman.
#
#   tests/engines/build.sh FOLDER [RELEASE…]      releases: bookworm (Docker 20.10, Podman 4.3),
#                                             trixie (Docker 26.1, Podman 5.4), sid (Docker 28.5, Podman 5.8),
#                                             trixie-arm64 (Docker 26.1; takes minutes more, and runs slowly)
#
# Needs root, mmdebstrap, mke2fs and a Debian mirror; takes a few minutes and about 3 GB of FOLDER. For arm64 it also
# needs qemu-user-static, and the matrix qemu-system-arm.
set -euo pipefail
folder=${1:?usage: build.sh FOLDER [RELEASE…]}
shift
releases=("$@")
[ $# != 0 ] || releases=(bookworm trixie sid)
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

base=(systemd-sysv dbus iproute2 iptables kmod procps ca-certificates openssh-server openssl docker.io)
rootless=(dbus-user-session libpam-systemd rootlesskit slirp4netns fuse-overlayfs uidmap podman netavark aardvark-dns crun passt)
# A kernel of its own, and programs for amd64 under emulation.
emulated=(linux-image-arm64 initramfs-tools qemu-user qemu-user-binfmt)

# Programs for arm64 run on this machine while their packages are configured.
emulator=/proc/sys/fs/binfmt_misc/qemu-aarch64
registered=
emulate() {
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ ! -e "$emulator" ] || return 0
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >/proc/sys/fs/binfmt_misc/register
    registered=1
}
# This machine's own candidates must not run under it.
no_emulation() { [ -z "$registered" ] || echo -1 >"$emulator"; }
trap no_emulation EXIT

for release in "${releases[@]}"; do
    [ ! -e "$release.disk" ] || continue
    root=$(mktemp -d "$PWD/$release.XXXXXX")
    suite=${release%-arm64}
    packages=("${base[@]}")
    [ "$suite" = bookworm ] || packages+=(docker-cli)
    if [ "$suite" = "$release" ]; then
        architecture=amd64 link=vec0 disk=/dev/ubda
        packages+=("${rootless[@]}")
    else
        architecture=arm64 link=eth0 disk=/dev/vda
        packages+=("${emulated[@]}")
        emulate
    fi
    include=$(IFS=,; echo "${packages[*]}")
    "${fetch[@]}" --variant=minbase --architectures="$architecture" --include="$include" "$suite" "$root"
    if [ $architecture = amd64 ]; then
        install -d "$root/usr/lib/modules"
        cp -a "$modules" "$root/usr/lib/modules/"
        chroot "$root" depmod "$(basename "$modules")"
    else
        cp "$root"/boot/vmlinuz-* "$release.kernel"
        cp "$root"/boot/initrd.img-* "$release.initrd"
    fi
    install -d -m 700 "$root/root/.ssh"
    install -m 600 key.pub "$root/root/.ssh/authorized_keys"
    echo "engine-$release" >"$root/etc/hostname"
    echo "$disk / ext4 defaults 0 1" >"$root/etc/fstab"
    cat >"$root/etc/systemd/system/link.service" <<UNIT
[Unit]
Before=network.target

[Service]
Type=oneshot
ExecStart=ip link set $link up
ExecStart=ip address add 10.99.0.2/24 dev $link

[Install]
WantedBy=multi-user.target
UNIT
    if [ $architecture = amd64 ]; then
        # A user without rights, whose engines are rootless.
        chroot "$root" useradd --create-home --shell /bin/bash ann
        install -d -m 700 -o 1000 -g 1000 "$root/home/ann/.ssh"
        install -m 600 -o 1000 -g 1000 key.pub "$root/home/ann/.ssh/authorized_keys"
        install -d "$root/var/lib/systemd/linger"
        touch "$root/var/lib/systemd/linger/ann"
        # Limits reach a user's containers only where the controllers are delegated.
        install -d "$root/etc/systemd/system/user@.service.d"
        printf '[Service]\nDelegate=cpu cpuset io memory pids\n' >"$root/etc/systemd/system/user@.service.d/delegate.conf"
    fi
    chroot "$root" systemctl enable -q link ssh
    for unit in docker docker.socket containerd podman podman.socket podman-auto-update.timer podman-restart; do
        ! chroot "$root" systemctl cat "$unit" >/dev/null 2>&1 || chroot "$root" systemctl disable -q "$unit"
    done
    # A kernel without these makes them fail for nothing.
    [ $architecture = arm64 ] || chroot "$root" systemctl mask -q systemd-modules-load
    chroot "$root" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer getty@tty1
    truncate -s 14G "$release.disk.new"
    mke2fs -q -t ext4 -d "$root" "$release.disk.new"
    mv "$release.disk.new" "$release.disk"
    rm -rf "$root"
done
