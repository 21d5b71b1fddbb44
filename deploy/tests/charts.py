"""Tests of deploy/helm and deploy/kubernetes; `charts.sh` starts it. Each value set of
charts/matrix.yaml is linted and rendered by helm, each overlay by kustomize, and then
- every document is valid for its kind, with no field that the kind does not have,
- what refers to something finds it: selectors, ports, volumes, claims, maps,
- the settings are read by the real `portico --print-config` of that role, with the pod's files,
  variables and arguments, so that a pod that could not start is found here.
charts/refused.yaml has values that helm must refuse, each with the words that it says.
Names on the command line choose cases."""

import base64
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import kubernetes_validate
import kubernetes_validate.utils
import yaml

HERE = pathlib.Path(__file__).resolve().parent
CHART = HERE.parent / "helm" / "portico"
OVERLAYS = HERE.parent / "kubernetes" / "overlays"
TOOLS = pathlib.Path(os.environ["TOOLS"])
HELM = TOOLS / "helm" / "bin" / "helm"
# The oldest that the chart takes, and the newest that has schemas.
VERSIONS = ["1.30", "1.35"]
# Kinds that Kubernetes itself does not have, by what their projects publish.
CUSTOM = ["gateway-api/gateway.networking.k8s.io_httproutes.yaml",
          "prometheus-operator/monitoring.coreos.com_servicemonitors.yaml"]
# What overlays must have in force besides, as `in_force` of charts/matrix.yaml.
OVERLAYS_IN_FORCE = {"split-gateway": {"proxy": {"accounting.source": "ebpf"},
                                       "control": {"accounting.source": "auto"}}}
WORKLOADS = {"Deployment", "DaemonSet", "StatefulSet"}


class Broken(Exception):
    """What is wrong with a case, for a person."""


def run(*command, **more):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **more)


# ---- rendering ----------------------------------------------------------------------------------

def helm(verb, chart, values, *more, release="portico"):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        names = [] if verb == "lint" else [release]
        return run(HELM, verb, *names, chart, "--values", file.name, "--namespace", "edge", *more)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def with_notes(folder):
    """The chart with its notes as one more document: helm shows them in a cluster only."""
    chart = folder / "portico"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "notes.yaml").write_text(
        f'{{{{- define "notes" -}}}}{notes}{{{{- end -}}}}\n'
        'kind: Notes\ntext: {{ include "notes" . | toJson }}\n')
    return chart


def render(case, chart):
    more = [word for api in case.get("apis", []) for word in ("--api-versions", api)]
    linted = helm("lint", CHART, case["values"], "--strict")
    if linted.returncode:
        raise Broken(f"helm lint: {linted.stdout}{linted.stderr}")
    release = case.get("release", "portico")
    rendered = helm("template", chart, case["values"], *more, release=release)
    if rendered.returncode:
        raise Broken(f"helm template: {rendered.stderr}")
    made = documents(rendered.stdout)
    notes = next(document for document in made if document["kind"] == "Notes")["text"]
    if "kubectl --namespace edge rollout status" not in notes:
        raise Broken("the notes do not say the next command")
    text = rendered.stdout.partition("# Source: portico/templates/notes.yaml")
    words(case, text[0] + text[2].partition("\n---")[2] + notes)
    return [document for document in made if document["kind"] != "Notes"]


def words(case, text):
    for word in case.get("has", []):
        if word not in text:
            raise Broken(f"lacks `{word}`")
    for word in case.get("lacks", []):
        if word in text:
            raise Broken(f"has `{word}`")


def kustomize(folder):
    kubectl = shutil.which("kubectl")
    program = [kubectl, "kustomize"] if kubectl else [TOOLS / "kustomize/bin/kustomize", "build"]
    built = run(*program, folder)
    if built.returncode:
        raise Broken(f"kustomize: {built.stderr}")
    return documents(built.stdout)


# ---- schemas ------------------------------------------------------------------------------------

# It reads megabytes of definitions for each document.
kubernetes_validate.utils.schema_contents = functools.cache(
    kubernetes_validate.utils.schema_contents)


