#!/usr/bin/env bash
# Browse a model type: ./run_dashboard.sh [full|ultra|NAME] [options]; see ./run_dashboard.sh --help
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
called_from="$PWD"
cd "$here"
. ./environment.sh
lightwell_environment ""
cd "$called_from"
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec "$here/.venv/bin/python" -m dashboard "$@"
