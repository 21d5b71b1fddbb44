# Every overlay of deploy/kubernetes, in a copy in which the URLs are written down, as its README
# says, and the images are those of this machine. Sourced by cluster.sh.

rm -rf "$work/kustomize"
cp -r "$root/deploy/kubernetes" "$work/kustomize"
sed -i 's/^CONNECT_REDIS_ADDRESS=.*/CONNECT_REDIS_ADDRESS=portico-redis.split-redis:6379/' \
  "$work/kustomize/overlays/split/redis.env"

databases=0

# overlay NAME LEVEL [PATCH]: applied in a namespace of its name, and at work.
overlay() {
  local name=$1 level=$2 patch=${3:-} here=$work/kustomize/overlays/$1-here edge=portico-proxy
  in_namespace "$name" "$level"
  api=deployment/portico-control
  # All but the first and the last have the Redis of split-redis: a database each.
  databases=$((databases + 1))
  sed -i "s/^CONNECT_REDIS_DB=.*/CONNECT_REDIS_DB=$databases/" \
    "$work/kustomize/overlays/split/redis.env"
  case $name in
    all-in-one) api=deployment/portico edge=portico && volume portico ;;
    split-redis | openshift) volume data-portico-redis-0 ;;
  esac
  kubectl create secret generic portico-secrets --from-literal=CONNECT_REDIS_PASSWORD=of-the-redis \
    --from-literal=PORTICO_CONTROL__TOKEN=a-token-of-at-least-32-characters-0123 >/dev/null
  sample
  mkdir -p "$here"
  cat >"$here/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: $name
resources: [../$name]
images:
  - {name: portico, newName: localhost/portico}
  - {name: redis, newName: localhost/redis, newTag: "7"}
$patch
YAML
  kubectl apply -k "$here" >"$work/apply.log" 2>&1 || fail "$name: $(<"$work/apply.log")"
  ! grep -i warning "$work/apply.log" >&2 || fail "$name: a warning"
  if [[ $api == deployment/portico ]]; then
    rolled_out deployment/portico
  else
    if [[ $name == split-redis || $name == openshift ]]; then
      rolled_out statefulset/portico-redis
    fi
    rolled_out "deployment/$edge" "$api"
  fi
  both_routings
  ok "overlay $name: $(in_use "$(kubectl get pods -l portico/clients=yes \
    -o 'jsonpath={.items[0].metadata.name}')")"
}

# unapplied NAME: leaves what its README says, and nothing else.
unapplied() {
  local left=secret/portico-secrets
  namespace=$1
  if [[ $1 == split-redis || $1 == openshift ]]; then
    left=$'persistentvolumeclaim/data-portico-redis-0\n'$left
  fi
  # redis.env was written again since, so the name of its map is another.
  kubectl delete --ignore-not-found -k "$work/kustomize/overlays/$1-here" >"$work/delete.log" 2>&1 ||
    fail "delete: $(<"$work/delete.log")"
  kubectl delete configmap --selector app.kubernetes.io/part-of=portico >/dev/null 2>&1
  until_true "what is left of $1 is $left" left_is "$left"
  end_namespace
}

"$KUBE_SH" crds >"$work/crds.log" 2>&1 || fail "crds: $(tail -n 3 "$work/crds.log")"

overlay all-in-one restricted
# A change of portico.env rolls the pods.
old=$(pods serve)
sed -i '$a TOWER_DATA_STUDIO_ENABLE_PATH_ROUTING=true' "$work/kustomize/base/portico.env"
kubectl apply -k "$work/kustomize/overlays/all-in-one-here" >/dev/null
rolled_out deployment/portico
[[ $(pods serve) != "$old" ]] || fail "a change of portico.env rolled nothing"
sed -i '$d' "$work/kustomize/base/portico.env"
ok "a change of portico.env rolls the pods"
unapplied all-in-one

overlay split-redis restricted
overlay split restricted
unapplied split
overlay split-ingress restricted
unapplied split-ingress
if [[ -n ${KUBE_SECCOMP:-} ]]; then
  cp "$root/deploy/seccomp-ebpf.json" "$KUBE_SECCOMP/portico.json"
  patch=
  if [[ -d $UNIFIED ]]; then
    patch="patches:
  - target: {kind: Deployment, name: portico-proxy}
    patch: |
      - {op: add, path: /spec/template/spec/volumes/-, value: {name: v2, hostPath: {path: $UNIFIED}}}
      - op: add
        path: /spec/template/spec/containers/0/volumeMounts/-
        value: {name: v2, mountPath: /cgroup}"
  fi
  overlay split-gateway privileged "$patch"
  [[ $(in_use "$(pods proxy | head -n 1)") == *'source="ebpf"'* ]] || fail "ebpf is not in use"
  unapplied split-gateway
else
  left_out+=("the overlay split-gateway, for want of KUBE_SECCOMP")
fi
unapplied split-redis
# What OpenShift's admission adds to a pod that asks for no user.
overlay openshift restricted 'patches:
  - target: {kind: Deployment|StatefulSet}
    patch: |
      - {op: add, path: /spec/template/spec/securityContext/runAsUser, value: 1000650000}
      - {op: add, path: /spec/template/spec/securityContext/fsGroup, value: 1000650000}'
for pod in $(pods proxy) $(pods control); do confined "$pod" 1000650000; done
unapplied openshift
ok "kubectl delete -k leaves the Secret and a Redis' claim, and nothing else"