def strict(schema):
    """As the API server prunes: a field that the schema does not name is a mistake."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" \
            and not open_ended and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def custom_schemas():
    found = {}
    for path in CUSTOM:
        spec = yaml.safe_load((TOOLS / path).read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            found[(f"{spec['group']}/{version['name']}", spec["names"]["kind"])] = schema
    return found


def valid(document, custom):
    key = (document["apiVersion"], document["kind"])
    name = f"{document['kind']}/{document['metadata']['name']}"
    try:
        if key in custom:
            jsonschema.Draft7Validator(custom[key]).validate(document)
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(document, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        where = "/".join(str(part) for part in error.path)
        raise Broken(f"{name}: {where}: {error.message}") from error


# ---- what refers to what ------------------------------------------------------------------------

def pods(all_of):
    """(workload, the pod's labels, the pod's spec)"""
    return [(workload, workload["spec"]["template"]["metadata"].get("labels", {}),
             workload["spec"]["template"]["spec"])
            for workload in all_of if workload["kind"] in WORKLOADS]


def matches(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def selected(selector, all_of, by):
    chosen = [pod for _, labels, pod in pods(all_of) if matches(selector, labels)]
    if not chosen:
        raise Broken(f"{by} selects no pod: {selector}")
    return chosen


def ports_of(pod):
    return {port["name"] for container in pod["containers"] for port in container["ports"]}


def by_name(all_of):
    found = {}
    for document in all_of:
        key = (document["kind"], document["metadata"]["name"])
        if key in found:
            raise Broken(f"{'/'.join(key)} is there twice")
        found[key] = document
    return found


def references(all_of):
    named = by_name(all_of)
    for (kind, name), document in named.items():
        by, spec = f"{kind}/{name}", document.get("spec", {})
        if kind in WORKLOADS:
            labels = spec["template"]["metadata"]["labels"]
            if not matches(spec["selector"]["matchLabels"], labels):
                raise Broken(f"{by} does not select its own pods")
            others = [other for other, found, _ in pods(all_of)
                      if other is not document and matches(spec["selector"]["matchLabels"], found)]
            if others:
                raise Broken(f"{by} selects pods of {others[0]['metadata']['name']}")
            account = spec["template"]["spec"].get("serviceAccountName", "default")
            if account.startswith("portico") and ("ServiceAccount", account) not in named:
                raise Broken(f"{by}: no account {account}")
            mounts(by, spec, named)
        elif kind == "Service":
            for pod in selected(spec["selector"], all_of, by):
                for port in spec["ports"]:
                    if port["targetPort"] not in ports_of(pod):
                        raise Broken(f"{by}: no port {port['targetPort']} in a pod that it selects")
        elif kind == "PodDisruptionBudget":
            selected(spec["selector"]["matchLabels"], all_of, by)
        elif kind == "NetworkPolicy":
            for pod in selected(spec["podSelector"]["matchLabels"], all_of, by):
                for rule in spec["ingress"]:
                    for port in rule["ports"]:
                        if port["port"] not in ports_of(pod):
                            raise Broken(f"{by}: no port {port['port']}")
        elif kind == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            if "replicas" in named[(target["kind"], target["name"])]["spec"]:
                raise Broken(f"{by}: {target['name']} says replicas itself")
        elif kind == "Ingress":
            for rule in spec["rules"]:
                for path in rule["http"]["paths"]:
                    service = path["backend"]["service"]
                    backend(by, service["name"], service["port"].get("number"), named)
        elif kind == "HTTPRoute":
            for rule in spec["rules"]:
                for ref in rule["backendRefs"]:
                    backend(by, ref["name"], ref["port"], named)
        elif kind == "ServiceMonitor":
            chosen = [service for service in all_of if service["kind"] == "Service" and
                      matches(spec["selector"]["matchLabels"], service["metadata"]["labels"])]
            if len(chosen) != 1:
                raise Broken(f"{by} selects {len(chosen)} services, and not one")


def backend(by, name, port, named):
    service = named.get(("Service", name))
    if not service or port not in [known["port"] for known in service["spec"]["ports"]]:
        raise Broken(f"{by}: no service {name} with a port {port}")


def mounts(by, spec, named):
    pod = spec["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    claims = {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    used = set()
    for container in pod["containers"]:
        for mount in container["volumeMounts"]:
            used.add(mount["name"])
            if mount["name"] not in volumes.keys() | claims:
                raise Broken(f"{by}: no volume {mount['name']}")
    if unused := volumes.keys() - used:
        raise Broken(f"{by}: volumes {unused} are mounted nowhere")
    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim", {}).get("claimName", "existing")
        if not claim.startswith("existing") and ("PersistentVolumeClaim", claim) not in named:
            raise Broken(f"{by}: no claim {claim}")


def hardened(all_of):
    for workload, _, pod in pods(all_of):
        name = workload["metadata"]["name"]
        for container in pod["containers"]:
            context = container["securityContext"]
            merged = {**pod["securityContext"], **context}
            adds = set(context["capabilities"].get("add", []))
            if not context["readOnlyRootFilesystem"] or context["allowPrivilegeEscalation"] \
                    or context["capabilities"]["drop"] != ["ALL"] or adds - {"BPF", "NET_ADMIN"}:
                raise Broken(f"{name}: {context}")
            # Added capabilities are had by uid 0 alone, and uid 0 by nobody else.
            if (merged.get("runAsUser") == 0) != bool(adds) or merged["runAsNonRoot"] == bool(adds):
                raise Broken(f"{name}: capabilities {adds} with {merged}")
        if pod.get("automountServiceAccountToken") is not False:
            raise Broken(f"{name}: has a token of Kubernetes")


# ---- the settings, read by Portico --------------------------------------------------------------

def certificate(folder):
    made = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=test",
               "-addext", "subjectAltName=DNS:*.connect.example.com", "-keyout", folder / "tls.key",
               "-out", folder / "tls.crt")
    if made.returncode:
        raise Broken(f"openssl: {made.stderr}")


class Files:
    """A pod's volumes as folders below one of ours."""

    def __init__(self, folder, named, certificates):
        self.folder, self.named, self.certificates = folder, named, certificates

    def content(self, kind, name, key):
        """Of a map or a secret that is rendered, or, of one that exists elsewhere, made up."""
        document = self.named.get((kind, name))
        if document is None:
            if key.endswith(".crt"):
                return (self.certificates / "tls.crt").read_bytes()
            if key.endswith(".key"):
                return (self.certificates / "tls.key").read_bytes()
            return b"a-secret-of-somebody-else-0123456789"
        plain = document.get("data", {}).get(key)
        if plain is None:
            raise Broken(f"{kind}/{name} has no {key}")
        return base64.b64decode(plain) if kind == "Secret" else plain.encode()

    def items(self, kind, source, name):
        document = self.named.get((kind, name))
        items = source.get("items")
        if items is None:
            keys = document["data"] if document else ["tls.crt", "tls.key"]
            items = [{"key": key, "path": key} for key in keys]
        return {item["path"]: self.content(kind, name, item["key"]) for item in items}

    def of(self, volume):
        if "configMap" in volume:
            return self.items("ConfigMap", volume["configMap"], volume["configMap"]["name"])
        if "secret" in volume:
            return self.items("Secret", volume["secret"], volume["secret"]["secretName"])
        found = {}
        for source in volume.get("projected", {}).get("sources", []):
            found |= self.items("Secret", source["secret"], source["secret"]["name"])
        return found

    def lay(self, pod, container):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in container["volumeMounts"]:
            folder = self.folder / mount["mountPath"].lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            for path, content in self.of(volumes[mount["name"]]).items():
                (folder / path).write_bytes(content)

    def moved(self, text):
        """With the paths of the pod turned into ours."""
        return re.sub(r"/(etc|run)/portico/", rf"{self.folder}/\1/portico/", text)

    def variables(self, container):
        found = {}
        for variable in container.get("env", []):
            if "value" in variable:
                found[variable["name"]] = self.moved(variable["value"])
            elif "secretKeyRef" in variable["valueFrom"]:
                ref = variable["valueFrom"]["secretKeyRef"]
                content = self.content("Secret", ref["name"], ref["key"])
                found[variable["name"]] = content.decode()
        for source in container.get("envFrom", []):
            ref = source.get("configMapRef") or source.get("secretRef")
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            document = self.named.get((kind, ref["name"]), {})
            for key in document.get("data", {}):
                found[key] = self.content(kind, ref["name"], key).decode()
        return found


