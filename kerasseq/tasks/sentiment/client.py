"""The label of each line of standard input, or its labels, as JSON."""

import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
from runtime import run

V = json.loads(Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8"))
IDS = {token: i for i, token in enumerate(V["tokens"]) if i > 3}
KEYS = np.array(V["ngrams"], np.int64)


def encode(text):
    normal = unicodedata.normalize("NFC", re.sub(V["markup"], " ", text)).casefold()
    ids = [IDS.get(token, 1) for token in re.findall(V["token"], normal)]
    cut = len(ids) > V["head"] + V["tail"]
    if cut:
        ids = ids[: V["head"]] + ids[len(ids) - V["tail"] :]
    return [2, *ids], cut


def ngrams(ids):
    """Rows of the known n-grams, found by their FNV-1a hashes; -1 stands for none."""
    rows, hashes = [-1], np.full(len(ids), 2166136261, np.int64)
    for n in range(V["longest"]):
        hashes = hashes[: len(ids) - n] ^ np.array(ids[n:], np.int64)
        hashes = (hashes * 16777619) & 0xFFFFFFFF
        at = np.minimum(np.searchsorted(KEYS, hashes >> 1), len(KEYS) - 1)
        rows += at[KEYS[at] == hashes >> 1].tolist()
    return sorted(set(rows))


for line in sys.stdin:
    ids, cut = encode(line)
    inputs = {"ids": ids, "ngrams": ngrams(ids)} if V["longest"] else {"ids": ids}
    shares = run("classify", **{k: np.array([v], np.int32) for k, v in inputs.items()})
    (shares,) = shares["probabilities"].tolist()
    if V["thresholds"]:
        rows = zip(V["labels"], shares, V["thresholds"])
        found = {"labels": [name for name, share, least in rows if share >= least]}
    else:
        best = int(np.argmax(shares))
        found = {"label": V["labels"][best], "probability": shares[best]}
    print(json.dumps({**found, "cut": cut}))
