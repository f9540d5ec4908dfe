"""Where an engine of the matrix runs: a small virtual machine, or namespaces on this machine."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time

NAMESPACE = "exitone-engines"
BOOT_S = 600
ROOTLESS = "/run/user/1000"


@contextlib.contextmanager
def ends_unless_it_starts(machine):
    """`with` ends only a machine that has started."""
    try:
        yield
    except BaseException:
        machine.__exit__()
        raise


class Machine:
    """A virtual machine with an engine. It ends with `with`."""

    address = "10.99.0.2"

    def __init__(self, folder, row):
        self.folder, self.row = folder, row
        self.disk = f"running-{row.name}.disk"
        self.children = []

    def __enter__(self):
        make_namespace()
        subprocess.run(["cp", "--sparse=always", f"{self.row.release}.disk", self.disk], cwd=self.folder, check=True)
        log = open(self.folder / "rows" / f"{self.row.name}.boot.log", "wb")
        command = inside(self.boot())
        self.children.append(subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, start_new_session=True))
        with ends_unless_it_starts(self):
            until(BOOT_S, lambda: self.ssh("true", check=False).returncode == 0, "the machine answers")
        return self

    def boot(self):
        """The command that boots the machine in this folder."""
        script = self.folder / "boot.sh"
        script.write_text(BOOT)
        return ["unshare", "--mount", "bash", str(script), self.disk]

    def __exit__(self, *_):
        for child in reversed(self.children):
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
        (self.folder / self.disk).unlink(missing_ok=True)

    def ssh_options(self):
        known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        return ["-i", str(self.folder / "key"), *known, "-o", "ConnectTimeout=3"]

    def ssh(self, command, user="root", check=True):
        words = ["ssh", *self.ssh_options(), f"{user}@{self.address}", command]
        return subprocess.run(inside(words), stdin=subprocess.DEVNULL, text=True, capture_output=True, check=check)

    def configure(self):
        # The kernel has no NAT; candidates do not need the bridge.
        config = json.dumps({"iptables": False, "ip6tables": False, "bridge": "none", **self.row.daemon})
        self.ssh(f"mkdir -p /etc/docker; echo {shlex.quote(config)} >/etc/docker/daemon.json")

    def start(self):
        """Starts the engine; returns the environment in which a client reaches it."""
        row = self.row
        self.configure()
        if row.environment:
            lines = "".join(f"Environment={name}={value}\n" for name, value in row.environment.items())
            self.ssh("mkdir -p /etc/systemd/system/docker.service.d; cat >/etc/systemd/system/docker.service.d/environment.conf"
                     f" <<'END'\n[Service]\n{lines}END\nsystemctl daemon-reload")
        if row.reach == "tls":
            self.ssh(certificates(self.address))
            self.ssh("mkdir -p /etc/systemd/system/docker.service.d; printf '[Service]\\nExecStart=\\nExecStart="
                     f"/usr/sbin/dockerd -H fd:// {TLS}\\n' >/etc/systemd/system/docker.service.d/tls.conf;"
                     "systemctl daemon-reload")
        environment = "XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "
        prefix = environment if row.user != "root" else ""
        self.ssh(prefix + row.start, user=row.user)
        until(60, lambda: self.ssh(f"test -S {row.socket}", user=row.user, check=False).returncode == 0, "the socket is there")
        self.version = self.ssh(prefix + (f"DOCKER_HOST=unix://{row.socket} " if "docker" in row.version else "")
                                + row.version, user=row.user).stdout.strip()
        if row.reach == "tls":
            return self.over_tls()
        if row.reach == "ssh":
            return self.over_ssh()
        local = self.folder / f"{row.name}.sock"
        local.unlink(missing_ok=True)
        forward = ["ssh", "-N", *self.ssh_options(), "-L", f"{local}:{row.socket}", f"{row.user}@{self.address}"]
        self.children.append(subprocess.Popen(inside(forward), stdin=subprocess.DEVNULL, start_new_session=True))
        until(20, local.exists, "the forwarded socket is there")
        return {"DOCKER_HOST": f"unix://{local}"}

    def over_tls(self):
        """The environment of a client with the certificates that `certificates` made."""
        tls = self.folder / "tls"
        shutil.rmtree(tls, ignore_errors=True)
        tls.mkdir()
        for name in ("ca.pem", "cert.pem", "key.pem"):
            (tls / name).write_text(self.ssh(f"cat /tls/client-{name}" if name != "ca.pem" else "cat /tls/ca.pem").stdout)
        return {"DOCKER_HOST": f"tcp://{self.address}:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tls)}

    def over_ssh(self):
        """The environment of a client whose `ssh` finds the key: it takes its options from a wrapper."""
        wrapper = self.folder / "bin"
        wrapper.mkdir(exist_ok=True)
        ssh = wrapper / "ssh"
        ssh.write_text("#!/bin/sh\nexec /usr/bin/ssh " + shlex.join(self.ssh_options()) + ' "$@"\n')
        ssh.chmod(0o755)
        return {"DOCKER_HOST": f"ssh://root@{self.address}", "PATH": f"{wrapper}:{os.environ['PATH']}"}


class Emulated(Machine):
    """A virtual machine of another architecture: every instruction is emulated, about twenty times slower."""

    def boot(self):
        release = self.row.release
        return ["qemu-system-aarch64", "-machine", "virt", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "3G", "-nographic",
                "-kernel", f"{release}.kernel", "-initrd", f"{release}.initrd",
                "-append", "root=/dev/vda rw net.ifnames=0 console=ttyAMA0 quiet",
                "-drive", f"file={self.disk},format=raw,if=virtio,cache=unsafe",
                "-netdev", "tap,id=net0,ifname=tap0,script=no,downscript=no", "-device", "virtio-net-pci,netdev=net0,romfile="]


# The machine's files are in a chroot, because the kernel needs a newer C library than most hosts have.
BOOT = """\
set -e
mount --make-rprivate /
mount -t proc proc kernel/proc
mount --bind /dev kernel/dev
mount -t tmpfs tmpfs kernel/tmp
mount -t tmpfs -o size=4g tmpfs kernel/dev/shm
mount --bind . kernel/disks
HOME=/tmp exec chroot kernel /usr/bin/linux.uml ubd0=/disks/$1 root=/dev/ubda rw mem=3G \\
    vec0:transport=tap,ifname=tap0 net.ifnames=0 con0=null,fd:1 con=null
