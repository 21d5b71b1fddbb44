# The chart as proxies and an API with a Redis, while clients are at work: rollouts, changes of
# settings, a Redis that is away. Sourced by cluster.sh.

in_namespace split
volume data-portico-redis-0
sample
api=deployment/portico-control

cat >"$work/split.yaml" <<YAML
mode: split
environment: {CONNECT_PROXY_URL: "https://connect.example.com", PLATFORM_URL: "https://platform.example.com"}
image: {repository: localhost/portico}
redis: {bundled: {enabled: true, image: "localhost/redis:7"}, password: {value: of-the-redis}}
control: {token: {value: a-token-of-at-least-32-characters-0123}}
proxy: {drainSeconds: 10}
YAML
upgrade() {
  local edge=deployment
  if [[ $* == *DaemonSet* ]]; then edge=daemonset; fi
  helm upgrade --install portico "$root/deploy/helm/portico" --values "$work/split.yaml" "$@" \
    >"$work/notes.txt" 2>&1 || fail "helm: $(<"$work/notes.txt")"
  rolled_out $edge/portico-proxy deployment/portico-control statefulset/portico-redis
}
upgrade
ok "helm install of two proxies, two of control, a Redis"
both_routings
ok "$(in_use "$(pods proxy | head -n 1)")"
for pod in $(pods proxy) $(pods control); do confined "$pod" 65532; done

# at_rest POD: memory, and the share of a core in 10 s.
at_rest() {
  local pid before
  pid=$(process "$1")
  ticks() { sed -E 's/.*\) //' "/proc/$pid/stat" | cut -d' ' -f12,13 | tr ' ' + | bc; }
  before=$(ticks)
  sleep 10
  echo "$1: $(awk '/^VmRSS|^RssAnon/ { printf "%s %.1f MiB, ", $1, $2 / 1024 }' "/proc/$pid/status")" \
    "$(bc <<<"($(ticks) - $before) * 100 / $(getconf CLK_TCK)")m of a core"
}
say "at rest: $(at_rest "$(pods proxy | head -n 1)")"
say "at rest: $(at_rest "$(pods control | head -n 1)")"

# A rollout under load. drainSeconds is 10 and preStopSeconds 5, so no WebSocket ends before 15 s.
grant=$(grant_of "${bases[0]}")
"$KUBE_SH" exec python3 "$parts/clients.py" "$address" sample.connect.example.com "$grant" \
  >"$work/clients.json" &
clients=$!
sleep 3
old=$(pods proxy)
kubectl rollout restart deployment/portico-proxy >/dev/null
rolled_out deployment/portico-proxy
for pod in $old; do kubectl wait --for=delete "pod/$pod" --timeout=90s >/dev/null; done
sleep 2
kill "$clients"
wait "$clients" || true
answer=$(python3 - "$work/clients.json" <<'PYTHON'
import json, sys
seen = json.load(open(sys.argv[1]))
ends = [w for w in seen["websockets"] if w["how"] != "our end"]
print(f"{seen['requests']} requests, {seen['closed_unused']} kept connections closed while unused,"
      f" WebSockets ended: {ends}")
early = [w for w in ends if w["ended"] < 3 + 15 - 1 or not w.get("again")]
if seen["refused"] or seen["failed"] or early or not ends or seen["requests"] < 500:
    sys.exit(f"{seen}")
PYTHON
) || fail "the rollout: $answer"
ok "a rollout of the proxies fails nothing: $answer"

# Settings roll the pods; a traffic policy, once there is one, does not.
policy='{"buckets": [{"name": "address", "quotas": [{"bytes": "100GB", "window": "1h"}],
  "extractors": [{"protocol": "any", "source": {"type": "client_ip"}}]}]}'
old=$(pods proxy) old_control=$(pods control)
upgrade --set-json 'quotas.policy={"buckets": []}' --set settings.log.level=debug
[[ $(pods proxy) != *"${old%%$'\n'*}"* && $(pods control) != *"${old_control%%$'\n'*}"* ]] ||
  fail "a change of settings rolled nothing"
until_true "two proxies and no more" count_is proxy 2
old=$(pods proxy)
upgrade --set-json "quotas.policy=$policy" --set settings.log.level=debug
[[ $(pods proxy) == "$old" ]] || fail "a traffic policy rolled the pods"
ok "a change of settings rolls the pods, one of the traffic policy does not"

# Without the Redis: still ready, and still serving, also a container that starts anew.
until_true "the route is there" has_route
grant=$(grant_of "${bases[0]}")
kubectl scale statefulset/portico-redis --replicas=0 >/dev/null
until_true "the Redis is gone" gone -l app.kubernetes.io/name=portico-redis
for _ in {1..5}; do
  sleep 4
  for pod in $(pods proxy); do is_ready "$pod" || fail "$pod is not ready without the Redis"; done
  page_works "${bases[0]}" "$grant"
done
pod=$(pods proxy | head -n 1)
manage "$pod" /drain -X POST >/dev/null
restarted() { [[ $(field "pod/$pod" '.status.containerStatuses[0].restartCount') == 1 ]]; }
until_true "a proxy starts anew" restarted
until_true "it is ready" is_ready "$pod"
service=$address address="$(field "pod/$pod" .status.podIP):8080"
until_true "it has the route" has_route
page_works "${bases[0]}" "$grant"
address=$service
ok "20 s without the Redis: proxies ready, the session works, also behind a container started anew"
say "control meanwhile: $(manage "$(pods control | head -n 1)" /readyz)"
kubectl scale statefulset/portico-redis --replicas=1 >/dev/null
rolled_out statefulset/portico-redis deployment/portico-control
until_true "the API writes again" portico session create --id=again --dns-label=again \
  --workspace=demo --owner=ada --tool=sample --upstream=http://sample:8888
session_works "${bases[0]}"
ok "all is as before when the Redis is back, from its volume"

# One on each node instead.
upgrade --set proxy.kind=DaemonSet --set proxy.drainSeconds=1
until_true "the route is there" has_route
session_works "${bases[0]}"
ok "a DaemonSet takes the Deployment's place"

helm uninstall portico --wait >"$work/uninstall.log" 2>&1 || fail "helm uninstall"
until_true "the pods are gone" gone -l 'app.kubernetes.io/part-of=portico'
until_true "only the claim is left" left_is persistentvolumeclaim/data-portico-redis-0
ok "an uninstall leaves the Redis' claim, as it says, and nothing else"
end_namespace
