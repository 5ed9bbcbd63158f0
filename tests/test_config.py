from dataclasses import dataclass

import pytest

from kerasseq.config import Settings, differences, from_dict, group, replace, setting
from kerasseq.errors import UserError


@dataclass(frozen=True)
class Inner(Settings):
    rate: float = setting(0.5, ge=0, lt=1)


@dataclass(frozen=True)
class Outer(Settings):
    name: str = "a"
    inner: Inner = group(Inner, rate=0.25)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), float("inf")])
def test_bounds_are_checked(rate):
    with pytest.raises(UserError, match="rate must be"):
        Inner(rate)


def test_dictionaries_round_trip():
    settings = Outer("b", Inner(0.75))
    assert from_dict(Outer, settings.to_dict()) == settings
    assert Outer().inner.rate == 0.25
    assert settings.flat() == {"name": "b", "inner.rate": 0.75}


def test_settings_of_another_version_are_refused():
    with pytest.raises(UserError, match="another version"):
        from_dict(Outer, {"name": "b", "inner": {"ratio": 0.5}})


def test_replace_and_differences():
    changed = replace(Outer(), {"inner.rate": 0.0, "name": "c"})
    assert differences(Outer().to_dict(), changed.to_dict()) == [
        "name: a -> c",
        "inner.rate: 0.25 -> 0.0",
    ]
    with pytest.raises(UserError, match="unknown setting 'nope'"):
        replace(Outer(), {"inner.nope": 1})
