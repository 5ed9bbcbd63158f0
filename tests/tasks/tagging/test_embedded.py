from kerasseq.tasks.tagging.embedded import turkish_treebank
from kerasseq.tasks.tagging.reading import with_column


def test_the_turkish_treebank_has_the_splits_of_its_authors():
    corpus = turkish_treebank()
    sizes = {name: len(part) for name, part in corpus.splits.items()}
    assert sizes == {"train": 3_881, "validation": 485, "test": 485}
    sentences = [sentence for part in corpus.splits.values() for sentence in part]
    assert sum(map(len, sentences)) == 81_370
    assert all(sentence.text for sentence in sentences)
    for column in ("upos", "xpos", "feats"):
        with_column(corpus, column)
