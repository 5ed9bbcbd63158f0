"""Asks a server what TensorFlow Serving's documents and sources answer, and says where it differs.

    python -m tests.serve.compatibility --write models
    python -m tests.serve.compatibility http://127.0.0.1:8501

The requests are in ``compatibility.yaml``, each with its source.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import http.client
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

CASES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def request_of(case):
    """Body and headers."""
    headers = {"Content-Type": "application/json", **case.get("headers", {})}
    body = None
    if "json" in case:
        body = json.dumps(case["json"]).encode()
    elif "body" in case:
        body = case["body"].encode()
    elif "base64" in case:
        body = base64.b64decode(case["base64"])
    elif "gzip" in case:
        body = gzip.compress(case["gzip"].encode())
        headers["Content-Encoding"] = "gzip"
    return body, {name: value for name, value in headers.items() if value}


def ask(address, case):
    """Status and text of the answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    body, headers = request_of(case)
    path = f"/v1/models/{case.get('model', 'lengths')}{case['path']}"
    connection.request(case["method"], path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode("utf-8", "replace")
    connection.close()
    return found


def fault(case, status, text):
    """What is wrong with an answer; nothing, if it is as it should be."""
    if status != case["status"]:
        return f"status {status}, expected {case['status']}: {text[:100]}"
    if "is" in case and json.loads(text) != case["is"]:
        return f"{text[:100]}, expected {json.dumps(case['is'])}"
    plain = json.loads(text).get("error", text) if status >= 400 else text
    for part in case.get("has", []):
        if part not in text and part not in plain:
            return f"{text[:100]} lacks {part!r}"
    return ""


def compare(address):
    """Each case with what is wrong with its answer."""
    for case in CASES:
        status, text = ask(address, case)
        yield case, fault(case, status, text), status


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", nargs="?", help="of a server, such as http://127.0.0.1:8501")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the model there")
    options = parser.parse_args()
    if options.write:
        from tests.serve.lengths import write

        write(options.write, 1)
        return 0
    if not options.address:
        parser.error("give a server's address, or --write FOLDER")
    faults = 0
    for case, wrong, status in compare(options.address):
        known = case.get("differs", {})
        if wrong and known.get("status") == status:
            print(f"{case['name']}: differs, as row {known['row']} of docs/server.md says")
        elif wrong:
            faults += 1
            print(f"{case['name']}: {wrong} ({case['source']})")
    print(f"{len(CASES)} requests, {faults} answered otherwise")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
