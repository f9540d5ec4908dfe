#!/usr/bin/env bash
# The static program in a Debian container that has nothing else: no Rust, no compiler, no Python, no docker command, no git.
# Only the engine's socket is mounted. Needs Docker and mmdebstrap here, and a Debian mirror.
#
#   tests/bare.sh target/x86_64-unknown-linux-musl/dist/exitone
#
# It prints what each command said, and fails if one ends otherwise than expected.
set -euo pipefail

program=$(realpath "${1:?usage: tests/bare.sh PROGRAM}")
work=$(mktemp -d)
name=exitone-bare-$$
trap 'docker volume rm -f "$name" >/dev/null; docker rmi -f "$name" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

echo "program: $(stat -c %s "$program") bytes"
mmdebstrap --quiet --variant=minbase trixie "$work/root.tar"
docker import "$work/root.tar" "$name" >/dev/null
docker volume create "$name" >/dev/null
mkdir "$work/files"
cat >"$work/files/service.yaml" <<'YAML'
port: 8000
start_command: connect verify.twilio.com 443 3 then serve 8000
upstreams: ["verify.twilio.com:443"]
YAML

# Runs a command in a bare container; `EXPECTED` exit codes, then the command. State is kept from one to the next.
bare() {
    local expected=$1 code=0 begun
    shift
    begun=$(date +%s.%N)
    docker run --rm --init -v /var/run/docker.sock:/var/run/docker.sock -v "$program:/usr/local/bin/exitone:ro" \
        -v "$name:/root/.local/state" -v "$work/files:/work:ro" -w /work "$name" "$@" >"$work/said" 2>&1 || code=$?
    printf '\n$ %s\n' "$*"
    tail -n "${LINES_SHOWN:-30}" "$work/said"
    printf '(exit code %s after %.1f s)\n' "$code" "$(echo "$(date +%s.%N) - $begun" | bc)"
    case " $expected " in
    *" $code "*) ;;
    *) echo "expected exit code $expected" >&2 && exit 1 ;;
    esac
}

says() {
    grep -qF -- "$1" "$work/said" || { echo "nothing says: $1" >&2 && exit 1; }
}

bare 1 sh -c 'for tool in cc rustc python3 docker git; do command -v $tool && exit 0; done; exit 1'
bare 0 exitone --version
# The first command on an engine loads the holder's image.
bare "0 1" exitone doctor
says "conditions proved"
planted=$(docker image ls --format '{{.Repository}}:{{.Tag}}' exitone/planted | head -n 1)
bare 1 exitone why "$planted" --service service.yaml
says egress.drop
bare 2 exitone gate
says git
# Without Python the images of the demo cannot be built; the stand-in has the first answer, and what is missing is named.
bare 4 exitone demo
says "The first answer"
says egress.drop
says "install Python 3 with pip"
