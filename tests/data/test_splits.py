import pytest
from kerasseq.data.splits import chosen_split

from kerasseq.errors import UserError


def test_the_split_meant():
    assert chosen_split("here", {"train": 1, "test": 2}, None) == "test"
    assert chosen_split("here", {"train": 1, "test": 2}, "train") == "train"
    assert chosen_split("here", {"all": 1}, None) == "all"
    with pytest.raises(UserError, match="here has the splits train, validation: choose one with"):
        chosen_split("here", {"train": 1, "validation": 2}, None)
    with pytest.raises(UserError, match="here has no test split; it has train"):
        chosen_split("here", {"train": 1}, "test")