def settings(all_of, case, certificates):
    named = by_name(all_of)
    in_force = {}
    for workload, labels, pod in pods(all_of):
        container = pod["containers"][0]
        if container["name"] != "portico":
            continue
        role = container["args"][0]
        with tempfile.TemporaryDirectory() as folder:
            files = Files(pathlib.Path(folder), named, certificates)
            files.lay(pod, container)
            for path in pathlib.Path(folder).rglob("*.toml"):
                path.write_text(files.moved(path.read_text()))
            printed = run(os.environ["PORTICO"], *map(files.moved, container["args"]),
                          "--print-config", "--json", env=files.variables(container))
        if printed.returncode:
            raise Broken(f"portico {role} does not take its settings:\n{printed.stderr}")
        if labels.get("app.kubernetes.io/component") != role:
            raise Broken(f"{workload['metadata']['name']}: its component is not its role, {role}")
        shown = json.loads(printed.stdout)
        in_force[role] = {key: entry["value"] for key, entry in shown.items()}
        if role != "serve" and not in_force[role]["store.url"].startswith("redis"):
            raise Broken(f"{role} shares no store: {in_force[role]['store.url']}")
        grace(pod, in_force[role], role)
    for role, expected in case.get("in_force", {}).items():
        for key, value in expected.items():
            if in_force[role].get(key) != value:
                raise Broken(f"{role}: {key} is {in_force[role].get(key)!r}, not {value!r}")


