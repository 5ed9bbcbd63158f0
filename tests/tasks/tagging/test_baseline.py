import gzip
import os
from pathlib import Path

import pytest

from kerasseq.tasks.tagging.baseline import MostFrequentTag


def read(path):
    """Words and universal tags of a CoNLL-U file."""
    sentences, tags = [[]], [[]]
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            columns = line.rstrip("\n").split("\t")
            if columns[0].isdigit():
                sentences[-1].append(columns[1])
                tags[-1].append(columns[3])
            elif columns == [""]:
                sentences.append([])
                tags.append([])
    return sentences, tags


@pytest.mark.parametrize(
    ("treebank", "name", "split", "accuracy"),
    [
        ("ud_english_ewt", "en_ewt", "test", 0.8620),
        ("ud_french_sequoia", "fr_sequoia", "dev", 0.9169),
        ("ud_french_sequoia", "fr_sequoia", "test", 0.9138),
    ],
)
def test_accuracy_on_treebanks(treebank, name, split, accuracy):
    folder = Path(os.environ.get("KERASSEQ_DATA") or "nowhere") / "pos" / treebank
    train, held_out = (folder / f"{name}-ud-{part}.conllu.gz" for part in ("train", split))
    if not train.exists() or not held_out.exists():
        pytest.skip(f"set KERASSEQ_DATA to a folder with pos/{treebank}/{held_out.name}")
    baseline = MostFrequentTag(*read(train))
    assert baseline.unseen == "NOUN"
    pairs = [
        pair
        for words, tags in zip(*read(held_out), strict=True)
        for pair in zip(tags, baseline.tag(words), strict=True)
    ]
    assert sum(a == b for a, b in pairs) / len(pairs) == pytest.approx(accuracy, abs=5e-5)


def test_by_hand():
    sentences = [["the", "run", "."], ["I", "run", "the", "run"], ["The", "cat", "."]]
    tags = [["DET", "NOUN", "."], ["PRON", "VERB", "DET", "NOUN"], ["DET", "NOUN", "."]]
    baseline = MostFrequentTag(sentences, tags)
    assert baseline.tag(["the", "run", "cat", "."]) == ["DET", "NOUN", "NOUN", "."]
    assert baseline.tag(["The", "THE", "dog"]) == ["DET", baseline.unseen, baseline.unseen]
    assert "The" in baseline
    assert "THE" not in baseline


def test_of_equal_counts_the_first_wins():
    words = [["run", "run", "once"], ["Once"]]
    baseline = MostFrequentTag(words, [["VERB", "NOUN", "ADV"], ["SCONJ"]])
    assert baseline.tag(["run", "new"]) == ["VERB", "ADV"]


def test_unseen_words_get_the_tag_of_words_seen_once():
    words = [["a", "a", "a", "a", "x", "y", "z"]]
    baseline = MostFrequentTag(words, [["DET"] * 4 + ["NOUN", "NOUN", "VERB"]])
    assert baseline.unseen == "NOUN"
    assert MostFrequentTag([["a", "a"]], [["DET", "DET"]]).unseen == "DET"  # no word seen once


def test_nothing_to_count_is_refused():
    with pytest.raises(ValueError, match="no training word"):
        MostFrequentTag([], [])
    with pytest.raises(ValueError, match="shorter"):
        MostFrequentTag([["a", "b"]], [["X"]])
