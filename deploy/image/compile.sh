#!/bin/sh
# Run in the build stage of the image: compile.sh ARCHITECTURE OUT. Compiles Portico for amd64 or
# arm64 (nothing: the machine's own) from the sources in the current folder.
set -eu
architecture=$1 out=$2

case ${architecture:-$(dpkg --print-architecture)} in
  amd64) triple=x86_64-unknown-linux-gnu ;;
  arm64) triple=aarch64-unknown-linux-gnu ;;
  *) echo "compile: amd64 or arm64, not $architecture" >&2; exit 64 ;;
esac

host=$(rustc -vV | sed -n 's/^host: //p')
if [ "$triple" != "$host" ]; then
  # Where rustup is not what brought Rust, its std for this target is a package like the others.
  if command -v rustup >/dev/null; then rustup target add "$triple"; fi
  prefix=${triple%%-*}-linux-gnu
  variable=$(echo "$triple" | tr a-z- A-Z_)
  export "CARGO_TARGET_${variable}_LINKER=$prefix-gcc"
  export "CC_$(echo "$triple" | tr - _)=$prefix-gcc"
fi

cargo build --release --locked --bin portico --target "$triple"
install -D "target/$triple/release/portico" "$out"
