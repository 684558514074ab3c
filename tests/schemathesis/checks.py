"""What every reply must be.

schemathesis loads this file as its hooks (`SCHEMATHESIS_HOOKS`); `drive.py` names the check, and
reads from `UMPIRE_COUNTS` afterwards which statuses each operation gave.
"""

import atexit
import collections
import json
import os

import schemathesis

with open(os.environ["UMPIRE_ERRORS"], encoding="utf-8") as errors:
    CLASSES = {row["class"]: row for row in json.load(errors)}

# A module's failure carries the module's own error id.
FREE_CODES = {"ModuleExecutionError", "LibraryExecutionError"}

COUNTS = collections.Counter()


@atexit.register
def write_counts():
    """One line for each operation and status."""
    with open(os.environ["UMPIRE_COUNTS"], "a", encoding="utf-8") as file:
        for (operation, status), count in COUNTS.items():
            file.write(f"{json.dumps([operation, status, count])}\n")


def envelope_problem(response):
    """What keeps a reply from being a failure of the catalogue; `None` where it is one."""
    try:
        body = response.json()
    except ValueError:
        return "a failure without JSON"
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "no error"
    name, details = error.get("code"), error.get("details")
    row = CLASSES.get(name)
    if row is None:
        return f"{name} is no class"
    if response.status_code != row["status"]:
        return f"{name} has the status {row['status']}"
    if not isinstance(error.get("message"), str) or not error["message"]:
        return "no message"
    if not isinstance(details, list):
        return "no details"
    codes = {known["code"] for part in ("rows", "extensions") for known in row.get(part, [])}
    for detail in details:
        if name not in FREE_CODES and detail.get("code") not in codes:
            return f"{detail.get('code')} is no code of {name}"
        if not detail.get("message"):
            return "a detail without a message"
    code = details[0]["code"] if details else name
    if header(response, "x-ms-error-code") != code:
        return f"x-ms-error-code is not {code}"
    return None


def header(response, name):
    """The first value of a header."""
    values = response.headers.get(name)
    return values[0] if values else None


@schemathesis.check
def umpire_reply(ctx, response, case):
    """A status that the document names has what the document says. Every other is a failure of the
    catalogue, and none is the server's own: nothing that a client sends is."""
    del ctx
    status = response.status_code
    raw = case.operation.definition.raw
    operation = raw.get("operationId", case.operation.label)
    if case.method.upper() == case.operation.method.upper():
        COUNTS[operation, status] += 1
    if not header(response, "x-ms-request-id"):
        raise AssertionError("no x-ms-request-id")
    if status >= 500:
        raise AssertionError(f"{status} {response.text[:500]}")
    if case.method.upper() == "HEAD":
        return
    documented = raw["responses"].get(str(status))
    if documented is None:
        problem = envelope_problem(response)
        if problem:
            raise AssertionError(f"{problem}: {status} {response.text[:500]}")
        if "default" in raw["responses"]:
            case.operation.validate_response(response)
    # Where a document is silent about a body the old service sometimes had one.
    elif "schema" in documented:
        case.operation.validate_response(response)
