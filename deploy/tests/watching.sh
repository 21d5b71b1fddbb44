#!/usr/bin/env bash
# Shows that deploy/'s rules and dashboard work: promtool checks and tests them; then a split install
# (a Redis, a control, two proxies) under a small load is scraped by a real Prometheus, which is
# asked every query of the dashboard and every rule. All on loopback, on free ports, in a directory
# of its own; nothing stays. `watching.sh [DIRECTORY]` leaves what was answered there, to be drawn.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
deploy=$root/deploy
binaries=${BINARIES:-$root/target/debug}
answers=${1:-}
# Every rule is evaluated within half a minute; a rate wants two scrapes more.
load_seconds=${LOAD_SECONDS:-45}

work=$(mktemp -d)
started=()
stop() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

fail() {
  printf 'watching: %s\n' "$*" >&2
  tail -n 20 "$work"/*.log >&2 || true
  exit 1
}

# run NAME COMMAND…: in the background, its output in NAME.out and NAME.log.
run() {
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>"$work/$name.log" &
  started+=($!)
}

# until_true WHAT COMMAND…: asks ten times a second, for half a minute.
until_true() {
  local what=$1 _
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "in vain for 30 s: $what"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# address NAME LISTENER: where a Portico listens, from its addresses file.
address() {
  python3 - "$work/$1.addresses" "$2" <<'PYTHON'
import json, sys
found = json.load(open(sys.argv[1]))[sys.argv[2]]
print(found[0] if isinstance(found, list) else found)
PYTHON
}

echo "== promtool"
# The file as it is shipped, with the rules where they are here.
sed "s|/etc/prometheus/rules|$deploy/prometheus/rules|" "$deploy/prometheus/prometheus.yml" \
  >"$work/shipped.yml"
promtool check config "$work/shipped.yml"
promtool test rules "$deploy"/prometheus/tests/*.yml

echo "== a split install"
redis_port=$(free_port)
run redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' \
  --appendonly no --maxmemory-policy noeviction
until_true "Redis answers" redis-cli -p "$redis_port" ping

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=connect.example.com \
  -addext 'subjectAltName=DNS:connect.example.com,DNS:*.connect.example.com' \
  -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$work/token"
cat >"$work/policy.json" <<'JSON'
{"buckets": [{"name": "address",
  "quotas": [{"bytes": "64KB", "window": "1h", "on_exceed": "warn"}],
  "extractors": [{"protocol": "any", "source": {"type": "client_ip"}}]}]}
JSON

# portico NAME ROLE ASSIGNMENT…: a Portico of the install, with more settings.
portico() {
  local name=$1 role=$2
  shift 2
  run "$name" env -i PATH="$PATH" HOME="$work" \
    PORTICO_CONNECT_URL=https://connect.example.com \
    PORTICO_PROXY__HTTP=127.0.0.1:0 PORTICO_PROXY__HTTPS=off PORTICO_PROXY__WORKERS=2 \
    PORTICO_CONTROL__LISTEN=127.0.0.1:0 PORTICO_CONTROL__TOKEN_FILE="$work/token" \
    PORTICO_MANAGEMENT__LISTEN=127.0.0.1:0 PORTICO_STORE__CACHE="$work/$name.cache" \
    PORTICO_STORE__URL="redis://127.0.0.1:$redis_port/0" PORTICO_ACCOUNTING__INTERVAL=1s \
    PORTICO_ADDRESSES_FILE="$work/$name.addresses" "$@" "$binaries/portico" "$role"
  until_true "$name listens" test -s "$work/$name.addresses"
}

# The first proxy is open and gets the load; the second keeps its gate, behind a provider that is
# away, so that there is something to see of grants, tickets and sign-ins.
portico control control
portico open proxy PORTICO_ACCESS__MODE=open PORTICO_QUOTAS__POLICY="$work/policy.json" \
  PORTICO_ACCOUNTING__SESSION_METRICS=true
portico closed proxy PORTICO_PROXY__HTTPS=127.0.0.1:0 \
  PORTICO_TLS__CERTIFICATES="$work/tls.crt:$work/tls.key" \
  PORTICO_ACCESS__ISSUER=http://127.0.0.1:1 PORTICO_ACCESS__CLIENT_ID=portico \
  PORTICO_ACCESS__CLIENT_SECRET=of-nobody-0123456789

run upstream "$binaries/portico-bench" backend
until_true "the upstream listens" test -s "$work/upstream.out"
upstream=http://$(<"$work/upstream.out")

export PORTICO_API PORTICO_TOKEN_FILE=$work/token
PORTICO_API=http://$(address control control)
# session LABEL WORKSPACE UPSTREAM STATE
session() {
  curl -sSf -o /dev/null -H "Authorization: Bearer $(<"$work/token")" \
    -H 'Content-Type: application/json' "$PORTICO_API/v1/sessions" -d \
    "{\"id\": \"$1\", \"label\": \"$1\", \"workspace\": \"$2\", \"owner\": \"ada\", \"tool\": \"custom\",
      \"upstream\": \"$3\", \"state\": \"$4\"}"
}
session here genomics "$upstream" running
session echo imaging "$upstream" running
session gone imaging http://127.0.0.1:1 running
session soon genomics "$upstream" starting
open=$(address open http) closed=$(address closed http) secure=$(address closed https)
until_true "the sessions are routable" curl -sSf -H 'Host: here.connect.example.com' "http://$open/"

echo "== Prometheus"
prometheus_port=$(free_port)
cat >"$work/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: ["$deploy/prometheus/rules/*.yml"]
scrape_configs:
  - job_name: portico-proxy
    static_configs:
      - targets: ["$(address open management)", "$(address closed management)"]
  - job_name: portico-control
    static_configs: [{ targets: ["$(address control management)"] }]
YAML
run prometheus prometheus --config.file="$work/prometheus.yml" \
  --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$prometheus_port"
prometheus=http://127.0.0.1:$prometheus_port
until_true "Prometheus is ready" curl -sSf "$prometheus/-/ready"

# ask PROXY LABEL PATH CURL-ARGUMENT…: one request, whatever is answered.
ask() {
  local proxy=$1 label=$2 path=$3
  shift 3
  curl -sk -o /dev/null -H "Host: $label.connect.example.com" "$@" "$proxy$path" || true
}

echo "== a load of $load_seconds s"
run get "$binaries/portico-bench" load get --address "$open" --host here.connect.example.com \
  --connections 4 --seconds "$load_seconds"
run echo "$binaries/portico-bench" load echo --address "$open" --host echo.connect.example.com \
  --connections 4 --seconds "$load_seconds"
long=/$(head -c 20000 /dev/zero | tr '\0' a)
over=$((SECONDS + load_seconds))
while ((SECONDS < over)); do
  ask "http://$open" gone /
  ask "http://$open" soon /
  ask "http://$open" unknown /
  ask "http://$open" here "$long"
  ask "https://$secure" here / -H 'X-Portico-Grant: made-up'
  curl -skL -o /dev/null -H 'Accept: text/html' --connect-to "::$secure" \
    https://here.connect.example.com/ || true
  ticket=$("$binaries/portico" ticket create here --user ada --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["ticket"])')
  ask "http://$closed" here /_portico/grant --data-urlencode "ticket=$ticket"
  ask "http://$closed" here /_portico/grant --data-urlencode "ticket=$ticket"
  curl -s -o /dev/null "$PORTICO_API/v1/sessions" -H 'Authorization: Bearer of-nobody-at-all' || true
  sleep 1
done

echo "== every query and every rule"
python3 "$deploy/tests/queries.py" "$prometheus" "$deploy/grafana/dashboards/portico.json" \
  ${answers:+"$answers"}
