#!/usr/bin/env python3
"""Runs exitone against container engines in small virtual machines, and writes docs/engines-measured.md.

    tests/engines/build.sh FOLDER              once: the kernel and the disks
    tests/engines/matrix.py FOLDER [ROW…]      boots a machine for each row, and keeps what it showed in FOLDER/rows
    tests/engines/matrix.py FOLDER --page      writes the page from all rows that were kept

Needs root (a network namespace with a tap device, and no way out of it), the images of `exitone images build` on this
machine's engine, and `cargo build --release` (or EXITONE=/path/to/exitone). Nothing of it leaves the machine.
"""

import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXITONE = Path(os.environ.get("EXITONE", ROOT / "target/release/exitone"))
NAMESPACE = "exitone-engines"
ADDRESS = "10.99.0.2"
BOOT_S = 180
# After a kill, nothing may be left for longer than this.
GONE_S = 10
IMAGES = [f"nerava-backend:{tag}" for tag in (
    "v19-photo-fix", "v20-otp-fix", "v20-otp-fix-fixed", "v21-fresh", "v22-with-env", "v23-fixed-cmd", "v24-lazy-otp")]
# Images of which `why` is asked.
WHY = ["v20-otp-fix-fixed", "v22-with-env"]


@dataclass
class Row:
    """An engine, and how it is started in the machine."""
    name: str
    title: str
    release: str
    # Commands that start the engine, and those that tell its version.
    start: str
    version: str
    socket: str
    user: str = "root"
    # More of /etc/docker/daemon.json.
    daemon: dict = field(default_factory=lambda: {"storage-driver": "overlay2"})
    # How the client reaches it: a forwarded socket, ssh or tls.
    reach: str = "socket"


DOCKER = "systemctl start docker"
DOCKER_VERSION = "docker version --format '{{.Server.Version}}'"
PODMAN_VERSION = "podman version --format '{{.Server.Version}}'"
SOCKET = "/run/docker.sock"
ROOTLESS = "/run/user/1000"


def docker(name, title, release, **more):
    return Row(name, title, release, DOCKER, DOCKER_VERSION, SOCKET, **more)


def podman(name, title, release, rootless=False):
    if rootless:
        start = "systemctl --user start podman.socket"
        return Row(name, title, release, start, PODMAN_VERSION, f"{ROOTLESS}/podman/podman.sock", user="ann")
    return Row(name, title, release, "systemctl start podman.socket", PODMAN_VERSION, "/run/podman/podman.sock")


ROWS = [
    docker("docker-26", "Docker 26.1, overlay2", "trixie"),
    docker("docker-28", "Docker 28.5, overlay2", "sid"),
    docker("docker-28-containerd", "Docker 28.5, containerd image store", "sid",
           daemon={"features": {"containerd-snapshotter": True}}),
    docker("docker-28-api-1.44", "Docker 28.5 that refuses clients older than API 1.44, as Docker 29 does", "sid",
           daemon={"storage-driver": "overlay2", "min-api-version": "1.44"}),
    docker("docker-26-ssh", "Docker 26.1 over ssh://", "trixie", reach="ssh"),
    docker("docker-26-tls", "Docker 26.1 over TLS", "trixie", reach="tls"),
    podman("podman-5.4", "Podman 5.4, rootful", "trixie"),
    podman("podman-5.4-rootless", "Podman 5.4, rootless", "trixie", rootless=True),
    podman("podman-5.8", "Podman 5.8, rootful", "sid"),
    podman("podman-5.8-rootless", "Podman 5.8, rootless", "sid", rootless=True),
    Row("docker-26-rootless", "Docker 26.1, rootless", "trixie",
        "systemd-run --user --unit=docker-rootless --setenv=DOCKERD_ROOTLESS_ROOTLESSKIT_NET=none"
        " /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false --bridge=none",
        DOCKER_VERSION, f"{ROOTLESS}/docker.sock", user="ann"),
]


