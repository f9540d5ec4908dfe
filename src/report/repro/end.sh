
running() { test "$(docker inspect --format '{{.State.Running}}' "$candidate")" = true; }

log() { docker logs --tail 20 "$candidate" >&2 || :; }

say() { printf '%s (expected: %s)\n' "$1" "$expected"; }

# The platform probes every @INTERVAL@ s; this script probes every second, to detect success sooner.
good=0
until=$(($(date +%s) + @LIMIT@))
while running; do
    if probe; then good=$((good + 1)); else good=0; fi
    # It must stay alive for another second.
    if test "$good" -ge @GOOD@ && sleep 1 && running; then
        say 'the candidate became healthy'
        exit 0
    fi
    if test "$(date +%s)" -ge "$until"; then
        log
        say 'the candidate neither ended nor became healthy within @LIMIT@ s'
        exit 124
    fi
    sleep 1
done
code=$(docker inspect --format '{{.State.ExitCode}}' "$candidate")
log
say "the candidate ended with exit code $code$(docker inspect --format '{{if .State.OOMKilled}}, killed for its memory{{end}}' "$candidate")"
exit "$code"
