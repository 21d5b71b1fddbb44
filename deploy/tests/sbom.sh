#!/usr/bin/env bash
# `make sbom`: what the binary is made of, as CycloneDX in JSON, at target/portico.cdx.json. What is
# only built or tested with is left out.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$PWD/target/portico.cdx.json
trap 'find . -name portico-sbom.json -not -path "./target/*" -delete' EXIT
cargo cyclonedx --format json --spec-version 1.5 --no-build-deps --override-filename portico-sbom
mv portico-sbom.json "$out"
python3 - "$out" <<'PYTHON'
import json, sys
bom = json.load(open(sys.argv[1]))
parts = bom["components"]
print(f"{sys.argv[1]}: CycloneDX {bom['specVersion']}, {len(parts)} components")
missing = [part["name"] for part in parts if not part.get("licenses")]
if missing:
    print("without a licence:", *missing)
PYTHON
