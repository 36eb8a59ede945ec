#!/usr/bin/env bash
# Check everything: ./run_tests.sh [--all] [arguments for pytest]
# Without --all: ruff, mypy and the tests on small fixtures (under 5 minutes after set-up).
# With --all: also the demo at full size, the kill tests, what needs servers, and most pages in a browser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./environment.sh
lightwell_environment "[test]"

find_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
    [ -n "$(find "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}" -maxdepth 1 -name 'chromium*' 2>/dev/null)" ]
}
if ! find_browser; then
  echo "installing a browser for the tests"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y chromium; } >/dev/null 2>&1 ||
      .venv/bin/python -m playwright install chromium
  else
    .venv/bin/python -m playwright install chromium
  fi || echo "no browser could be installed; the browser tests will say so" >&2
fi

markers="not full"
if [ "${1:-}" = "--all" ]; then
  markers="full or not full"
  shift
  # Only the test of callbacks through Redis needs it; elsewhere than on Debian that test is skipped.
  if ! command -v redis-server >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing redis-server for the tests"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server; } \
      >/dev/null 2>&1 || echo "redis-server could not be installed; its test will say so" >&2
  fi
  # The tests of sweeps and executors under SLURM start one of their own.
  if ! command -v slurmctld >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing slurmctld, slurmd and munge for the tests"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      slurmctld slurmd slurm-client munge; } >/dev/null 2>&1 || echo "SLURM could not be installed; its tests will say so" >&2
  fi
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
# One thread a process: two test processes share the cores better than their libraries would.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
.venv/bin/python -m pytest -m "$markers" -n "${LIGHTWELL_TEST_PROCESSES:-2}" --dist loadfile --no-loadscope-reorder "$@"
