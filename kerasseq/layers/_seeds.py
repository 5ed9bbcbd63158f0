"""Copies of what has a seed, each with a seed of its own."""

from typing import Any


def reseed(config: Any, offset: int) -> Any:
    """A config with every seed in it moved by `offset`, those of initialisers inside it too."""
    if not isinstance(config, dict):
        return config
    return {
        key: value + offset if key == "seed" and isinstance(value, int) else reseed(value, offset)
        for key, value in config.items()
    }


def another(initializer: Any, offset: int) -> Any:
    """A copy for one more weight: the same initialiser would give the same numbers twice."""
    if hasattr(initializer, "get_config"):
        return type(initializer).from_config(reseed(initializer.get_config(), offset))
    return initializer