"""

# What dockerd is told to be reached over TLS.
TLS = "-H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/tls/ca.pem --tlscert=/tls/cert.pem --tlskey=/tls/key.pem"


def certificates(address):
    """A script that makes a certificate authority, and a server and a client of it."""
    return f"""
set -e; mkdir -p /tls; cd /tls
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=engines -keyout ca-key.pem -out ca.pem 2>/dev/null
sign() {{ openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $2key.pem -out $2csr.pem 2>/dev/null
          printf "subjectAltName=IP:{address}\\nextendedKeyUsage=$3\\n" >$2ext
          openssl x509 -req -in $2csr.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -extfile $2ext -out $2cert.pem 2>/dev/null; }}
sign server '' serverAuth; sign client client- clientAuth
"""


def inside(words):
    return ["ip", "netns", "exec", NAMESPACE, *words]


def make_namespace():
    """A network namespace with a tap device and no way out."""
    if NAMESPACE in subprocess.run(["ip", "netns", "list"], text=True, capture_output=True).stdout.split():
        return
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    for words in ("link set lo up", "tuntap add tap0 mode tap", "addr add 10.99.0.1/24 dev tap0", "link set tap0 up"):
        subprocess.run(inside(["ip", *words.split()]), check=True)


def until(seconds, is_so, what):
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.5)


def client(words, env):
    """A command in the namespace that reaches the engine. `ip netns exec` and `env` become the command."""
    return inside(["env", *(f"{name}={value}" for name, value in env.items()), *map(str, words)])


class Here(Machine):
    """The same file system on this machine, in namespaces of its own: this machine's kernel and control
    groups, and its speed. There is no systemd in it, so the engine is started by hand."""

    address = "10.99.1.2"

    def __enter__(self):
        make_namespace()
        self.place = self.folder / "here" / self.row.name
        shutil.rmtree(self.place, ignore_errors=True)
        for name in ("lower", "over", "root", "sockets", "docker", "containerd", "containers", "home"):
            (self.place / name).mkdir(parents=True)
        script = self.place / "enter.sh"
        script.write_text(ENTER)
        log = open(self.folder / "rows" / f"{self.row.name}.boot.log", "wb")
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", str(script),
                   str(self.folder / f"{self.row.release}.disk")]
        self.children.append(subprocess.Popen(command, cwd=self.place, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                              start_new_session=True))
        with ends_unless_it_starts(self):
            until(20, (self.place / "sockets/ready").exists, "the file system is there")
            # What unshare started is the first process of the namespaces.
            self.first = subprocess.run(["pgrep", "-P", str(self.children[0].pid)], text=True, capture_output=True,
                                        check=True).stdout.split()[0]
            if self.row.reach != "socket":
                # It ends with the namespace that its other end is in, and that takes a moment.
                subprocess.run(inside(["ip", "link", "del", "here0"]), stderr=subprocess.DEVNULL, check=False)
                for words in (f"link add here0 type veth peer name eth0 netns {self.first}",
                              "addr add 10.99.1.1/24 dev here0", "link set here0 up"):
                    subprocess.run(inside(["ip", *words.split()]), check=True)
                self.ssh(f"ip addr add {self.address}/24 dev eth0; ip link set eth0 up")
        return self

    def __exit__(self, *_):
        # With its first process, everything in the namespace of processes ends.
        for child in reversed(self.children):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def ssh(self, command, user="root", check=True):
        enter = ["nsenter", "--target", self.first, "--mount", "--net", "--pid", "--wd"]
        words = enter + ["su", user, "-s", "/bin/sh", "-c", command]
        return subprocess.run(words, stdin=subprocess.DEVNULL, text=True, capture_output=True, check=check)

    def start(self):
        row = self.row
        socket = self.place / "sockets" / "engine.sock"
        environment = {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1", **row.environment}
        if row.user != "root":
            environment["XDG_RUNTIME_DIR"] = ROOTLESS
        prefix = " ".join(f"{name}={value}" for name, value in environment.items()) + " "
        self.configure()
        command = (f"podman --cgroup-manager=cgroupfs --events-backend=file system service --time=0 unix:///sockets/{socket.name}"
                   if "podman" in row.start else f"dockerd -H unix:///sockets/{socket.name}")
        if row.reach == "tls":
            self.ssh(certificates(self.address))
            command += f" {TLS}"
        if row.reach == "ssh":
            # A server with the limits that it has by default.
            self.ssh("mkdir -p /run/sshd; /usr/sbin/sshd")
            command += f" -H unix://{row.socket}"
        self.ssh(prefix + f"setsid {command} >/sockets/engine.log 2>&1 &", user=row.user)
        until(60, socket.exists, "the engine's socket is there")
        version = "podman version --format '{{.Client.Version}}'" if "podman" in row.start else (
            f"docker -H unix:///sockets/{socket.name} version --format '{{{{.Server.Version}}}}'")
        self.version = self.ssh(prefix + version, user=row.user).stdout.strip()
        if row.reach == "tls":
            return self.over_tls()
        if row.reach == "ssh":
            return self.over_ssh()
        return {"DOCKER_HOST": f"unix://{socket}"}


# Data folders of the engines lie on the disk itself: an overlay cannot lie on an overlay.
ENTER = """\
set -e
mount --make-rprivate /
mount -o loop,ro "$1" lower
mount -t tmpfs tmpfs over
mkdir over/upper over/work
mount -t overlay overlay -o lowerdir=lower,upperdir=over/upper,workdir=over/work root
mount -t proc proc root/proc
mount --rbind /sys root/sys
# crun refuses a second hierarchy beside those of version 1.
[ ! -d root/sys/fs/cgroup/unified ] || umount root/sys/fs/cgroup/unified
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -p root/sockets root/var/lib/docker root/var/lib/containerd root/var/lib/containers root/run/user/1000
for name in docker containerd containers; do mount --bind $name root/var/lib/$name; done
mount --bind sockets root/sockets
cp -a root/home/ann/. home; mount --bind home root/home/ann; chown 1000:1000 root/home/ann root/run/user/1000
chmod 777 sockets root/tmp
ip link set lo up
# A process in a mere chroot may make no user namespace.
mkdir root/old
cd root
pivot_root . old
mount --make-rshared /
umount -l /old
touch /sockets/ready
# This shell stays, as the first process: it reaps the orphans.
sleep infinity & wait
"""
