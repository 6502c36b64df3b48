#!/usr/bin/env bash
# Puts everything that the project needs into .venv. `make setup` runs it when a requirements file has changed.
#
# .venv                 development, tests and the build, uv included
# .venv/local-cloud     the AWS emulator, kept apart so that functions cannot import what only .venv has
# .venv/lambda-runtime  Lambda's Python runtime client alone, for the same reason
set -euo pipefail
cd "$(dirname "$0")/.."

is_python_313() {
  "$@" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null
}

# pyenv's shims are asked too: they obey .python-version, which lies in this folder.
make_environment() {
  local candidate
  for candidate in python3.13 python3 python; do
    if is_python_313 "$candidate" && "$candidate" -m venv --clear .venv 2>/dev/null; then
      return
    fi
  done
  if uv --version >/dev/null 2>&1; then
    uv venv --quiet --clear --seed --python 3.13 .venv
  else
    echo 'Python 3.13 with its venv module, or uv, is needed. See CONTRIBUTING.md.' >&2
    return 1
  fi
}

# The pinned uv is used even where another is installed: requirements files mean the same thing everywhere.
# One that is there already replaces itself by the pinned one below.
install_uv() {
  [ ! -x .venv/bin/uv ] || return 0
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
  sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt >.venv/uv.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r .venv/uv.txt
}

install() { # ENVIRONMENT REQUIREMENTS
  .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python "$1/bin/python" "$2"
}

is_python_313 .venv/bin/python || make_environment
echo 'Installing the development environment into .venv …'
install_uv
install .venv requirements-dev.txt
# The operator's command as .venv/bin/calls: the clone is its code, so there is nothing to build or to install anew.
printf '%s\n' "$PWD" "$PWD/layers/outbound_calls" >"$(.venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/calls.pth"
printf '#!/bin/sh\nexec "$(dirname "$0")/python" -P -m calls "$@"\n' >.venv/bin/calls
chmod +x .venv/bin/calls
for name in local-cloud lambda-runtime; do
  is_python_313 ".venv/$name/bin/python" || .venv/bin/uv venv --quiet --clear --python .venv/bin/python ".venv/$name"
done
install .venv/local-cloud local/requirements.txt
install .venv/lambda-runtime local/lambda-runtime.txt
# Once, so that every later build finds both architectures' packages in uv's cache and needs no network.
make --silent --no-print-directory -f layers/dependencies/Makefile ARTIFACTS_DIR=.venv/layer-cache build-DependenciesLayer
rm -rf .venv/layer-cache
