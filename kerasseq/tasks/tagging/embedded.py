"""The embedded corpus: a Turkish treebank."""

from __future__ import annotations

from kerasseq.data import conllu
from kerasseq.data.corpus import Corpus
from kerasseq.data.examples import TaggedSentence
from kerasseq.data.packaged import PackagedFile

TURKISH_WEB = PackagedFile(
    "turkish-treebanks",
    "1.0.0",
    "data/web.conllu",
    "d6f92b12b74f367a36e30dd3d644d7a0bb01a991584602e6e69f1191664f86bf",
)
TURKISH_WIKI = PackagedFile(
    "turkish-treebanks",
    "1.0.0",
    "data/wiki.conllu",
    "58f049fae8d0653ba0940a58168c17c7cebbc50f88cad2985d12d34ac1b9acde",
)


def turkish_treebank() -> Corpus[TaggedSentence]:
    """The Turkish Web Treebank (Kayadelen, Öztürel and Bohnet 2020), with its authors' splits.

    Its README: "we use every 9th sentence in above linked CoNLL-U format files as the development
    set, and every 10th sentence as the test set. All other sentences belong to the training set."
    Its own reader takes that as the ninth and the tenth of every ten sentences of each file, and so
    does this. Its words are inflectional groups; upos and xpos hold its coarse and fine parts of
    speech, which are not those of Universal Dependencies.
    """
    splits: dict[str, list[TaggedSentence]] = {"train": [], "validation": [], "test": []}
    held_out = {8: "validation", 9: "test"}
    for file in (TURKISH_WEB, TURKISH_WIKI):
        lines = file.read().decode("utf-8").split("\n")
        for index, sentence in enumerate(conllu.parse(lines, file.path)):
            splits[held_out.get(index % 10, "train")].append(sentence.tagged())
    return Corpus(
        f"embedded: package {TURKISH_WEB.distribution} {TURKISH_WEB.version}, "
        "Turkish Web Treebank (Kayadelen et al. 2020)",
        splits,
    )
