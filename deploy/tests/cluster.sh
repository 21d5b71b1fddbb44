#!/usr/bin/env bash
# Installs the chart and the manifests in a real cluster, with the image `portico`, and works in a
# session there. `make cluster-test` calls it. The cluster is not ours: it is begun, used and ended
# by a program that KUBE_SH names, whose words are
#
#   up             start it on this machine, and wait until its node is ready
#   load TAR…      put images into it, as podman and docker save them
#   exec COMMAND…  run it inside the cluster's network, with KUBECONFIG set and kubectl in PATH
#   crds           add the definitions of the Gateway API and of the Prometheus operator
#   down           end it, and drop what it held
#
#   cluster.sh [seed|split|everything|kustomize]…     (cluster/PART.sh)
#
# KUBE_SH       that program
# KUBE_SECCOMP  the folder of its kubelet's seccomp profiles, for what wants one (`everything`, and
#               an overlay); without it these are left out, and the last line says so
# ENGINE        podman (default where it is) or docker, which has the images
# IMAGE, REDIS  the images of Portico and of a Redis 7 [localhost/portico, localhost/redis:7]
# KEEP          not empty: the cluster stays, to be looked at
#
# It needs root, bc, curl, openssl and python3.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$root/target/cluster
parts=$root/deploy/tests/cluster
HELM=$root/target/tools/helm/bin/helm
ENGINE=${ENGINE:-$(command -v podman >/dev/null && echo podman || echo docker)}
IMAGE=${IMAGE:-localhost/portico}
REDIS=${REDIS:-localhost/redis:7}
SECONDS_MAX=120
# Where a host with cgroups of both versions has the second.
UNIFIED=/sys/fs/cgroup/unified

say() { printf 'cluster: %s\n' "$*" >&2; }

if [[ ! -x ${KUBE_SH:-} ]]; then
  say "KUBE_SH must name a program that starts a cluster; what it is asked is at the top of $0"
  exit 69
fi
"$root/bench/tools/install.sh" helm

# shellcheck source=deploy/tests/steps.sh
source "$root/deploy/tests/steps.sh"
left_out=()

fail() {
  say "FAILED: $*"
  kubectl get pods -o wide >&2 || true
  kubectl get events --sort-by=.lastTimestamp 2>&1 | tail -n 20 >&2 || true
  for pod in $(kubectl get pods -o name 2>/dev/null); do
    say "$pod"
    kubectl logs "$pod" --tail 15 >&2 || true
  done
  exit 1
}

# ---- the cluster --------------------------------------------------------------------------------

namespace=default
kubectl() { "$KUBE_SH" exec kubectl --namespace "$namespace" "$@"; }
helm() {
  HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm \
    "$KUBE_SH" exec "$HELM" --namespace "$namespace" "$@"
}
field() { kubectl get "$1" -o "jsonpath={$2}"; }

# in_namespace NAME [LEVEL]: where the next steps are, with that Pod Security level enforced.
in_namespace() {
  namespace=$1
  kubectl create namespace "$1" >/dev/null
  kubectl label namespace "$1" "pod-security.kubernetes.io/enforce=${2:-restricted}" >/dev/null
}

# volume NAME: what a claim of this namespace may have, as a storage class would make it. It is
# root's, as most are; the kubelet gives it to the pod's fsGroup.
volume() {
  local name=$namespace-$1
  mkdir -p "$work/volumes/$name"
  kubectl apply -f - >/dev/null <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $name}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce]
  claimRef: {namespace: $namespace, name: $1}
  local: {path: $work/volumes/$name}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: Exists}]}]}
YAML
}

sample() {
  kubectl apply -f "$parts/sample.yaml" >/dev/null
  kubectl wait --for=condition=Ready pod/sample --timeout=60s >/dev/null || fail "the sample tool"
}

end_namespace() { kubectl delete namespace "$namespace" --wait=false >/dev/null 2>&1; }

rolled_out() { # WORKLOAD…
  for workload in "$@"; do
    kubectl rollout status "$workload" --timeout="${SECONDS_MAX}s" >"$work/rollout.log" 2>&1 ||
      fail "$workload: $(tail -n 1 "$work/rollout.log")"
  done
}

# pods COMPONENT: the names of those that are not on their way out.
pods() {
  kubectl get pods -l "app.kubernetes.io/component=$1" -o go-template='{{range .items}}'\
'{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\n"}}{{end}}{{end}}'
}
count_is() { (($(pods "$1" | grep -c .) == $2)); }
gone() { [[ -z $(kubectl get pods -o name "$@") ]]; }
is_ready() { [[ $(field "pod/$1" '.status.conditions[?(@.type=="Ready")].status') == True ]]; }

# manage POD PATH CURL-ARGUMENT…: its management listener.
manage() {
  local pod=$1 path=$2
  shift 2
  "$KUBE_SH" exec curl -sS --max-time 5 "$@" "http://$(field "pod/$pod" .status.podIP):9090$path"
}

