#!/usr/bin/env bash
# The demo's cells by hand: what a person would write with docker, a holder container and nsenter, one cell after
# the other. It is what `cargo bench -- demo` compares with. Needs root, nft, curl, openssl and python3 on the host.
#
# Reads cells from standard input: IMAGE, then conditions, separated by spaces. Prints a line for each.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=by-hand \
    -addext "subjectAltName=DNS:*.twilio.com,DNS:*.i.posthog.com" \
    -keyout "$work/key.pem" -out "$work/ca.pem" 2>/dev/null
printf 'nameserver 127.0.0.1\n' >"$work/resolv.conf"

base_env="-e DATABASE_URL=postgresql+psycopg://app:not-a-password@db.internal:5432/app -e JWT_SECRET=not-a-real-jwt-secret
 -e ENV=dev -e TWILIO_ACCOUNT_SID=ACfake0000000000000000000000000000 -e TWILIO_AUTH_TOKEN=not-a-real-auth-token
 -e TWILIO_VERIFY_SERVICE_SID=VAfake0000000000000000000000000000 -e POSTHOG_KEY=phc_not-a-real-key"

cell() {
    local image=$1
    shift
    local fault=none env=$base_env limits="" holder pid stub="" id code=running
    # The holder owns the namespace; rules and the stub are put in before the candidate starts.
    holder=$(docker run -d --pull=never --network none --dns 127.0.0.1 --entrypoint sleep exitone/python-base:latest 3600)
    pid=$(docker inspect -f '{{.State.Pid}}' "$holder")
    local ns="nsenter -t $pid -n"
    $ns ip link set lo up
    $ns ip route add local 198.18.0.0/15 dev lo
    for condition in "$@"; do
        case $condition in
        egress.drop) $ns nft -f - <<<'table ip f { chain o { type filter hook output priority 0; oifname "lo" ip daddr 198.18.0.0/15 tcp dport 443 drop; }; }' ;;
        egress.reject) $ns nft -f - <<<'table ip f { chain o { type filter hook output priority 0; ip daddr 198.18.0.0/15 tcp dport 443 reject with tcp reset; }; }' ;;
        egress.unreachable) $ns ip route del local 198.18.0.0/15 dev lo; $ns ip route add unreachable 198.18.0.0/15 ;;
        dns.*) fault=$condition ;;
        env.unset:*) env=$(sed -E "s#-e ${condition#*:}=[^ ]*##" <<<"$env") ;;
        env.empty:*) env="$env -e ${condition#*:}=" ;;
        env.set:*) env="$env -e ${condition#*:}" ;;
        cpu.limit:*) limits="$limits --cpus ${condition#*:}" ;;
        memory.limit:*) limits="$limits --memory ${condition#*:} --memory-swap ${condition#*:}" ;;
        hostname.*) env="$env -e HOSTNAME=ip-10-0-248-213.ec2.internal" ;;
        esac
    done
    $ns sysctl -qw net.ipv4.tcp_syn_retries=2
    $ns python3 "$here/stub.py" "$fault" "$work/ca.pem" "$work/key.pem" >/dev/null 2>&1 &
    stub=$!
    until $ns ss -lun 2>/dev/null | grep -q 127.0.0.1:53; do sleep 0.05; done
    # shellcheck disable=SC2086
    id=$(docker run -d --pull=never --network "container:$holder" $env $limits -e PORT=8000 -v "$work/ca.pem:/run/ca.pem:ro" \
        -e SSL_CERT_FILE=/run/ca.pem -e REQUESTS_CA_BUNDLE=/run/ca.pem "$image")
    for _ in $(seq 125); do
        if [ "$(docker inspect -f '{{.State.Running}}' "$id")" = false ]; then
            code=$(docker inspect -f '{{.State.ExitCode}}' "$id")
            break
        fi
        if $ns curl -sf --max-time 2 -o /dev/null http://127.0.0.1:8000/healthz; then
            code=healthy
            $ns curl -s --max-time 10 -o /dev/null -X POST -H 'content-type: application/json' \
                -d '{"phone":"+15550100"}' http://127.0.0.1:8000/v1/auth/otp/start
            sleep 1
            [ "$(docker inspect -f '{{.State.Running}}' "$id")" = true ] || code=died
            docker stop -t 2 "$id" >/dev/null
            break
        fi
        sleep 0.2
    done
    docker logs "$id" >"$work/log" 2>&1
    docker rm -f "$id" "$holder" >/dev/null
    kill "$stub" 2>/dev/null
    wait "$stub" 2>/dev/null
    echo "$image $* $code"
}

while read -r line; do
    # shellcheck disable=SC2086
    cell $line </dev/null
done
