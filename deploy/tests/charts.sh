#!/usr/bin/env bash
# The chart and the manifests, by the real helm and kubectl (or kustomize), against the schemas of
# Kubernetes: see charts.py. `make charts` installs what it needs. PORTICO is the program that reads
# the rendered settings (target/debug/portico unless set).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
bench/tools/install.sh helm
export PORTICO=${PORTICO:-$root/target/debug/portico}
if [[ ! -x $PORTICO ]]; then
  printf 'charts: there is no %s: run `cargo build --bin portico`, or set PORTICO\n' "$PORTICO" >&2
  exit 69
fi
export TOOLS=$root/target/tools
exec "$TOOLS/kubernetes-validate/bin/python" deploy/tests/charts.py "$@"
