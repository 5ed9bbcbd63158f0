"""The greedy translation of each line of standard input, as JSON."""

import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
from runtime import run

V = json.loads(Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8"))
IDS = {token: i for i, token in enumerate(V["source"]) if i > 3}
RANKS = {tuple(pair.split(" ")): rank for rank, pair in enumerate(V["merges"])}


def units(text):
    """Words and marks; the first one after a blank begins with it."""
    for chunk in text.split():
        normal = unicodedata.normalize("NFC", chunk).replace("\u2581", " ")
        yield from re.findall(
            V["unit"], "".join("\u2581" + r for r in re.findall(V["run"], normal))
        )


def pieces(unit):
    """A unit as tokens: byte-pair encoding, the earliest merge first."""
    parts = [unit] if V["level"] == "word" else list(unit)
    while len(parts) > 1:
        pairs = zip(parts, parts[1:])
        rank, i = min((RANKS.get(pair, 1 << 30), i) for i, pair in enumerate(pairs))
        if rank == 1 << 30:
            break
        parts[i : i + 2] = ["".join(parts[i : i + 2])]
    return parts


for line in sys.stdin:
    words, source = [], []
    for unit in units(line):
        for piece in pieces(unit):
            words.append("\u2581" + unit.lstrip("\u2581"))
            source.append(IDS.get(piece, 1))
    words, source = words[: V["longest"]], source[: V["longest"]]
    found = run("encode", source=np.array([[*source, 3]], np.int32))
    memory = {k: v for k, v in found.items() if k.startswith("memory")}
    token, shown, last = 2, [], None
    while source and len(shown) < 2 * len(source) + 12:
        state = {k: v for k, v in found.items() if k.startswith("state")}
        found = run("step", token=np.array([token], np.int32), **memory, **state)
        found = {k.removeprefix("next_"): v for k, v in found.items()}
        scores = found["log_probs"][0]
        scores[[0, 2] if V["copies"] else [0, 1, 2]] = -np.inf
        token = int(scores.argmax())
        if token == 3:
            break
        copied = words[int(found["attention"][0][: len(words)].argmax())] if token == 1 else None
        shown.append("" if copied and copied == last else copied or V["target"][token])
        last = copied
    text = re.sub("\u2581+", " ", "".join(shown)).strip(" ")
    print(json.dumps({"translation": text}))