# in_use POD: what moves its bytes and what counts them, each with the reason.
in_use() {
  manage "$1" /metrics | sed -nE 's/^portico_(io_backend|accounting_source)(\{.*\}) 1$/\1\2/p' |
    tr '\n' ' '
}

# process POD: of Portico in it. All of the cluster is on this machine.
process() {
  local uid pid
  uid=$(field "pod/$1" .metadata.uid)
  for pid in $(pgrep -x portico); do
    if grep -qE "${uid}|${uid//-/_}" "/proc/$pid/cgroup" 2>/dev/null; then echo "$pid"; fi
  done
}

# confined POD USER: what the kernel says of it, whatever the manifest says.
confined() {
  local pod=$1 user=$2 pid status
  pid=$(process "$pod")
  [[ -n $pid ]] || fail "$pod: no process"
  status=$(<"/proc/$pid/status")
  grep -qE "^Uid:\s$user\s$user\s$user\s$user" <<<"$status" || fail "$pod: not uid $user: $status"
  grep -qE '^CapEff:\s0+$' <<<"$status" || fail "$pod has capabilities: $status"
  grep -qE '^NoNewPrivs:\s1' <<<"$status" || fail "$pod may get new privileges"
  grep -qE '^Seccomp:\s2' <<<"$status" || fail "$pod has no seccomp filter"
  grep -qE '^[0-9]+ [0-9]+ [^ ]+ [^ ]+ / ro' "/proc/$pid/mountinfo" || fail "$pod: a root to write to"
  ok "$pod: uid $user, no capability, no new privileges, seccomp, a read-only root"
}

# ---- the session --------------------------------------------------------------------------------

# Where requests go, whatever host they name.
address=
fetch() {
  "$KUBE_SH" exec curl --connect-to "::$address" "$@"
}
# shellcheck source=deploy/tests/session.sh
source "$root/deploy/tests/session.sh"

# The workload with the API, for the client in its container.
api=deployment/portico
portico() { kubectl exec "$api" -- portico "$@" 2>"$work/portico.log"; }
ticket() {
  portico ticket create sample --user ada --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["ticket"])'
}
create() { # LABEL
  portico session create --id="$1" --dns-label="$1" --workspace=demo --owner=ada --tool=sample \
    --upstream=http://sample:8888 >/dev/null || fail "session create: $(<"$work/portico.log")"
}
bases=(http://sample.connect.example.com http://connect.example.com/_studio/sample)
# Without a grant a session's answer is 401; what is none is 404.
has_route() { [[ $(fetch -s -o /dev/null -w '%{http_code}' "${bases[0]}/") == 401 ]]; }

# both_routings: the sample session, in the Service that `address` is of.
both_routings() {
  address=$(field service/portico .spec.clusterIP):80
  create sample
  until_true "the session has a route" has_route
  session_works "${bases[@]}"
}

# remains WHAT: what is still there of an install.
remains() {
  kubectl get all,configmap,secret,pvc,networkpolicy,ingress,pdb,hpa,serviceaccount,endpointslice \
    -o name | grep -vE 'configmap/kube-root-ca.crt|serviceaccount/default$|/sample(-[a-z0-9]+)?$' | sort
}

left_is() { [[ $(remains) == "$1" ]]; }

# ---- what is done -------------------------------------------------------------------------------

ended=
down() {
  if [[ -n $ended || -n ${KEEP:-} ]]; then return; fi
  ended=yes
  "$KUBE_SH" down >"$work/down.log" 2>&1 || say "the cluster was not ended: see $work/down.log"
}
trap down EXIT
trap 'exit 130' INT TERM

up() {
  rm -rf "$work"
  mkdir -p "$work"
  # Names that no registry is asked for.
  local names image name
  for names in "$IMAGE portico:0.1.0" "$REDIS redis:7"; do
    read -r image name <<<"$names"
    "$ENGINE" tag "$image" "localhost/$name" &&
      "$ENGINE" save -o "$work/${name%:*}.tar" "localhost/$name" >"$work/save.log" 2>&1 || {
      say "the image $image cannot be had (make image, deploy/tests/base.sh redis):"
      cat "$work/save.log" >&2
      exit 69
    }
  done
  say "up"
  "$KUBE_SH" up >"$work/up.log" 2>&1 || { tail -n 20 "$work/up.log" >&2; exit 69; }
  "$KUBE_SH" load "$work"/*.tar >"$work/load.log" 2>&1
  if [[ -n ${KUBE_SECCOMP:-} ]]; then mkdir -p "$KUBE_SECCOMP"; fi
  say "$(kubectl get nodes -o custom-columns=':status.nodeInfo.kubeletVersion,'\
':status.nodeInfo.containerRuntimeVersion,:status.nodeInfo.kernelVersion' --no-headers)"
}

up
for part in ${*:-seed split everything kustomize}; do
  say "$part"
  # shellcheck disable=SC1090
  source "$parts/$part.sh"
done
((${#left_out[@]} == 0)) || say "left out: ${left_out[*]}"
echo "$checks passed, 0 failed"
