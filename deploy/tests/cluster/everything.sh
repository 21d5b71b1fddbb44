# All that the chart can do at once: the values `everything on` of charts/matrix.yaml, in a cluster
# that has what they ask for. Sourced by cluster.sh.

if [[ -z ${KUBE_SECCOMP:-} ]]; then
  left_out+=("everything on, for want of KUBE_SECCOMP")
  return
fi
cp "$root/deploy/seccomp-ebpf.json" "$KUBE_SECCOMP/portico.json"
"$KUBE_SH" crds >"$work/crds.log" 2>&1 || fail "crds: $(tail -n 3 "$work/crds.log")"
kubectl label node --all edge=yes >/dev/null

# Two capabilities are more than the level `baseline` lets through.
in_namespace everything privileged
volume data-portico-redis-0
sample
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
  -subj /CN=connect.example.com -keyout "$work/tls.key" -out "$work/tls.crt" \
  -addext 'subjectAltName=DNS:connect.example.com,DNS:*.connect.example.com' 2>/dev/null
for name in existing-connect existing-sessions existing-api; do
  kubectl create secret generic "$name" --type kubernetes.io/tls --from-file="$work/tls.crt" \
    --from-file="$work/tls.key" --from-file=ca.crt="$work/tls.crt" >/dev/null
done
kubectl create configmap existing-ca --from-file=ca.crt="$work/tls.crt" >/dev/null

"$root/target/tools/kubernetes-validate/bin/python" - "$root/deploy/tests/charts/matrix.yaml" \
  >"$work/everything.yaml" <<'PYTHON'
import sys, yaml
cases = yaml.safe_load_all(open(sys.argv[1]))
print(yaml.safe_dump(next(case for case in cases if case["name"] == "everything on")["values"]))
PYTHON
# The cgroup v2 of a host that has both is not in its pods.
more=()
if [[ -d $UNIFIED ]]; then
  more=(--set-json "proxy.extraVolumes=[{\"name\": \"more\", \"hostPath\": {\"path\": \"$UNIFIED\"}}]")
fi
helm install portico "$root/deploy/helm/portico" --values "$work/everything.yaml" "${more[@]}" \
  --set image.repository=localhost/portico --set redis.bundled.image=localhost/redis:7 \
  >"$work/notes.txt" 2>&1 || fail "helm install: $(<"$work/notes.txt")"
rolled_out deployment/portico-proxy deployment/portico-control statefulset/portico-redis
until_true "the autoscaler makes two of one" count_is proxy 2
for kind in httproute ingress servicemonitor hpa pdb networkpolicy; do
  [[ -n $(kubectl get "$kind" -o name) ]] || fail "no $kind"
done
ok "everything on: installed and ready; HTTPRoutes, Ingresses, a ServiceMonitor, an autoscaler"
used=$(in_use "$(pods proxy | head -n 1)")
[[ $used == *'source="ebpf"'*'backend="uring"'* ]] || fail "in use: $used"
ok "uid 0 with two capabilities: $used"
helm uninstall portico --wait >"$work/uninstall.log" 2>&1 || fail "helm uninstall"
end_namespace
