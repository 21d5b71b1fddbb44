#!/usr/bin/env bash
# Makes base images where none can be pulled: base.sh WHAT…, with Debian's debootstrap, as root.
#   rust        the BASE of deploy/Containerfile: Debian's Rust, with what compiles for arm64 on amd64;
#               its packages come from where this machine's own do, which must have rustc-web
#   debian      the same without Rust: enough where the binary is prebuilt (BINARY=prebuilt)
#   redis       under the name that compose.split.yaml asks for
#   prometheus  likewise
# They stand in for the real ones in deploy/tests/compose.sh and are not for anything else.
set -euo pipefail

ENGINE=${ENGINE:-podman --runtime runc}
SUITE=${SUITE:-bookworm}
# Empty: the one that debootstrap takes by itself.
MIRROR=${MIRROR:-}

say() { printf 'base: %s\n' "$*" >&2; }

# tree FOLDER PACKAGE,…: a minimal Debian.
tree() {
  [[ -e $1/etc/debian_version ]] && return
  say "debootstrap of $1"
  debootstrap --variant=minbase --include="$2" "$SUITE" "$1" ${MIRROR:+"$MIRROR"} >"$1.log" 2>&1 || {
    tail -n 20 "$1.log" >&2
    exit 69
  }
  rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
}

# inside TREE COMMAND…: in the tree, with this machine's names and certificates for the downloads.
inside() {
  local tree=$1
  shift
  unshare --mount bash -euc '
    for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
      if [[ ! -e $0$file ]]; then touch "$0$file"; fi
      mount --bind "$file" "$0$file"
    done
    exec chroot "$0" env DEBIAN_FRONTEND=noninteractive "$@"
  ' "$tree" "$@"
}

# with_rust TREE: Rust as Debian ships it to build its browsers with, newer than its `rustc`.
with_rust() {
  [[ -x $1/usr/bin/cargo ]] && return
  say "Rust into $1"
  cp -r /etc/apt/sources.list* "$1/etc/apt/"
  local packages=(rustc-web cargo-web)
  if [[ $(dpkg --print-architecture) == amd64 ]]; then
    packages+=(libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross)
  fi
  {
    inside "$1" dpkg --add-architecture arm64
    inside "$1" apt-get -q update
    inside "$1" apt-get -q install -y --no-install-recommends "${packages[@]}"
  } >"$1.log" 2>&1 || {
    tail -n 20 "$1.log" >&2
    exit 69
  }
  rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
}

# import NAME FOLDER CHANGE…: the tree as an image.
import() {
  local name=$1 folder=$2 changes=()
  shift 2
  for change in "$@"; do changes+=(--change "$change"); done
  tar -C "$folder" -c . | $ENGINE import "${changes[@]}" - "$name" >/dev/null
  say "$name is there"
}

work=${WORK:-$(cd "$(dirname "$0")/../.." && pwd)/target/bases}
mkdir -p "$work"

for what in "$@"; do
  case $what in
    debian)
      tree "$work/debian" gcc,libc6-dev,ca-certificates
      import localhost/portico-base:debian "$work/debian"
      ;;
    rust)
      tree "$work/rust" gcc,libc6-dev,ca-certificates
      with_rust "$work/rust"
      import localhost/portico-base:rust "$work/rust"
      ;;
    redis)
      tree "$work/redis" redis-server
      mkdir -p "$work/redis/data"
      # As whom the official image runs, whatever Debian has chosen.
      chown 999:999 "$work/redis/data"
      import localhost/redis:7 "$work/redis" 'USER 999:999' 'WORKDIR /data' 'VOLUME /data' \
        'CMD ["redis-server"]'
      ;;
    prometheus)
      tree "$work/prometheus" prometheus
      mkdir -p "$work/prometheus/prometheus"
      chown 65534:65534 "$work/prometheus/prometheus"
      import localhost/prom/prometheus:v3.5.0 "$work/prometheus" 'USER 65534:65534' \
        'VOLUME /prometheus' 'ENTRYPOINT ["/usr/bin/prometheus"]'
      ;;
    *)
      say "unknown: $what (debian, rust, redis, prometheus)"
      exit 64
      ;;
  esac
done
