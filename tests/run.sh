#!/usr/bin/env bash
# The whole test suite: lint, layers, then pytest (units, laws, oracles, notebooks at test size, browser).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
export PYDEVD_DISABLE_FILE_VALIDATION=1

# System packages that some tests need: a browser, and a Slurm that runs on this one machine.
missing=()
command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
PATH="$PATH:/usr/sbin" command -v slurmctld >/dev/null || missing+=(slurmctld slurmd slurm-client munge)
if [ "${#missing[@]}" -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} for the tests ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "****************************************************************************************"
    echo "*  Not here, and no right to install them: ${missing[*]}"
    echo "*  The tests that need them WILL BE SKIPPED (browser: chromium; sweeps on Slurm: slurm*, munge)."
    echo "****************************************************************************************"
  fi
fi

$bin/ruff check .
$bin/ruff format --check --quiet .
$bin/lint-imports --config pyproject.toml --no-cache --no-logo
$bin/python -m pytest -n 2 --dist loadgroup "$@"
