# Sourced by run_dashboard.sh, run_sweep.sh and run_tests.sh: makes .venv and installs the pinned dependencies.
# lightwell_environment EXTRAS  e.g. "" or "[test]"; does nothing when the environment is up to date.

lightwell_python() {
  local candidate
  for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  echo "lightwell: no Python 3.11 or newer was found; expected python3; install one, or set PYTHON to its path" >&2
  return 2
}

lightwell_environment() {
  local extras="$1" python stamp wanted
  stamp=".venv/.lightwell${extras//[\[\]]/-}"
  wanted="$(cat constraints.txt pyproject.toml | cksum)"
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && return 0
  if [ ! -x .venv/bin/python ]; then
    python="$(lightwell_python)" || return 2
    echo "making the environment .venv and installing the pinned dependencies (a few minutes, once)"
    "$python" -m venv .venv || return 1
  else
    echo "bringing the environment .venv up to date"
  fi
  # Two dependencies of dependencies come as sources alone, which older pips build with a complaint.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --use-pep517 \
    --constraint constraints.txt --editable ".$extras" || return 1
  printf '%s\n' "$wanted" >"$stamp"
}
