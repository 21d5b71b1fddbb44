#!/usr/bin/env bash
# Makes base images where none can be pulled: base.sh WHAT…, with Debian's debootstrap, as root.
#   rust        the BASE of deploy/Containerfile, with the Rust toolchain of this machine
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
    debian | rust)
      tree "$work/debian" gcc,libc6-dev,ca-certificates
      import localhost/portico-base:debian "$work/debian"
      ;;&
    debian) ;;
    rust)
      toolchain=$(rustc --print sysroot)
      mkdir -p "$work/debian/opt"
      cp -a "$toolchain" "$work/debian/opt/rust"
      rm -rf "$work/debian/opt/rust/share/doc"
      import localhost/portico-base:rust "$work/debian" \
        'ENV PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
      rm -rf "$work/debian/opt/rust"
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
