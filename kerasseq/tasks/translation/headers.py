"""Whether the first row of a table of pairs is a header, and which languages it names."""

from __future__ import annotations

import re
from pathlib import Path

from kerasseq.errors import UserError
from kerasseq.tasks.translation.pairs import SOURCES, TARGETS, Named, direction_of, speaks

_CODES = {
    "arabic": "ar", "basque": "eu", "bengali": "bn", "bulgarian": "bg", "catalan": "ca",
    "chinese": "zh", "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl",
    "english": "en", "esperanto": "eo", "estonian": "et", "finnish": "fi", "french": "fr",
    "galician": "gl", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi",
    "hungarian": "hu", "icelandic": "is", "indonesian": "id", "irish": "ga", "italian": "it",
    "japanese": "ja", "korean": "ko", "latin": "la", "latvian": "lv", "lithuanian": "lt",
    "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt", "romanian": "ro",
    "russian": "ru", "serbian": "sr", "slovak": "sk", "slovenian": "sl", "spanish": "es",
    "swahili": "sw", "swedish": "sv", "tamil": "ta", "thai": "th", "turkish": "tr",
    "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi", "welsh": "cy",
}  # fmt: skip
_LETTERS = {
    "eng", "deu", "ger", "fra", "fre", "spa", "por", "rus", "jpn", "zho", "cmn", "kor", "ara",
    "nld", "pol", "tur", "ces", "ron", "ukr", "swe", "fin", "hun", "ell", "heb", "hin", "vie",
}  # fmt: skip
# "it" and "es" are two languages, and a pair of an English word and a German one
_WORDS = {"am", "as", "be", "he", "hi", "id", "is", "it", "la", "my", "no", "or", "so", "to"}


def language_named(name: str) -> str:
    """The code of a language by its English name; of a path into an object its end.

    >>> [language_named(name) for name in ("English", "translation.de", "pt-BR")]
    ['en', 'de', 'pt-BR']
    """
    name = name.strip().rpartition(".")[2]
    return _CODES.get(name.casefold(), name)


def is_language(name: str) -> bool:
    """Whether a name is that of a language, or its code."""
    code = re.split("[-_]", name)[0]
    return name.casefold() in _CODES or (
        code.lower() in {*_CODES.values(), *_LETTERS} and len(name) <= 7 and code.islower()
    )


def header_languages(
    fields: tuple[str, str], asked: tuple[Named, Named], file: Path
) -> tuple[str, str] | None:
    """The languages that a first row names, where it can be nothing but a header.

    Args:
        fields: of the two columns.
        asked: what the options say of these columns.
        file: of the table, for messages.

    Returns:
        Two codes, or empty ones of a header that names none (``source``, ``target``); None of a row
        that is a pair.

    Raises:
        UserError: if it may be both, or contradicts the options.
    """
    first, second = (field.strip() for field in fields)
    shown = f"{file}: its first row, {first!r} and {second!r},"
    if direction_of((first, second)):
        return "", ""
    if not (is_language(first) and is_language(second)) or first == second:
        return None
    found = language_named(first), language_named(second)
    said = [one.language if one.language != one.name else "" for one in asked]
    for code, language in zip(found, said, strict=True):
        if language and not speaks(code, language) and not speaks(language, code):
            raise UserError(
                f"{shown} is not what --source and --target say ({', '.join(said)}): mend these, "
                "or --header none, if it is a pair"
            )
    if not all(said) and _WORDS & {first, second} and "en" not in (first, second):
        raise UserError(
            f"{shown} may be a header or a pair: --header none says that it is a pair, --source "
            f"{first} --target {second} that these are names"
        )
    return found


def column_of(language: str, names: list[str]) -> str | None:
    """The one column that is called by a language, its English name or its role."""
    if language in names:
        return language
    roles = SOURCES if language in SOURCES else TARGETS if language in TARGETS else ()
    found = [
        name
        for name in names
        if speaks(language_named(name), language) or name.strip().lower() in roles
    ]
    return found[0] if len(found) == 1 else None
