"""The identity of a text: what two texts must share to be the same text."""

from __future__ import annotations

import hashlib
import unicodedata

TEXT_ID_LENGTH = 32
"""Hexadecimal characters of a text_id: 128 bits, so a collision is not expected in any corpus."""


def canonical_text(text: str) -> str:
    """Return the text in Unicode NFC with every line ending written as a line feed."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def text_id(text: str) -> str:
    """Return the first 32 hexadecimal characters of the SHA-256 of the canonical UTF-8 text.

    Lone surrogates, which UTF-8 cannot hold but Python strings can, are hashed as they are.
    """
    encoded = canonical_text(text).encode("utf-8", errors="surrogatepass")
    return hashlib.sha256(encoded).hexdigest()[:TEXT_ID_LENGTH]
