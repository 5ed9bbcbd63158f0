"""The likeliest next tokens after each line of standard input, as JSON."""

import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
from runtime import run

V = json.loads(Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8"))
IDS = {token: i for i, token in enumerate(V["tokens"]) if i > 3}


def tokens_of(text):
    if V["units"] == "characters":
        return list(text)
    if V["units"] == "blanks":
        return text.split()
    normal = unicodedata.normalize("NFC", re.sub(V["markup"], " ", text)).casefold()
    return re.findall(V["token"], normal)


for line in sys.stdin:
    state = {f"state_{i}": np.zeros((1, n), np.float32) for i, n in enumerate(V["states"])}
    for token in [3] + [IDS.get(token, 1) for token in tokens_of(line.rstrip("\n"))]:
        found = run("step", ids=np.array([token], np.int32), **state)
        state = {name: found[f"new_{name}"] for name in state}
    log_probs = found["log_probs"][0]
    best = np.argsort(-log_probs, kind="stable")[: V["count"]]
    shown = {"tokens": [V["shown"][i] for i in best], "probabilities": np.exp(log_probs[best])}
    print(json.dumps(shown, default=np.ndarray.tolist))
