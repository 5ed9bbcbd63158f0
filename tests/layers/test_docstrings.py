"""Docstrings: every layer, loss and metric explains itself, in Keras' order."""

import inspect
import re

import pytest

import kerasseq.layers
from kerasseq.layers import AdditiveAttention, DotAttention, Perplexity, TokenAccuracy
from kerasseq.layers._docstrings import documented

PUBLIC = [c for _, c in inspect.getmembers(kerasseq.layers, inspect.isclass)]
ORDER = ["Args", "Call arguments", "Output shape", "Output", "Result", "Masking", "Example"]


def sections(cls):
    return re.findall(rf"^({'|'.join(ORDER)}):", inspect.getdoc(cls), re.MULTILINE)


@pytest.mark.parametrize("cls", PUBLIC, ids=lambda cls: cls.__name__)
def test_sections_come_in_the_order_of_keras(cls):
    found = sections(cls)
    assert found == sorted(found, key=ORDER.index)
    assert {"Call arguments", "Masking", "Example"} <= set(found)
    assert {"Output shape", "Output", "Result"} & set(found)
    assert not re.search(r"^ *\{\w+\}$", inspect.getdoc(cls), re.MULTILINE)


def test_a_shared_part_stands_in_the_docstring_of_each_class():
    assert {"Args"} <= set(sections(AdditiveAttention)) & set(sections(Perplexity))
    for cls in (AdditiveAttention, DotAttention):
        text = inspect.getdoc(cls)
        assert "\n    window: how many steps" in text
        assert "\n    query: `[batch, queries, query features]`.\n" in text
    assert "\n    from_nll: whether" in inspect.getdoc(Perplexity)
    assert "from_nll" not in inspect.getdoc(TokenAccuracy)


def test_a_shared_part_is_indented_as_its_place_is():
    @documented(size="size: how large\n    it is.")
    class Box:
        """A box.

        Args:
            {size}
        """

    assert inspect.getdoc(Box) == "A box.\n\nArgs:\n    size: how large\n        it is."
    with pytest.raises(KeyError, match="size"):
        documented(weight="")(type("Bag", (), {"__doc__": "A bag.\n\n{size}"}))
