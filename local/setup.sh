#!/usr/bin/env bash
# Installs everything the project needs into .venv. `make setup` runs it when a requirements file has changed.
#
# .venv                 development, tests and the build, uv included
# .venv/local-cloud     the AWS emulator, kept apart so that functions cannot import what only .venv has
# .venv/lambda-runtime  Lambda's Python runtime client alone, for the same reason
set -euo pipefail
cd "$(dirname "$0")/.."

# The system's certificates, like pip: a proxy that inspects TLS is known to the system only. Older versions of uv, which
# may have to create the environment, know the second name.
export UV_SYSTEM_CERTS=true
system_certificates=(env UV_NATIVE_TLS=true)

step() {
  printf '[%s/5] %s …\n' "$1" "$2"
}

is_python_313() {
  "$@" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null
}

# Scripts in .venv hold the path of their environment, so the one of another folder runs another clone's tools.
is_made_for_this_folder() {
  [ "$(cat .venv/.folder 2>/dev/null)" = "$(pwd -P)" ] && is_python_313 .venv/bin/python
}

# pyenv's shims are candidates too: they obey .python-version in this folder.
make_environment() {
  local candidate
  rm -rf .venv
  for candidate in python3.13 python3 python; do
    if is_python_313 "$candidate" && "$candidate" -m venv .venv 2>/dev/null; then
      return
    fi
  done
  if uv --version >/dev/null 2>&1; then
    "${system_certificates[@]}" uv venv --quiet --clear --seed --python 3.13 .venv
  else
    echo 'This project needs Python 3.13 with its venv module, or uv. See CONTRIBUTING.md.' >&2
    return 1
  fi
}

# The pinned uv is used even where another is installed, so requirements files mean the same thing everywhere.
# An older one in .venv replaces itself in the next step.
install_uv() {
  [ ! -x .venv/bin/uv ] || return 0
  .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
  sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt >.venv/uv.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r .venv/uv.txt
}

install() { # ENVIRONMENT REQUIREMENTS
  .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes --python "$1/bin/python" "$2"
}

install_separately() { # NAME REQUIREMENTS
  is_python_313 ".venv/$1/bin/python" || .venv/bin/uv venv --quiet --clear --python .venv/bin/python ".venv/$1"
  install ".venv/$1" "$2"
}

# `calls`, the operator's command, runs the clone's own code. Relative paths, so that a copy of the clone runs its copy.
install_calls() {
  local site=.venv/lib/python3.13/site-packages
  printf '%s\n' ../../../.. ../../../../layers/outbound_calls >"$site/calls.pth"
  printf '#!/bin/sh\nexec "$(dirname "$(readlink -f "$0")")/python" -P -m calls "$@"\n' >.venv/bin/calls
  chmod +x .venv/bin/calls
}

echo 'Installing into .venv. The first time takes a minute or two.'
step 1 'Python 3.13 and uv'
is_made_for_this_folder || make_environment
install_uv
pwd -P >.venv/.folder
step 2 'development tools and the calls command'
install .venv requirements-dev.txt
install_calls
step 3 'the local cloud'
install_separately local-cloud local/requirements.txt
step 4 "Lambda's runtime client"
install_separately lambda-runtime local/lambda-runtime.txt
# Now, so that every later build finds the packages for both architectures in uv's cache and needs no network.
step 5 "the layer's packages for x86_64 and arm64"
make --silent --no-print-directory -f layers/dependencies/Makefile ARTIFACTS_DIR=.venv/layer-cache build-DependenciesLayer
rm -rf .venv/layer-cache
