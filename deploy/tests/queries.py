"""Asks a Prometheus every query of the dashboard and every rule that it was given.

`queries.py PROMETHEUS DASHBOARD [DIRECTORY]`: an error, or nothing where there has to be something,
is a failure. With a directory, what each panel was answered over the last minutes is left there.
"""

import json
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# What cannot be had on one machine without a platform, by the panel's title and why.
MAY_BE_EMPTY = {
    "Webhook": "only with a webhook",
}
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "30s", "$__interval": "5s",
             "$__range": "90s"}


def main() -> int:
    prometheus, dashboard = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))
    directory = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    faults = panels(prometheus, dashboard, directory)
    faults += variables(prometheus, dashboard)
    faults += rules(prometheus)
    unseen(prometheus, json.dumps(dashboard))
    for fault in faults:
        print(f"watching: {fault}", file=sys.stderr)
    return 1 if faults else 0


def ask(prometheus: str, path: str, **parameters):
    """The data of an answer, or a RuntimeError with what Prometheus says."""
    query = urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error).get("error")) from None


def filled_in(expression: str) -> str:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return expression


def panels(prometheus, dashboard, directory):
    faults, asked, now = [], 0, time.time()
    for panel in dashboard["panels"]:
        answers = []
        for target in panel.get("targets", []):
            asked += 1
            expression = filled_in(target["expr"])
            try:
                found = ask(prometheus, "query", query=expression)["result"]
                if directory and not target["instant"]:
                    found = ask(prometheus, "query_range", query=expression,
                                start=now - 90, end=now, step=1)["result"]
            except RuntimeError as error:
                faults.append(f"{panel['title']}: {error}: {expression}")
                continue
            if not found and panel["title"] not in MAY_BE_EMPTY:
                faults.append(f"{panel['title']}: no data: {expression}")
            answers.append({"legend": target["legendFormat"], "series": found})
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            whole = {"panel": panel, "answers": answers}
            (directory / f"{panel['id']:03}.json").write_text(json.dumps(whole))
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            asked += 1
            try:
                ask(prometheus, "query", query=filled_in(annotation["expr"]))
            except RuntimeError as error:
                faults.append(f"annotation {annotation['name']}: {error}")
    print(f"{asked} queries of {len(dashboard['panels'])} panels and rows")
    return faults


def variables(prometheus, dashboard):
    """`label_values(selector, label)` is Grafana's: here it is the series of the selector."""
    faults = []
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query":
            continue
        asked = variable["query"]["query"].removeprefix("label_values(").removesuffix(")")
        selector, label = filled_in(asked).rsplit(", ", 1)
        series = ask(prometheus, "series", **{"match[]": selector})
        values = sorted({one[label] for one in series if label in one})
        print(f"variable {variable['name']}: {', '.join(values)}")
        if not values:
            faults.append(f"variable {variable['name']}: no values")
    return faults


def rules(prometheus):
    faults, records, alerts = [], 0, []
    for group in ask(prometheus, "rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                faults.append(f"rule {rule['name']}: {rule['health']}: {rule.get('lastError')}")
            if rule["type"] == "recording":
                records += 1
                if not ask(prometheus, "query", query=rule["name"])["result"]:
                    faults.append(f"record {rule['name']}: no data")
            else:
                alerts.append(rule)
    states = {rule["name"]: rule["state"] for rule in alerts}
    told = [f"{name} ({state})" for name, state in states.items() if state != "inactive"]
    print(f"{records} records, {len(alerts)} alerts; not inactive: {', '.join(told) or 'none'}")
    # All is up and the store is there: these would be wrong about a healthy install.
    for name in ("PorticoReplicaDown", "PorticoNoProxyReady", "PorticoNotReady", "PorticoStoreAway",
                 "PorticoFeedBehind", "PorticoWorkerDied", "PorticoRestarting"):
        if states[name] != "inactive":
            faults.append(f"{name} is {states[name]}")
    if states["PorticoQuotaBreached"] == "inactive":
        faults.append("PorticoQuotaBreached is inactive, and a quota is used up")
    return faults


def unseen(prometheus, dashboard):
    """For who reads: metrics that have no panel, of their own or through a record."""
    text = dashboard
    for group in ask(prometheus, "rules")["groups"]:
        text += " ".join(rule["query"] for rule in group["rules"] if rule["type"] == "recording")
    ours = ("portico_", "process_")
    names = [name for name in ask(prometheus, "label/__name__/values") if name.startswith(ours)]
    without = [name for name in names if name not in text and not name.endswith(("_count", "_sum"))]
    print(f"{len(names)} names of metrics; without a panel: {', '.join(without) or 'none'}")


if __name__ == "__main__":
    sys.exit(main())
