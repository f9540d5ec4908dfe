set -eu

TOOLS=${TOOLS:-exitone-repro-tools}  # an image with iproute2, openssl and python3
net=exitone-repro-$$-net             # the candidate's network namespace, with its resolver
internet=exitone-repro-$$-internet   # the simulated internet, in a namespace of its own
candidate=exitone-repro-$$-candidate
ca=exitone-repro-$$-ca               # a volume with the certificate that the candidate trusts

# Leaves nothing behind but the tools image.
cleanup() {
    docker rm --force --volumes "$candidate" "$internet" "$net" >/dev/null 2>&1 || :
    docker volume rm --force "$ca" >/dev/null 2>&1 || :
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# The tools image is built once. No network command runs on this machine itself.
docker image inspect "$TOOLS" >/dev/null 2>&1 || docker build --tag "$TOOLS" - >&2 <<'DOCKERFILE'
FROM debian:12-slim
LABEL exitone.repro=tools
RUN apt-get update && apt-get install -y --no-install-recommends iproute2 openssl python3 && rm -rf /var/lib/apt/lists/*
DOCKERFILE

# A container of the tools without network access. It ends after an hour, whatever happens to this script.
tools() {
    docker run --detach --rm --pull never --network none --cap-add NET_ADMIN --label exitone.repro \
        --sysctl net.ipv4.conf.all.rp_filter=0 --sysctl net.ipv4.conf.default.rp_filter=0 \
        "$@" "$TOOLS" sleep 3600 >/dev/null
}
