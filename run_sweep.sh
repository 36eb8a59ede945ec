#!/usr/bin/env bash
# Sweep best of K, through SLURM where there is one:
# ./run_sweep.sh [num_gpus=4 time=24:00:00 partition=gpu job_name=k_sweep nice=false force_direct=false] [+eval.…]
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
called_from="$PWD"
cd "$here"
. ./environment.sh
lightwell_environment ""
cd "$called_from"
PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}" exec "$here/.venv/bin/python" -m precompute.sweeps.submit "$@"
