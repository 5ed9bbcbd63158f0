"""Serving: many clients at once beside one text after the other, on the same exported model.

    python -m benchmarks.serving SAVED_MODELS

with a folder that holds a sentiment model. "One by one" is the SavedModel called in this process,
a text a call; "at once" are clients of ``python -m kerasseq.serve``, each of which sends its next
text when the last one is answered. They take turns, with the same reviews, on the same cores: the
clients' own time counts against the server.
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
    from kerasseq.data.embedded import imdb_reviews

    texts = imdb_reviews().splits["all"].texts
    return random.Random(1).choices(texts, k=count)


def one_by_one(model: Any, texts: list[str]) -> list[float]:
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
    one_by_one(model, texts[:50])
    server = subprocess.Popen(
        [sys.executable, "-m", "kerasseq.serve", str(options.folder), "--port", str(PORT)],
        stderr=subprocess.DEVNULL,
    )
    ratios, latencies, alone, turns, errors = [], [], [], [], 0
    try:
        wait_for_server(server)
        at_once(texts[:500], options.clients)
        each = options.requests // options.repeats
        for turn in range(options.repeats):
            mine = texts[turn * each : (turn + 1) * each]
            calls = one_by_one(model, mine[:ALONE])
            seconds, spent, failed = at_once(mine, options.clients)
            alone += calls
            latencies += spent
            turns.append(seconds)
            errors += failed
            ratios.append(len(mine) / seconds / (len(calls) / sum(calls) * 1000))
    finally:
        server.terminate()
        status = server.wait()
    record(
        "serve-load",
        metric=f"texts a second of {options.clients} clients over one by one, median of the turns",
        split=f"{len(latencies):,} requests with a review each, and {len(alone):,} calls",
        values=[round(statistics.median(ratios), 3)],
        seconds=[round(seconds, 2) for seconds in turns],
        reference={
            "ratio of each turn": [round(ratio, 3) for ratio in ratios],
            "texts a second": {
                "one by one": round(len(alone) / sum(alone) * 1000, 1),
                "at once": round(each / statistics.median(turns), 1),
            },
            "milliseconds at once": percentiles(latencies),
            "milliseconds one by one": percentiles(alone),
            "p99 over p50": round(float(np.divide(*np.percentile(latencies, [99, 50]))), 2),
            "errors": errors,
            "the server's exit status at SIGTERM": status,
        },
        settings={"clients": options.clients, "requests": len(latencies), "turns": options.repeats},
    )


def percentiles(milliseconds: list[float]) -> dict[str, float]:
    """What most wait for, and some."""
    found = np.percentile(milliseconds, [50, 90, 99, 100])
    return dict(zip(("p50", "p90", "p99", "longest"), found.round(1).tolist(), strict=True))


if __name__ == "__main__":
    main()
