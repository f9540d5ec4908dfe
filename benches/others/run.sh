#!/bin/bash
# Usage: run.sh CASES.json [--budget SECONDS]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${EXITONE_OTHERS_VENV:-$here/../../target/others-venv}
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
exec "$venv/bin/python" "$here/compare.py" "$@"
