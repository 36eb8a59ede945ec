"""The exact text of each token of a vocabulary, as people are shown it."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

METASPACE = "▁"
"""SentencePiece's mark for a space."""
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
"""SentencePiece's token for one byte."""


def vocabulary(tokenizer: Any, d_vocab: int) -> list[str]:
    """The text of token ids 0 to d_vocab - 1, leading spaces kept.

    Bytes that are no whole UTF-8 character are shown as `\\xNN`. Ids beyond the tokenizer's, which pad the
    logits of some models, are shown as `<unused N>`.
    """
    pieces = {index: piece for piece, index in tokenizer.get_vocab().items()}
    added = {index: str(token) for index, token in tokenizer.added_tokens_decoder.items()}
    byte_level = _is_byte_level(tokenizer)
    return [
        added[index]
        if index in added
        else _decoded(pieces[index], byte_level)
        if index in pieces
        else f"<unused {index}>"
        for index in range(d_vocab)
    ]


def special_token_ids(tokenizer: Any) -> frozenset[int]:
    """Ids of the tokens that stand for no text: BOS, padding, and the like."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | frozenset(i for i, token in added if token.special)


def _decoded(piece: str, byte_level: bool) -> str:
    if byte_level:
        return _from_bytes(piece)
    byte = BYTE_TOKEN.fullmatch(piece)
    if byte:
        return bytes([int(byte.group(1), 16)]).decode("utf-8", errors="backslashreplace")
    return piece.replace(METASPACE, " ")


def _from_bytes(piece: str) -> str:
    """Undo the byte-level alphabet; a piece with other characters is text already."""
    table = _byte_of_character()
    if not all(character in table for character in piece):
        return piece
    return bytes(table[character] for character in piece).decode("utf-8", errors="backslashreplace")


@cache
def _byte_of_character() -> dict[str, int]:
    """The inverse of GPT-2's alphabet for bytes (openai/gpt-2, src/encoder.py, bytes_to_unicode):
    printable Latin-1 characters stand for themselves, the other bytes for characters from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + n): byte for n, byte in enumerate(others)}


def _is_byte_level(tokenizer: Any) -> bool:
    """Whether the tokenizer's pieces are written in the byte-level alphabet."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return hasattr(tokenizer, "byte_decoder")
    state = json.loads(backend.to_str())
    parts = [state.get("decoder"), state.get("pre_tokenizer")]
    return any(_mentions_byte_level(part) for part in parts if part)


def _mentions_byte_level(part: dict[str, Any]) -> bool:
    inner = part.get("decoders", part.get("pretokenizers", []))
    return part.get("type") == "ByteLevel" or any(_mentions_byte_level(child) for child in inner)
