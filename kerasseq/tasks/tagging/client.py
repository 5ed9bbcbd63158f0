"""The tags of each line of standard input, words with blanks between them, as JSON."""

import json
import re
import sys
import unicodedata
from pathlib import Path

import numpy as np
from runtime import run

V = json.loads(Path(__file__).with_name("vocabulary.json").read_text(encoding="utf-8"))
WORDS, CHARACTERS, AFFIXES = (
    {token: i for i, token in enumerate(V[name]) if i > 3}
    for name in ("words", "characters", "affixes")
)


def features(word):
    normal = unicodedata.normalize("NFC", word)
    form = re.sub("[0-9]", "0", normal.casefold())
    spelled = [CHARACTERS.get(c, 1) for c in normal]
    if len(spelled) > V["head"] + V["tail"]:
        spelled = spelled[: V["head"]] + spelled[len(spelled) - V["tail"] :]
    sizes = range(1, V["longest"] + 1)
    ends = [f"{form[:n]}\u2026" for n in sizes] + [f"\u2026{form[-n:]}" for n in sizes]
    known = [n <= len(form) for n in sizes] * 2
    affixes = [AFFIXES.get(end, 1) if fits else 0 for end, fits in zip(ends, known)]
    return WORDS.get(form, 1), [2, *spelled, 3], affixes


def best_path(scores, crf):
    """Viterbi."""
    best, back = [np.array(crf["start"]) + scores[0]], []
    for row in scores[1:]:
        table = best[-1][:, None] + np.array(crf["transitions"])
        back.append(table.argmax(0))
        best.append(table.max(0) + row)
    path = [int((best[-1] + crf["end"]).argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]


for line in sys.stdin:
    tokens = line.split()
    scores = np.zeros((0, len(V["tags"])))
    if tokens:
        ids, spelled, affixes = zip(*map(features, tokens))
        inputs = {"words": np.array(ids, np.int32)}
        if V["spells"]:
            vectors = [run("spell", characters=np.array([s], np.int32))["vector"] for s in spelled]
            inputs["vectors"] = np.concatenate(vectors)
        if V["longest"]:
            inputs["affixes"] = np.array(affixes, np.int32)
        scores = run("tag", **inputs)["scores"][0]
    path = best_path(scores, V["crf"]) if V["crf"] and tokens else scores.argmax(-1)
    print(json.dumps({"tokens": tokens, "tags": [V["tags"][i] for i in path]}))
