# The chart with the variables of the seed and nothing else: one process, its store on a volume.
# Sourced by cluster.sh.

in_namespace seed
volume portico
sample
api=deployment/portico

# As a file of values, as an operator has them.
python3 - "$root/deploy/.env.example" >"$work/seed.yaml" <<'PYTHON'
import re, sys
print("environment:")
for name, _ in re.findall(r"(?m)^(CONNECT_PROXY_URL|PLATFORM_URL)=(.*)$", open(sys.argv[1]).read()):
    host = {"CONNECT_PROXY_URL": "connect", "PLATFORM_URL": "platform"}[name]
    print(f"  {name}: https://{host}.example.com")
PYTHON
here=(--set image.repository=localhost/portico)

helm install portico "$root/deploy/helm/portico" --values "$work/seed.yaml" "${here[@]}" \
  >"$work/notes.txt" 2>&1 || fail "helm install: $(<"$work/notes.txt")"
# What the notes say comes next.
grep -qE '^  kubectl .* rollout status deployment/portico$' "$work/notes.txt" || fail "the notes"
rolled_out "$api"
ok "helm install with CONNECT_PROXY_URL and PLATFORM_URL alone"
next=$(sed -nE 's/^  kubectl --namespace seed (exec .* session create .*)$/\1/p' "$work/notes.txt")
next=${next//WORKSPACE/demo} next=${next//USER/ada} next=${next//ADDRESS/sample}
# shellcheck disable=SC2086
kubectl $next >"$work/next.log" 2>&1 || fail "what the notes say: $next: $(<"$work/next.log")"
ok "the notes' commands work"
grep -oE "data plane.*" <(kubectl logs "$api") >/dev/null || fail "the notes' look into the log"

both_routings
pod=$(pods serve)
ok "$(in_use "$pod")"
confined "$pod" 65532

# Its volume outlives the pod.
kubectl rollout restart "$api" >/dev/null
rolled_out "$api"
until_true "the route is there again" has_route
session_works "${bases[0]}"
ok "sessions outlive the pod"

# OpenShift chooses a user of the namespace's own range, in the group 0, and a group for volumes.
helm upgrade portico "$root/deploy/helm/portico" --values "$work/seed.yaml" "${here[@]}" \
  --set openshift=true >/dev/null || fail "helm upgrade"
kubectl patch "$api" --type merge -p '{"spec": {"template": {"spec": {"securityContext":
  {"runAsUser": 1000650000, "fsGroup": 1000650000}}}}}' >/dev/null
rolled_out "$api"
until_true "the route is there with another user" has_route
session_works "${bases[0]}"
confined "$(pods serve)" 1000650000

helm uninstall portico --wait >"$work/uninstall.log" 2>&1 || fail "helm uninstall"
until_true "the pods are gone" gone -l app.kubernetes.io/name=portico
until_true "only the claim is left" left_is persistentvolumeclaim/portico
ok "an uninstall leaves the claim, as it says, and nothing else"
end_namespace
