#!/usr/bin/env bash
# Runs both Compose files with a built image, as an operator would, and works in the sample session
# through them: by both routings, with a WebSocket. `make image-test` calls it. It takes the ports
# 8080, 8081, 7080, 9091 and 3000, and leaves no container, network or named volume of its projects.
#
#   compose.sh [all-in-one|split]…
#
# ENGINE    podman (default where it is) or docker
# COMPOSE   `podman-compose` or `docker compose`
# IMAGE     the image of Portico [localhost/portico]
# WITHOUT   services that this machine has no image for, as in WITHOUT=grafana
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/target/compose
mkdir -p "$work"

ENGINE=${ENGINE:-$(command -v podman >/dev/null && echo podman || echo docker)}
if [[ $ENGINE == podman ]]; then COMPOSE=${COMPOSE:-podman-compose}; fi
COMPOSE=${COMPOSE:-docker compose}
export IMAGE=${IMAGE:-localhost/portico}
# Of the others, as base.sh makes them; empty: as the engine finds them.
export IMAGES=${IMAGES-localhost/}
WITHOUT=${WITHOUT:-}
SECONDS_MAX=60

say() { printf 'compose: %s\n' "$*" >&2; }

if [[ $ENGINE == podman && -z ${CONTAINERS_CONF:-} ]]; then
  export CONTAINERS_CONF=$work/containers.conf
  # Also where podman went on with CNI because that was there first: CNI gives no address outside of
  # `ip_range`, which keeps ours apart from those that the engine chooses.
  printf '[network]\nnetwork_backend = "netavark"\n' >"$CONTAINERS_CONF"
  # crun refuses cgroups that are half v1 and half v2, and such a machine may have less files and
  # processes than podman gives.
  if [[ -d /sys/fs/cgroup/unified ]]; then
    printf '[engine]\nruntime = "runc"\n[containers]\ndefault_ulimits = [%s]\n' \
      "\"nofile=$(ulimit -Hn):$(ulimit -Hn)\", \"nproc=10000:10000\"" >>"$CONTAINERS_CONF"
  fi
fi
if [[ $ENGINE == podman ]] && ! podman info >"$work/info.log" 2>&1; then
  cat "$work/info.log" >&2
  say 'podman does not work here; Debian: apt-get install podman netavark aardvark-dns'
  exit 69
fi

if [[ $COMPOSE == podman-compose && $(podman-compose --version 2>&1) == *' 1.0.'* ]]; then
  say "this podman-compose does not know networks with addresses; a newer: pip install podman-compose"
  exit 69
fi

# shellcheck source=deploy/tests/steps.sh
source "$root/deploy/tests/steps.sh"

fail() {
  say "FAILED: $*"
  $COMPOSE -f "$file" logs 2>&1 | tail -n 60 >&2 || true
  exit 1
}

# A copy, because .env lies beside the file, and an operator may have one there.
cp -r "$root/deploy/." "$work/deploy"
# The variables of the seed alone.
grep -E '^(CONNECT_PROXY_URL|PLATFORM_URL)=' "$root/deploy/.env.example" >"$work/deploy/.env"
cd "$work/deploy"

file=compose.yaml
down() { $COMPOSE -f "$file" down --volumes >"$work/down.log" 2>&1 || true; }
trap down EXIT

# Services of the file, without those of WITHOUT.
services() {
  python3 - "$file" $WITHOUT <<'PYTHON'
import sys, re
text, without = open(sys.argv[1]).read(), sys.argv[2:]
block = re.search(r"(?m)^services:\n((?:(?:  .*)?\n)*)", text).group(1)
print(*(name for name in re.findall(r"(?m)^  ([\w-]+):$", block) if name not in without))
PYTHON
}

up() {
  local list
  read -ra list < <(services)
  say "$file: up ${list[*]}"
  $COMPOSE -f "$file" up -d "${list[@]}" >"$work/up.log" 2>&1 || {
    tail -n 40 "$work/up.log" >&2
    fail "up"
  }
}

