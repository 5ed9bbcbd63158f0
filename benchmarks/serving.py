"""Serving: many clients at once beside one text after the other, on the same exported model.

    python -m benchmarks.serving SAVED_MODELS

with a folder that holds a sentiment model. Clients of ``python -m kerasseq.serve`` send a text a
request, the next one when the last one is answered: many "at once", or a single one, "one by one".
"In process" is the SavedModel itself, called with a text at a time without any server. They take
turns, with the same reviews, on the same cores: the clients' own time counts against the server.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import record

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PORT = 8519
MODEL = "/v1/models/sentiment"
ALONE = 300
"""Texts of a turn one by one."""


def reviews(count: int) -> list[str]:
    """Reviews of the embedded corpus, in a fixed order."""
    from kerasseq.data.packaged import imdb_reviews

    texts = [review.text for review in imdb_reviews().splits["all"]]
    return random.Random(1).choices(texts, k=count)


def in_process(model: Any, texts: list[str]) -> list[float]:
    """Milliseconds of each call of the SavedModel itself."""
    import tensorflow as tf

    spent = []
    for text in texts:
        start = time.perf_counter()
        outputs = model.signatures["serving_default"](text=tf.constant([text]))
        outputs["probability"].numpy()
        spent.append(1000 * (time.perf_counter() - start))
    return spent


def at_once(texts: list[str], clients: int) -> tuple[float, list[float], int]:
    """Seconds for all texts, milliseconds of each request, and how many failed."""
    waiting, spent, failed = list(reversed(texts)), [], []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        while True:
            try:
                body = json.dumps({"instances": [waiting.pop()]})
            except IndexError:
                return
            start = time.perf_counter()
            connection.request("POST", f"{MODEL}:predict", body)
            response = connection.getresponse()
            answer = json.loads(response.read())
            spent.append(1000 * (time.perf_counter() - start))
            if response.status != 200 or "label" not in answer["predictions"][0]:
                failed.append(response.status)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    return seconds, spent, len(failed) + len(texts) - len(spent)


def wait_for_server(process: subprocess.Popen) -> None:
    """Returns when the model is served."""
    for _ in range(600):
        if process.poll() is not None:
            sys.exit("the server ended")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
            connection.request("GET", MODEL)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("the server does not answer")


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="exported models")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=10_000, help="in all")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    options = parser.parse_args()
    import tensorflow as tf

    versions = [path for path in (options.folder / "sentiment").iterdir() if path.name.isdecimal()]
    version = max(versions, key=lambda path: int(path.name))
    model = tf.saved_model.load(str(version))
    texts = reviews(options.requests)
    in_process(model, texts[:50])
    server = subprocess.Popen(
        [sys.executable, "-m", "kerasseq.serve", str(options.folder), "--port", str(PORT)],
        stderr=subprocess.DEVNULL,
    )
    latencies: dict[str, list[float]] = {"at once": [], "one by one": [], "in process": []}
    rates: dict[str, list[float]] = {name: [] for name in latencies}
    errors = 0
    try:
        wait_for_server(server)
        at_once(texts[:500], options.clients)
        each = options.requests // options.repeats
        for turn in range(options.repeats):
            mine = texts[turn * each : (turn + 1) * each]
            calls = in_process(model, mine[:ALONE])
            latencies["in process"] += calls
            rates["in process"].append(1000 * len(calls) / sum(calls))
            for name, part, count in (
                ("one by one", mine[:ALONE], 1),
                ("at once", mine, options.clients),
            ):
                seconds, spent, failed = at_once(part, count)
                latencies[name] += spent
                rates[name].append(len(part) / seconds)
                errors += failed
    finally:
        server.terminate()
        status = server.wait()
    at, one = (np.array(rates[name]) for name in ("at once", "one by one"))
    record(
        "serve-load",
        metric=f"texts a second of {options.clients} clients over one by one, median of the turns",
        split=f"{len(latencies['at once']):,} requests at once, a review each",
        values=[round(float(np.median(at / one)), 3)],
        seconds=(each / at).round(2).tolist(),
        reference={
            "ratio of each turn": (at / one).round(3).tolist(),
            "texts a second": {n: round(statistics.median(r), 1) for n, r in rates.items()},
            "at once over in process": round(statistics.median(at / rates["in process"]), 3),
            "milliseconds": {n: percentiles(spent) for n, spent in latencies.items()},
            "p99 over p50 at once": round(
                float(np.divide(*np.percentile(latencies["at once"], [99, 50]))), 2
            ),
            "errors": errors,
            "the server's exit status at SIGTERM": status,
        },
        settings={
            "clients": options.clients,
            "turns": options.repeats,
            "model": json.loads((version / "manifest.json").read_text())["settings"]["model"],
        },
    )


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """What most wait for, and some."""
    found = np.percentile(milliseconds, [50, 90, 99, 100])
    return dict(zip(("p50", "p90", "p99", "longest"), found.round(1).tolist(), strict=True))


if __name__ == "__main__":
    main()
