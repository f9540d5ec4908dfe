#!/usr/bin/env python3
"""Runs exitone against container engines in small virtual machines or in namespaces, and writes docs/engines-measured.md.

    tests/engines/build.sh FOLDER              once: the kernel and the disks
    tests/engines/matrix.py FOLDER [ROW…]      boots a machine for each row, and keeps what it showed in FOLDER/rows
    tests/engines/matrix.py FOLDER --here [ROW…]   runs the engines in namespaces of this machine instead: its kernel,
                                               its control groups, and minutes instead of hours
    tests/engines/matrix.py FOLDER --page      writes the page from all rows that were kept

Needs root (a network namespace with a tap device, and no way out of it), the images of `exitone images build` on this
machine's engine, and `cargo build --release` (or EXITONE=/path/to/exitone). Nothing of it leaves the machine.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path

from machine import ROOTLESS, Emulated, Here, Machine, client

ROOT = Path(__file__).resolve().parents[2]
EXITONE = Path(os.environ.get("EXITONE", ROOT / "target/release/exitone"))
# After a kill, nothing may be left for longer than this.
GONE_S = 10
IMAGES = [f"nerava-backend:{tag}" for tag in (
    "v19-photo-fix", "v20-otp-fix", "v20-otp-fix-fixed", "v21-fresh", "v22-with-env", "v23-fixed-cmd", "v24-lazy-otp")]
ARM64 = "v23-fixed-cmd-arm64"


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
    # Variables of the engine's process.
    environment: dict = field(default_factory=dict)
    # How the client reaches it: a forwarded socket, ssh or tls.
    reach: str = "socket"
    # Images of which `why` is asked.
    asked: list = field(default_factory=lambda: ["v20-otp-fix-fixed", "v22-with-env"])
    # The machine is of another architecture.
    emulated: bool = False


DOCKER = "systemctl start docker"
DOCKER_VERSION = "docker version --format '{{.Server.Version}}'"
PODMAN_VERSION = "podman version --format '{{.Server.Version}}'"
SOCKET = "/run/docker.sock"


def docker(name, title, release, **more):
    return Row(name, title, release, DOCKER, DOCKER_VERSION, SOCKET, **more)


def podman(name, title, release, rootless=False):
    if rootless:
        start = "systemctl --user start podman.socket"
        return Row(name, title, release, start, PODMAN_VERSION, f"{ROOTLESS}/podman/podman.sock", user="ann")
    return Row(name, title, release, "systemctl start podman.socket", PODMAN_VERSION, "/run/podman/podman.sock")


ROWS = [
    docker("docker-20", "Docker 20.10, overlay2", "bookworm"),
    docker("docker-26", "Docker 26.1, overlay2", "trixie"),
    docker("docker-28", "Docker 28.5, overlay2", "sid"),
    docker("docker-28-containerd", "Docker 28.5, containerd image store", "sid",
           daemon={"features": {"containerd-snapshotter": True}}),
    docker("docker-28-api-1.44", "Docker 28.5 that refuses clients older than API 1.44, as Docker 29 does", "sid",
           environment={"DOCKER_MIN_API_VERSION": "1.44"}),
    docker("docker-26-ssh", "Docker 26.1 over ssh://", "trixie", reach="ssh"),
    docker("docker-26-tls", "Docker 26.1 over TLS", "trixie", reach="tls"),
    podman("podman-4.3", "Podman 4.3, rootful", "bookworm"),
    podman("podman-5.4", "Podman 5.4, rootful", "trixie"),
    podman("podman-5.4-rootless", "Podman 5.4, rootless", "trixie", rootless=True),
    podman("podman-5.8", "Podman 5.8, rootful", "sid"),
    podman("podman-5.8-rootless", "Podman 5.8, rootless", "sid", rootless=True),
    Row("docker-26-rootless", "Docker 26.1, rootless", "trixie",
        "systemd-run --user --unit=docker-rootless --setenv=DOCKERD_ROOTLESS_ROOTLESSKIT_NET=none"
        " /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false --bridge=none",
        DOCKER_VERSION, f"{ROOTLESS}/docker.sock", user="ann"),
    docker("docker-26-arm64", "Docker 26.1 on arm64, amd64 under qemu-user", "trixie-arm64", emulated=True,
           asked=[ARM64, "v22-with-env"]),
]


def run(words, env, within=3600):
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
        host = env["DOCKER_HOST"].rpartition("@")[2]
        ssh = subprocess.run(["pgrep", "-f", f"^/usr/bin/ssh .*{host}"], text=True, capture_output=True).stdout.split()
    return docker_left, ssh


def doctor(_, env, seen):
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


def load(row, env, seen):
    begun = time.monotonic()
    save = subprocess.Popen(["docker", "save", *IMAGES, *([f"nerava-backend:{ARM64}"] if row.emulated else [])], stdout=subprocess.PIPE)
    subprocess.run(client(["docker", "load"], env), stdin=save.stdout, check=True, capture_output=True)
    save.wait()
    seen["load_seconds"] = round(time.monotonic() - begun, 1)


def slice_of_truth(_, env, seen):
    code, out, err, seconds = run([EXITONE, "--no-progress", "run", "scenarios/history.yaml", "--format", "json"], env)
    seen["slice"] = {"code": code, "seconds": round(seconds, 1), "error": err.strip()[-600:] if not out else ""}
    if out:
        report = json.loads(out)
        seen["slice"]["summary"] = report["summary"]
        seen["slice"]["skipped"] = sorted({c["skipped"] for c in report["cases"] if c.get("skipped")})


def why(row, env, seen):
    # The service of the scenario, as a file of its own.
    lines = (ROOT / "scenarios/history.yaml").read_text().split("\nservice:\n")[1].splitlines()
    block = itertools.takewhile(lambda line: line.startswith(" ") or not line, lines)
    service = Path(env["XDG_STATE_HOME"]) / "service.yaml"
    service.write_text(textwrap.dedent("\n".join(block)) + "\n")
    seen["why"] = {}
    for image in row.asked:
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


def kill(_, env, seen):
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


def overhead(_, env, seen):
    benches = sorted((EXITONE.parent / "deps").glob("session-*[0-9a-f]"), key=lambda path: path.stat().st_mtime)
    if not benches:
        seen["overhead"] = "no build of the bench: cargo bench --bench session --no-run"
        return
    code, out, err, _ = run([benches[-1], "case"], env)
    lines = [line for line in out.splitlines() if line.strip()]
    seen["overhead"] = lines[1:] if code == 0 else err.strip()[-300:]
    # The bench's own image, and on Podman a container of its last `docker run --rm`: `clean` need not know them.
    run(["docker", "rmi", "--force", "exitone-test/planted"], env)


def clean(_, env, seen):
    code, out, err, seconds = run([EXITONE, "clean"], env)
    containers, processes = left(env)
    images = run(["docker", "images", "--quiet", "--filter", "label=exitone.image"], env)[1].split()
    seen["clean"] = {"code": code, "seconds": round(seconds, 1), "left": len(containers), "processes": len(processes),
                     "images": len(images), "said": (out or err).strip()[-400:]}


def keep(folder, seen):
    (folder / "rows" / f"{seen['name']}.json").write_text(json.dumps(seen, indent=1) + "\n")


STEPS = [doctor, load, slice_of_truth, why, kill, overhead, clean]
# Emulated twice, Python takes longer to start than any health check waits: the slice would prove nothing.
EMULATED_STEPS = [doctor, load, why, kill, clean]


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    folder = Path(arguments[0]).resolve()
    (folder / "rows").mkdir(exist_ok=True)
    if arguments[1:] == ["--page"]:
        from page import page
        (ROOT / "docs/engines-measured.md").write_text(page([name for r in ROWS for name in (r.name, f"{r.name}-here")], folder / "rows"))
        return
    here = "--here" in arguments
    wanted = [name for name in arguments[1:] if name != "--here"]
    unknown = set(wanted) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no such row: {', '.join(sorted(unknown))}; rows: {', '.join(row.name for row in ROWS)}")
    foreign = [row.name for row in ROWS if here and row.emulated and row.name in wanted]
    if foreign:
        sys.exit(f"{', '.join(foreign)}: needs a machine of its own, without --here")
    for row in ROWS:
        if wanted and row.name not in wanted or here and row.emulated:
            continue
        name = f"{row.name}-here" if here else row.name
        seen = {"name": name, "title": row.title, "date": time.strftime("%Y-%m-%d"), "user": row.user}
        if row.emulated:
            seen["notes"] = ["the slice was not run: emulated twice, Python takes longer to start than any health check waits",
                             f"`why` of `{row.asked[-1]}`: the same; inconclusive"]
        print(f"== {row.title}", flush=True)
        state = folder / "state" / name
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        kind = Here if here else Emulated if row.emulated else Machine
        begun = time.monotonic()
        try:
            with kind(folder, row) as machine:
                begun = time.monotonic()
                env = {**machine.start(), "XDG_STATE_HOME": str(state)}
                seen["version"] = machine.version
                for step in EMULATED_STEPS if row.emulated else STEPS:
                    step(row, env, seen)
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