def grace(pod, in_force, role):
    """More patience than the drain has, or a kubelet kills what drains."""
    if role == "control":
        return
    drain = in_force["proxy.drain_timeout"]
    if not re.fullmatch(r"\d+s", drain):
        return
    sleep = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    least = int(drain[:-1]) + sleep.get("seconds", 0)
    if pod["terminationGracePeriodSeconds"] <= least:
        raise Broken(f"{role}: a drain may take {least} s, and the pod is killed before")


# ---- cases --------------------------------------------------------------------------------------

def refused(case):
    answer = helm("template", CHART, case["values"])
    if answer.returncode == 0:
        raise Broken("helm takes it")
    for word in case["says"]:
        if word not in answer.stderr:
            raise Broken(f"helm does not say `{word}`:\n{answer.stderr}")


def rolls():
    """A change of the settings or of a secret changes the pods, one of a quota does not."""
    def pod(**values):
        base = {"connectUrl": "https://connect.example.com", **values}
        rendered = helm("template", CHART, base)
        return next(workload["spec"]["template"] for workload in documents(rendered.stdout)
                    if workload["kind"] == "Deployment")
    plain = pod()
    if plain == pod(settings={"log": {"level": "debug"}}):
        raise Broken("a change of the settings does not roll the pods")
    one, other = (pod(access={"registrationToken": {"value": value}}) for value in ("one", "two"))
    if one == other:
        raise Broken("a change of a secret does not roll the pods")
    with_policy = [pod(quotas={"policy": {"buckets": names}}) for names in ([], [{}])]
    if with_policy[0] != with_policy[1]:
        raise Broken("a change of the quotas rolls the pods, which read them again by themselves")


def main():
    wanted = sys.argv[1:]
    custom = custom_schemas()
    failures, count, kinds = [], 0, {}

    def attempt(name, check):
        nonlocal count
        if wanted and not any(word in name for word in wanted):
            return
        count += 1
        try:
            check()
        except Broken as broken:
            failures.append(name)
            print(f"FAILED {name}: {broken}")

    def whole(case, all_of):
        for document in all_of:
            valid(document, custom)
            kinds[document["kind"]] = kinds.get(document["kind"], 0) + 1
        references(all_of)
        hardened(all_of)
        settings(all_of, case, certificates)

    with tempfile.TemporaryDirectory() as folder:
        certificates = pathlib.Path(folder)
        certificate(certificates)
        chart = with_notes(certificates)
        for case in documents((HERE / "charts" / "matrix.yaml").read_text()):
            attempt(f"chart: {case['name']}", lambda case=case: whole(case, render(case, chart)))
        for case in documents((HERE / "charts" / "refused.yaml").read_text()):
            attempt(f"refused: {case['name']}", lambda case=case: refused(case))
        for overlay in sorted(path for path in OVERLAYS.iterdir() if path.is_dir()):
            case = {"in_force": OVERLAYS_IN_FORCE.get(overlay.name, {})}
            attempt(f"overlay: {overlay.name}",
                    lambda overlay=overlay, case=case: whole(case, kustomize(overlay)))
        attempt("changes roll the pods", rolls)
    made = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds))
    print(f"{count - len(failures)} of {count} passed; documents: {made}")
    sys.exit(1 if failures or not count else 0)


main()
