from pathlib import Path

import pytest

from kerasseq.data.sources import read_source


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("embedded", ("embedded",)),
        ("tfds:glue/sst2:2.0.0", ("tfds", "glue/sst2:2.0.0")),
        ("tfds:", ("tfds", "")),
        ("reviews.csv", ("path", Path("reviews.csv"))),
        ("./embedded", ("path", Path("embedded"))),
        ("a/tfds:x", ("path", Path("a/tfds:x"))),
        ("", ("path", Path("."))),
    ],
)
def test_one_place_is_read_and_no_other(source, found):
    assert (
        read_source(
            source,
            embedded=lambda: ("embedded",),
            tfds=lambda name: ("tfds", name),
            path=lambda path: ("path", path),
        )
        == found
    )


def test_nothing_falls_back_to_another_source():
    def missing(*where):
        raise LookupError(where)

    for source in ("embedded", "tfds:none", "none.csv"):
        with pytest.raises(LookupError):
            read_source(source, embedded=missing, tfds=missing, path=missing)
