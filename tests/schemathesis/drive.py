"""Drives every operation of a published document of the Resource Manager against a server.

    python drive.py DOCUMENT URL TOKEN --errors docs/errors.json [--names PARAMETER=NAME,NAME]...
                    [--body OPERATION=FILE]... [--examples N] [--seed S]

The document stays as it was published but for what is narrowed here, so that calls meet resources
that exist: its version, the names in its paths, and the SKUs; and for what is meant by an object of
which nothing is said, which is any value. schemathesis makes the calls: those of
`--body`, the edges of each parameter (wrong ones as well), random ones, and chains of them; DELETE
comes last, so that the others find something. At the end each operation must have given a status
that the document names.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
METHODS = {"get", "put", "post", "patch", "delete"}


def operations(document):
    """Every operation with its method."""
    for path in document["paths"].values():
        for method, operation in path.items():
            if method in METHODS:
                yield method, operation


def parameters(document):
    """Every parameter that is not a reference to another."""
    yield from document.get("parameters", {}).values()
    for holder in [*document["paths"].values(), *(o for _, o in operations(document))]:
        yield from (p for p in holder.get("parameters", []) if "$ref" not in p)


def widen(part):
    """Takes a bare `{"type": "object"}` for what its writers meant by it: any value."""
    for holder in part.values() if isinstance(part, dict) else part:
        if isinstance(holder, (dict, list)):
            widen(holder)
            if isinstance(holder, dict) and not set(holder) - {"type", "description"}:
                if holder.get("type") == "object":
                    del holder["type"]


def narrow(document, names, bodies):
    """Names that are there, in more than one spelling, and one that is not."""
    widen(document.get("definitions", {}))
    known = {
        "subscriptionId": [SUBSCRIPTION, SUBSCRIPTION.replace("-", "")],
        "resourceGroupName": ["default", "Default"],
        "api-version": [document["info"]["version"]],
    }
    for name, values in names.items():
        known[name] = [*values, values[0].upper(), "absent"]
    for parameter in parameters(document):
        if parameter.get("name") in known:
            parameter["enum"] = known[parameter["name"]]
    sku = document.get("definitions", {}).get("ResourceSku", {}).get("properties")
    if sku:
        sku["name"]["enum"] = ["S1", "S2", "S3", "S9"]
        sku["tier"]["enum"] = ["Standard"]
        sku["capacity"].update(minimum=0, maximum=11)
    for _, operation in operations(document):
        if operation["operationId"] in bodies:
            for parameter in operation["parameters"]:
                if parameter.get("in") == "body":
                    parameter["x-example"] = bodies[operation["operationId"]]
    return document


def run(path, arguments, counts, more):
    """One run of schemathesis; its exit code."""
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"),
        "run",
        path,
        "--url",
        arguments.url,
        "--header",
        f"Authorization:Bearer {arguments.token}",
        "--checks",
        "umpire_reply",
        "--max-examples",
        str(arguments.examples),
        "--seed",
        str(arguments.seed),
        "--continue-on-failure",
        "--warnings",
        "off",
        "--suppress-health-check",
        "all",
        *more,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": HERE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "SCHEMATHESIS_HOOKS": "checks",
        "UMPIRE_ERRORS": os.path.abspath(arguments.errors),
        "UMPIRE_COUNTS": counts,
        "NO_COLOR": "1",
    }
    folder = os.path.dirname(path)
    return subprocess.run(command, env=environment, cwd=folder, check=False).returncode


def never_documented(document, counts):
    """The operations that gave no status which the document names; prints what each gave."""
    given = {}
    with open(counts, encoding="utf-8") as file:
        for line in file:
            operation, status, count = json.loads(line)
            statuses = given.setdefault(operation, {})
            statuses[status] = statuses.get(status, 0) + count
    missing = []
    for _, operation in operations(document):
        name = operation["operationId"]
        statuses = given.get(name, {})
        print(f"{name:36}", *(f"{s}: {n}" for s, n in sorted(statuses.items())), sep="  ")
        if not any(str(status) in operation["responses"] for status in statuses):
            missing.append(name)
    return missing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("document")
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--errors", required=True)
    parser.add_argument("--names", action="append", default=[])
    parser.add_argument("--body", action="append", default=[])
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    bodies = {}
    for body in arguments.body:
        operation, path = body.split("=", 1)
        with open(path, encoding="utf-8") as file:
            bodies[operation] = json.load(file)
    names = dict(pair.split("=", 1) for pair in arguments.names)
    names = {name: values.split(",") for name, values in names.items()}
    with open(arguments.document, encoding="utf-8") as file:
        document = narrow(json.load(file), names, bodies)
    methods = {method for method, _ in operations(document)}
    with tempfile.TemporaryDirectory() as folder:
        path, counts = os.path.join(folder, "document.json"), os.path.join(folder, "counts")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        codes = [run(path, arguments, counts, ["--exclude-method", "DELETE"])]
        if "delete" in methods:
            codes.append(run(path, arguments, counts, ["--include-method", "DELETE"]))
        missing = never_documented(document, counts)
    if missing:
        print("no status that is documented:", *missing)
    sys.exit(max(*codes, int(bool(missing)), 0))


if __name__ == "__main__":
    main()