class Machine:
    """A virtual machine with an engine. It ends with `with`."""

    def __init__(self, folder, row):
        self.folder, self.row = folder, row
        self.disk = f"running-{row.name}.disk"
        self.children = []

    def __enter__(self):
        make_namespace()
        subprocess.run(["cp", "--sparse=always", f"{self.row.release}.disk", self.disk], cwd=self.folder, check=True)
        boot = self.folder / "boot.sh"
        boot.write_text(BOOT)
        log = open(self.folder / "rows" / f"{self.row.name}.boot.log", "wb")
        command = inside(["unshare", "--mount", "bash", str(boot), self.disk])
        self.children.append(subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log,
                                              stderr=log, start_new_session=True))
        until(BOOT_S, lambda: self.ssh("true", check=False).returncode == 0, "the machine answers")
        return self

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
        words = ["ssh", *self.ssh_options(), f"{user}@{ADDRESS}", command]
        return subprocess.run(inside(words), stdin=subprocess.DEVNULL, text=True, capture_output=True, check=check)

    def start(self):
        """Starts the engine; returns the environment in which a client reaches it."""
        row = self.row
        # The kernel has no NAT; candidates do not need the bridge.
        config = json.dumps({"iptables": False, "ip6tables": False, "bridge": "none", **row.daemon})
        self.ssh(f"mkdir -p /etc/docker; echo {shlex.quote(config)} >/etc/docker/daemon.json")
        if row.reach == "tls":
            self.ssh(CERTIFICATES)
            self.ssh("mkdir -p /etc/systemd/system/docker.service.d; printf '[Service]\\nExecStart=\\nExecStart="
                     "/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/tls/ca.pem"
                     " --tlscert=/tls/cert.pem --tlskey=/tls/key.pem\\n' >/etc/systemd/system/docker.service.d/tls.conf;"
                     "systemctl daemon-reload")
        environment = "XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "
        prefix = environment if row.user != "root" else ""
        self.ssh(prefix + row.start, user=row.user)
        until(60, lambda: self.ssh(f"test -S {row.socket}", user=row.user, check=False).returncode == 0, "the socket is there")
        self.version = self.ssh(prefix + (f"DOCKER_HOST=unix://{row.socket} " if "docker" in row.version else "")
                                + row.version, user=row.user).stdout.strip()
        if row.reach == "tls":
            tls = self.folder / "tls"
            shutil.rmtree(tls, ignore_errors=True)
            tls.mkdir()
            for name in ("ca.pem", "cert.pem", "key.pem"):
                (tls / name).write_text(self.ssh(f"cat /tls/client-{name}" if name != "ca.pem" else "cat /tls/ca.pem").stdout)
            return {"DOCKER_HOST": f"tcp://{ADDRESS}:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tls)}
        if row.reach == "ssh":
            # `ssh` takes its options from a file.
            home = self.folder / "home"
            (home / ".ssh").mkdir(parents=True, exist_ok=True)
            wrapper = home / "bin"
            wrapper.mkdir(exist_ok=True)
            ssh = wrapper / "ssh"
            ssh.write_text("#!/bin/sh\nexec /usr/bin/ssh " + " ".join(self.ssh_options()) + ' "$@"\n')
            ssh.chmod(0o755)
            return {"DOCKER_HOST": f"ssh://root@{ADDRESS}", "PATH": f"{wrapper}:{os.environ['PATH']}"}
        local = self.folder / f"{row.name}.sock"
        local.unlink(missing_ok=True)
        forward = ["ssh", "-N", *self.ssh_options(), "-L", f"{local}:{row.socket}", f"{row.user}@{ADDRESS}"]
        self.children.append(subprocess.Popen(inside(forward), stdin=subprocess.DEVNULL, start_new_session=True))
        until(20, local.exists, "the forwarded socket is there")
        return {"DOCKER_HOST": f"unix://{local}"}


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

CERTIFICATES = f"""
set -e; mkdir -p /tls; cd /tls
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=engines -keyout ca-key.pem -out ca.pem 2>/dev/null
sign() {{ openssl req -newkey rsa:2048 -nodes -subj /CN=$1 -keyout $2key.pem -out $2csr.pem 2>/dev/null
          echo "subjectAltName=IP:{ADDRESS}\\nextendedKeyUsage=$3" >$2ext
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


def run(words, env, within=1800):
    """Runs a command in the namespace: exit code, standard output, standard error, seconds."""
    begun = time.monotonic()
    done = subprocess.run(client(words, env), cwd=ROOT, stdin=subprocess.DEVNULL, text=True, capture_output=True,
                          timeout=within)
    return done.returncode, done.stdout, done.stderr, time.monotonic() - begun


def left(env):
    """What is on the engine with a label of ours, images aside; the ssh processes that speak to the machine for exitone."""
    docker_left = []
    for what in ("ps --all --quiet", "volume ls --quiet"):
        code, out, err, _ = run(["docker", *what.split(), "--filter", "label=exitone.session"], env)
        if code != 0:
            raise RuntimeError(f"docker {what}: {err}")
        docker_left += out.split()
    ssh = []
    if env["DOCKER_HOST"].startswith("ssh:"):
        ssh = subprocess.run(["pgrep", "-f", f"^/usr/bin/ssh .*{ADDRESS}"], text=True, capture_output=True).stdout.split()
    return docker_left, ssh


def doctor(env, seen):
    code, out, err, seconds = run([EXITONE, "doctor", "--format", "json"], env)
    seen["doctor"] = {"code": code, "seconds": round(seconds, 1), "error": err.strip()[-600:] if not out else ""}
    if not out:
        return
    report = json.loads(out)
    conditions = report["conditions"]
    seen["doctor"]["engine"] = report["engine"]
    seen["doctor"]["kernel"] = report["kernel"]
    seen["doctor"]["proved"] = sum(c["imposed"] is True for c in conditions)
    seen["doctor"]["all"] = len(conditions)
    seen["doctor"]["not"] = [{"condition": c["condition"], "skipped": c["imposed"] is None, "what": c["what"]}
                             for c in conditions if c["imposed"] is not True]
    seen["doctor"]["abilities"] = [a["without"] for a in report["abilities"] if not a["there"]]


def load(env, seen):
    begun = time.monotonic()
    save = subprocess.Popen(["docker", "save", *IMAGES], stdout=subprocess.PIPE)
    subprocess.run(client(["docker", "load"], env), stdin=save.stdout, check=True, capture_output=True)
    save.wait()
    seen["load_seconds"] = round(time.monotonic() - begun, 1)


def slice_of_truth(env, seen):
    code, out, err, seconds = run([EXITONE, "--no-progress", "run", "scenarios/history.yaml", "--format", "json"], env)
    seen["slice"] = {"code": code, "seconds": round(seconds, 1), "error": err.strip()[-600:] if not out else ""}
    if out:
        report = json.loads(out)
        seen["slice"]["summary"] = report["summary"]
        seen["slice"]["skipped"] = sorted({c["skipped"] for c in report["cases"] if c.get("skipped")})


def why(env, seen):
    # The service of the scenario, as a file of its own.
    lines = (ROOT / "scenarios/history.yaml").read_text().split("\nservice:\n")[1].splitlines()
    block = itertools.takewhile(lambda line: line.startswith(" ") or not line, lines)
    service = Path(env["XDG_STATE_HOME"]) / "service.yaml"
    service.write_text(textwrap.dedent("\n".join(block)) + "\n")
    seen["why"] = {}
    for image in WHY:
        words = [EXITONE, "--no-progress", "why", f"nerava-backend:{image}", "--service", service, "--format", "json"]
        code, out, err, seconds = run(words, env)
        answer = {"code": code, "seconds": round(seconds, 1)}
        if out:
            report = json.loads(out)
            sets = report["minimal_sets"]
            answer |= {"verdict": report["verdict"], "sets": len(sets), "runs": report["runs"],
                       "causes": [s["causes"][0]["id"] for s in sets if s["causes"]][:3],
                       "conditions": [s["conditions"] for s in sets][:3]}
        else:
            answer["error"] = err.strip()[-600:]
        seen["why"][image] = answer


def kill(env, seen):
    """Kills a run three times; what is left after ten seconds, and when it was gone."""
    seen["kill"] = []
    for delay in (2.0, 5.0, 9.0):
        words = client([EXITONE, "--no-progress", "run", "scenarios/history.yaml"], env)
        child = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(delay)
        child.kill()
        child.wait()
        begun = time.monotonic()
        gone = None
        while time.monotonic() - begun < 6 * GONE_S:
            containers, processes = left(env)
            if not containers and not processes:
                gone = round(time.monotonic() - begun, 1)
                break
            time.sleep(0.5)
        seen["kill"].append({"after": delay, "gone": gone, "left": containers, "processes": len(processes)})


def overhead(env, seen):
    benches = sorted((EXITONE.parent / "deps").glob("session-*[0-9a-f]"), key=lambda path: path.stat().st_mtime)
    if not benches:
        seen["overhead"] = "no build of the bench: cargo bench --bench session --no-run"
        return
    code, out, err, _ = run([benches[-1], "case"], env)
    lines = [line for line in out.splitlines() if line.strip()]
    seen["overhead"] = lines[1:] if code == 0 else err.strip()[-300:]


def clean(env, seen):
    code, out, err, seconds = run([EXITONE, "clean"], env)
    containers, processes = left(env)
    images = run(["docker", "images", "--quiet", "--filter", "label=exitone.image"], env)[1].split()
    seen["clean"] = {"code": code, "seconds": round(seconds, 1), "left": len(containers), "processes": len(processes),
                     "images": len(images), "said": (out or err).strip()[-400:]}


def keep(folder, seen):
    (folder / "rows" / f"{seen['name']}.json").write_text(json.dumps(seen, indent=1) + "\n")


STEPS = [doctor, load, slice_of_truth, why, kill, overhead, clean]


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    folder = Path(arguments[0]).resolve()
    (folder / "rows").mkdir(exist_ok=True)
    if arguments[1:] == ["--page"]:
        from page import page
        (ROOT / "docs/engines-measured.md").write_text(page([r.name for r in ROWS], folder / "rows"))
        return
    unknown = set(arguments[1:]) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; rows: {', '.join(row.name for row in ROWS)}")
    for row in ROWS:
        if arguments[1:] and row.name not in arguments[1:]:
            continue
        seen = {"name": row.name, "title": row.title, "date": time.strftime("%Y-%m-%d"), "user": row.user}
        print(f"== {row.title}", flush=True)
        state = folder / "state" / row.name
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        with Machine(folder, row) as machine:
            begun = time.monotonic()
            try:
                env = {**machine.start(), "XDG_STATE_HOME": str(state)}
                seen["version"] = machine.version
                for step in STEPS:
                    step(env, seen)
                    keep(folder, seen)
                    print(f"   {step.__name__} after {time.monotonic() - begun:.0f} s", flush=True)
            except (subprocess.SubprocessError, TimeoutError, RuntimeError) as error:
                detail = getattr(error, "stderr", "") or ""
                seen["broke"] = f"{error} {detail}".strip()[-1200:]
                print(f"   broke: {seen['broke']}", flush=True)
            seen["seconds"] = round(time.monotonic() - begun)
            keep(folder, seen)


if __name__ == "__main__":
    main()
