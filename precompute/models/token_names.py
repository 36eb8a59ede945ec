"""The names of tokens where there is no model: of a tokenizer alone, or of a vocabulary file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import ModelError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""A directory with a tokenizer has one of these."""


@dataclass(frozen=True)
class TokenNames:
    """Tokens by their ids."""

    tokens: list[str]
    special: frozenset[int]
    """Ids of those that stand for no text."""


def check_token_names(place: Path) -> None:
    """Whether there is something that names tokens; loads no tokenizer. Raises ModelError."""
    is_tokenizer = place.is_dir() and any((place / name).is_file() for name in TOKENIZER_FILES)
    if place.is_file():
        _read_file(place)
    elif not is_tokenizer:
        raise ModelError(
            f"no tokenizer at {place}",
            "a directory with a tokenizer, or a vocabulary file (.json or .txt)",
            "correct `tokenizer`",
        )


def read_token_names(place: Path) -> TokenNames:
    """The tokens of a tokenizer's directory, or of a vocabulary file; raises ModelError."""
    check_token_names(place)
    if place.is_file():
        return TokenNames(_read_file(place), frozenset())
    from precompute.models.language_model import tokenizer_in
    from precompute.models.tokens import special_token_ids, vocabulary

    tokenizer = tokenizer_in(place)
    d_vocab = max(tokenizer.get_vocab().values(), default=-1) + 1
    return TokenNames(vocabulary(tokenizer, d_vocab), special_token_ids(tokenizer))


def _read_file(path: Path) -> list[str]:
    """The tokens of a file: JSON of ids by token, or a list; or a text with one token a line."""
    try:
        text = path.read_text(encoding="utf-8")
        raw: Any = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"the vocabulary {path} that cannot be read ({reason})", "JSON or text", "correct it"
        ) from None
    if isinstance(raw, dict) and all(type(number) is int and number >= 0 for number in raw.values()):
        names = {number: token for token, number in raw.items()}
        return [names.get(number, f"<unused {number}>") for number in range(max(names, default=-1) + 1)]
    if isinstance(raw, list) and all(isinstance(token, str) for token in raw):
        return raw
    raise ModelError(
        f"the vocabulary {path} of another form", "ids by token, or a list of tokens", "correct `tokenizer`"
    )
