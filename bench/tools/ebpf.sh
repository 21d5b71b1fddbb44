#!/usr/bin/env bash
# Builds the kernel programs, or compares a fresh build with the committed object:
# `ebpf.sh build`, `ebpf.sh check`. The object depends on the source and on the versions that
# install.sh pins, and not on where the checkout lies: paths are cut from debug information, of
# which only the types (BTF) stay.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
object=$root/ebpf/portico.bpf.o
target=$root/target/ebpf
# Debian's toolchain, whatever rustup has put before it.
rust=/usr/bin
llvm=/usr/lib/llvm-22/bin

# build FILE
build() {
  local sources registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
  sources=/usr/src/rustc-$("$rust/rustc" --version | cut -d' ' -f2)
  # `core` comes from Debian's sources, which lie elsewhere than where cargo looks.
  export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT=$sources/library
  export RUSTC=$rust/rustc PATH=$root/target/tools/bpf-linker/bin:$llvm:$rust:$PATH
  export CARGO_TARGET_DIR=$target
  unset RUSTFLAGS
  local flags=(
    -Cdebuginfo=2 -Clink-arg=--btf
    "--remap-path-prefix=$root/=/portico/" "--remap-path-prefix=$sources/=/rust/"
  )
  # Its folder must be there to be named. The linker copies the source's lines where it finds them,
  # so the paths that stay lead nowhere.
  "$rust/cargo" fetch --quiet --locked --manifest-path "$root/ebpf/program/Cargo.toml"
  local index
  for index in "$registry"/*/; do flags+=("--remap-path-prefix=$index=/crates/"); done
  CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}") "$rust/cargo" build \
    --manifest-path "$root/ebpf/program/Cargo.toml" --locked --release \
    --target bpfel-unknown-none -Z build-std=core
  # Names of locals and lines are not needed to load it.
  "$llvm/llvm-objcopy" --strip-debug "$target/bpfel-unknown-none/release/portico" "$1"
}

case ${1-} in
  build) build "$object" ;;
  check)
    build "$target/portico.bpf.o"
    if ! cmp "$object" "$target/portico.bpf.o"; then
      echo "ebpf: ebpf/portico.bpf.o is not what its source builds; run \`make ebpf\` and commit" >&2
      exit 1
    fi
    echo "ebpf: the committed object is what its source builds"
    ;;
  *)
    echo "usage: ebpf.sh build|check" >&2
    exit 64
    ;;
esac
