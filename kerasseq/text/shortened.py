"""Texts as people are shown them."""


def shortened(text: str) -> str:
    """A text as one line of at most 70 characters, for people."""
    line = " ".join(text[:500].split())
    return line if len(line) <= 70 else f"{line[:67]}..."