in_container() { $COMPOSE -f "$file" exec -T "$@"; }

# shellcheck source=deploy/tests/session.sh
source "$root/deploy/tests/session.sh"
fetch() { curl "$@"; }

# The ticket of a new URL of the sample; `api` is the service with the API.
ticket() {
  in_container "$api" portico ticket create sample --user ada --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["ticket"])'
}

# session SERVICE PORT: by both routings.
session() {
  api=$1
  session_works "http://sample.localhost:$2" "http://localhost:$2/_studio/sample"
}

created() { in_container "$1" portico session list --json | grep -q '"sample"'; }

all-in-one() {
  file=compose.yaml
  up
  becomes_true "the health check says yes" in_container portico portico healthz --ready
  becomes_true "the sample is registered" created portico
  session portico 8080
  answer=$(in_container portico portico healthz --url http://127.0.0.1:9090/metrics | grep -E \
    '^portico_(io_backend|accounting_source)\{.* 1$') || fail "metrics"
  ok "$(echo "$answer" | tr '\n' ' ')"
  # The network of the sessions has no way to the API and to management.
  in_container sample portico healthz --url http://portico:8080/healthz >/dev/null 2>&1 ||
    fail "a session does not reach the traffic listener"
  for to in portico:7080 172.31.251.10:7080 portico:9090 172.31.251.10:9090; do
    if in_container sample portico healthz --url "http://$to/healthz" >/dev/null 2>&1; then
      fail "a session reaches $to"
    fi
  done
  ok "a session reaches neither the API nor management"
  $COMPOSE -f "$file" restart portico >"$work/restart.log" 2>&1 || fail "restart"
  becomes_true "it is ready after a restart" in_container portico portico healthz --ready
  session portico 8080
  down
}

split() {
  file=compose.split.yaml
  up
  becomes_true "control is ready" in_container control portico healthz --ready
  becomes_true "the sample is registered" created control
  for port in 8080 8081; do
    becomes_true "the proxy at $port has the route" has_route "$port"
    session control "$port"
  done
  answer=$(in_container control portico replica list) || fail "replica list"
  (($(grep -c . <<<"$answer") >= 4)) || fail "not three replicas: $answer"
  ok "two proxies and control know of each other"
  in_container sample portico healthz --url http://proxy-1:8080/healthz >/dev/null 2>&1 ||
    fail "a session does not reach the traffic listener"
  for to in proxy-1:9090 172.31.251.11:9090; do
    if in_container sample portico healthz --url "http://$to/healthz" >/dev/null 2>&1; then
      fail "a session reaches a proxy's management at $to"
    fi
  done
  ok "a session does not reach a proxy's management"
  if [[ " $WITHOUT " != *" prometheus "* ]]; then
    becomes_true "Prometheus scrapes two proxies and control" scraped
  fi
  if [[ " $WITHOUT " != *" grafana "* ]]; then
    becomes_true "Grafana has the dashboard" \
      curl -sf "http://127.0.0.1:3000/api/search?query=Portico"
  fi
  # What the README says: without control and Redis every route goes on.
  $COMPOSE -f "$file" stop control redis >"$work/stop.log" 2>&1 || fail "stop"
  for port in 8080 8081; do
    has_route "$port" || fail "the route is gone at $port"
  done
  ok "routes stay with control and Redis stopped"
  down
}

# Without a grant a session's answer is 401; what is none is 404.
has_route() {
  [[ $(curl -s -o /dev/null -w '%{http_code}' "http://sample.localhost:$1/") == 401 ]]
}

scraped() {
  curl -s http://127.0.0.1:9091/api/v1/targets | python3 -c '
import json, sys
up = [t for t in json.load(sys.stdin)["data"]["activeTargets"]
      if t["health"] == "up" and t["labels"]["job"].startswith("portico")]
sys.exit(len(up) != 3)'
}

for what in "${@:-all-in-one split}"; do
  for one in $what; do "$one"; done
done
echo "$checks passed, 0 failed"
