#!/usr/bin/env bash
# Fuzzes the control plane's API: the real binary on port 0 with a store and a token of its own, and
# schemathesis against its OpenAPI document. SECONDS_EACH bounds the time, SEED repeats a run.
# What is checked, and what is left out and why, is in api-fuzz.toml.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
portico=$root/target/debug/portico
schemathesis=$root/target/tools/schemathesis/bin/schemathesis
seconds=${SECONDS_EACH:-120}
token=0123456789abcdef-api-fuzz

directory=$(mktemp -d)
started=
finish() {
  if [[ -n $started ]]; then
    kill "$started" 2>/dev/null || true
    wait "$started" 2>/dev/null || true
  fi
  rm -rf "$directory"
}
trap finish EXIT

PORTICO_CONTROL__TOKEN=$token "$portico" serve --connect-url https://connect.example.com \
  --store-url "embedded:$directory/store" --addresses-file "$directory/addresses.json" \
  --proxy-http 127.0.0.1:0 --proxy-workers 1 --control-listen 127.0.0.1:0 \
  --management-listen 127.0.0.1:0 >"$directory/portico.log" 2>&1 &
started=$!

for _ in $(seq 100); do
  [[ -f $directory/addresses.json ]] && break
  kill -0 "$started" 2>/dev/null || { cat "$directory/portico.log" >&2; exit 1; }
  sleep 0.1
done
address() {
  tr -d ' \n' <"$directory/addresses.json" | sed -E "s/.*\"$1\":\"([^\"]+)\".*/\1/"
}
control=$(address control)

# Data of examples are kept in the working directory.
cd "$directory"
status=0
"$schemathesis" --config-file "$root/bench/tools/api-fuzz.toml" run \
  "http://$control/v1/openapi.json" --header "Authorization: Bearer $token" \
  --max-time "$seconds" ${SEED:+--seed "$SEED"} "$@" || status=$?

# How deep it went: a run in which nothing was ever created proves nothing.
"${schemathesis%/*}/python" - "http://$(address management)/metrics" <<'PYTHON' || status=1
import re, sys, urllib.request
text = urllib.request.urlopen(sys.argv[1]).read().decode()
line = r'portico_api_requests_total\{method="(\w+)",route="(.+)",status="(2..)"\} (\d+)'
done = re.findall(line, text)
for method, route, status, count in done:
    print(f"{count:>8} x {status} {method} {route}")
sys.exit(("POST", "/v1/sessions", "201") not in {found[:3] for found in done})
PYTHON

if ! kill -0 "$started" 2>/dev/null || grep -a 'panicked at' "$directory/portico.log" >&2; then
  tail -n 40 "$directory/portico.log" >&2
  echo 'api-fuzz: portico has ended or panicked' >&2
  exit 1
fi
exit "$status"
