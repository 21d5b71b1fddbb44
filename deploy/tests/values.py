#!/usr/bin/env python3
"""Writes the table of values in the chart's README from the comments of its values.yaml, or with
`--check` fails when it is stale, when a value has no comment, or when values.schema.json knows
other values than values.yaml. It knows the one style that values.yaml is written in: a comment above
each key, defaults on the key's line."""

import json
import pathlib
import re
import sys

CHART = pathlib.Path(__file__).resolve().parent.parent / "helm" / "portico"
BEGIN = "<!-- made by deploy/tests/values.py -->"
END = "<!-- the end of what is made -->"
KEY = re.compile(r"^( *)([A-Za-z]+):(?: (.*))?$")


def rows(text):
    """(path, default or None for a section, comment) of each key."""
    found, comment, path = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped:
            comment = []
        elif stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
        elif match := KEY.match(line):
            depth = len(match[1]) // 2
            path[depth:] = [match[2]]
            if not comment:
                sys.exit(f"values.yaml:{number}: {'.'.join(path)} has no comment above it")
            found.append((".".join(path), match[3], " ".join(comment)))
            comment = []
        else:
            sys.exit(f"values.yaml:{number}: not in the style that this script reads: {line}")
    return found


def table(found):
    lines = [BEGIN, "", "| value | default | what it does |", "| --- | --- | --- |"]
    for path, default, comment in found:
        name = f"`{path}`" if default is not None else f"**`{path}`**"
        shown = "" if default is None else f"`{default}`"
        lines.append(f"| {name} | {shown} | {comment.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, "", END])


def of_schema(schema, definitions, prefix=""):
    """Paths of the leaves and sections that the schema names."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]]
    for name, below in schema.get("properties", {}).items():
        yield prefix + name
        # Here the schema knows more than the defaults say.
        if prefix + name not in ("settings",):
            yield from of_schema(below, definitions, f"{prefix}{name}.")


def check_schema(found):
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = set(of_schema(schema, schema["definitions"])) - {"global"}
    # `{requests: …}` is written on one line.
    known = {path for path in known if ".resources." not in path}
    ours = {path for path, _, _ in found}
    if known != ours:
        sys.exit(f"values.yaml and values.schema.json differ: {sorted(known ^ ours)}")


def check_settings():
    """Each key of deploy/SETTINGS.md is a setting of the chart, or one that the chart sets itself."""
    text = (CHART.parent.parent / "SETTINGS.md").read_text()
    keys = re.findall(r"^\| `([a-z_.]+)` \| `PORTICO_", text, re.M)
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["settings"]
    free = {f"{section}.{key}" for section, below in schema["properties"].items()
            for key in below["properties"]}
    templates = "".join(path.read_text() for path in (CHART / "templates").glob("_config.tpl"))

    def is_set_by_chart(key):
        section, _, last = key.rpartition(".")
        flag = "--" + key.replace(".", "-").replace("_", "-")
        return flag in templates or f'"{last}"' in templates and (not section or section in templates)

    missing = [key for key in keys if key not in free and not is_set_by_chart(key)]
    missing = [key for key in missing if key not in NOT_HERE]
    unknown = sorted(free - set(keys))
    if missing or unknown:
        sys.exit(f"values.schema.json, settings: missing {missing}, not in SETTINGS.md {unknown}")


# Keys that have no sense in a pod, or are wrong beside what the chart does.
NOT_HERE = {
    "addresses_file",
    # The secret itself: the chart gives the file.
    "access.client_secret", "access.registration_token", "access.webhook_token",
    "control.token", "store.password",
    # Where the volume is.
    "store.cache",
}


def main():
    readme = CHART / "README.md"
    found = rows((CHART / "values.yaml").read_text())
    old = readme.read_text()
    head, _, rest = old.partition(BEGIN)
    new = head + table(found) + rest.partition(END)[2]
    if "--check" not in sys.argv:
        readme.write_text(new)
        return
    check_schema(found)
    check_settings()
    if new != old:
        sys.exit("deploy/helm/portico/README.md is stale: run deploy/tests/values.py")


main()
