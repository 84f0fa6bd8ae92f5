#!/usr/bin/env bash
# The whole test suite: lint, layers, then pytest (units, laws, oracles, notebooks at test size, browser).
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
export PYDEVD_DISABLE_FILE_VALIDATION=1

if ! command -v chromium >/dev/null && ! command -v google-chrome >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
  else
    echo "****************************************************************************************"
    echo "*  No Chromium here, and no right to install it: the browser tests WILL BE SKIPPED.    *"
    echo "*  Install chromium (or google-chrome) to run them.                                    *"
    echo "****************************************************************************************"
  fi
fi

$bin/ruff check .
$bin/ruff format --check --quiet .
$bin/lint-imports --config pyproject.toml --no-cache --no-logo
$bin/python -m pytest -n 2 --dist loadgroup "$@"
