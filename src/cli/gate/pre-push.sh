#!/bin/sh
# exitone gate, pre-push hook. `exitone gate --uninstall` restores what was here before it.
before=$(dirname "$0")/pre-push.before-exitone
# What git says of the push is for two readers.
if [ -t 0 ]; then pushed=; else pushed=$(cat); fi
tell() { [ -z "$pushed" ] || printf '%s\n' "$pushed"; }
if [ -x "$before" ]; then
    tell | "$before" "$@" || exit $?
fi
if ! command -v exitone >/dev/null 2>&1; then
    if [ "${EXITONE_GATE:-}" = optional ]; then
        echo "exitone gate: exitone is not on the PATH; the push goes on unjudged (EXITONE_GATE=optional)" >&2
        exit 0
    fi
    echo "exitone gate: exitone is not on the PATH, so the push is stopped; install it, or push past the gate with" >&2
    echo "\`git push --no-verify\`, or say that it may be missing with EXITONE_GATE=optional" >&2
    exit 1
fi
if [ -t 0 ]; then exec exitone gate --hook "$@"; fi
tell | exitone gate --hook "$@"
