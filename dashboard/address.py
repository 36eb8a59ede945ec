"""Addresses of pages: read strictly, written in one way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from precompute.errors import UsageError

LONGEST = 4000
"""Characters in an address; a longer one is refused unread."""
DIGITS = re.compile(r"[0-9]{1,9}")


class AddressError(UsageError):
    """An address that leads to no page."""


@dataclass(frozen=True)
class Address:
    """Where a browser is: the path, and the parameters after the question mark."""

    path: str
    parameters: Mapping[str, str]

    @property
    def parts(self) -> tuple[str, ...]:
        """The path's parts between slashes."""
        return tuple(part for part in self.path.split("/") if part)


def parse(pathname: object, search: object = "", base: str = "") -> Address:
    """Read an address as a browser (or a forged request) sends it, below `base`; raises AddressError."""
    path, query = _text(pathname, "/"), _text(search, "").removeprefix("?")
    path = path[len(base) :] if base and f"{path}/".startswith(f"{base}/") else path
    if len(path) + len(query) > LONGEST:
        raise AddressError(
            f"an address of {len(path) + len(query):,} characters",
            f"at most {LONGEST:,}",
            "shorten it, or start from the overview",
        )
    pairs = parse_qsl(query, keep_blank_values=True)
    repeated = sorted({name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1})
    if repeated:
        raise AddressError(
            f"the parameter {shortened(repeated[0])} more than once",
            "each parameter once",
            "remove one of them",
        )
    return Address(path or "/", dict(pairs))


def _text(value: object, default: str) -> str:
    if value is None:
        return default
    if not isinstance(value, str):
        raise AddressError(f"an address of type {type(value).__name__}", "text", "open a page by its link")
    return value


def shortened(text: object) -> str:
    """What somebody sent, fit to be shown in a message."""
    shown = ascii(text)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"


def feature_number(value: object, d_sae: int | None = None) -> int:
    """A feature's number from an address or a callback; raises AddressError naming the valid range."""
    valid = "a whole number from 0" + (f" to {d_sae - 1:,}" if d_sae else "")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and DIGITS.fullmatch(value)):
        raise AddressError(f"feature {shortened(value)}", valid, "correct the number in the address")
    number = int(str(value))
    if number < 0 or (d_sae is not None and number >= d_sae):
        raise AddressError(f"feature {number}", valid, "correct the number in the address")
    return number


def one_of(value: object, allowed: tuple[str, ...], name: str) -> str:
    """One of a few words; None gives the first. Raises AddressError naming them."""
    if value is None:
        return allowed[0]
    if not isinstance(value, str) or value not in allowed:
        raise AddressError(
            f"{name} {shortened(value)}", f"one of {', '.join(allowed)}", f"choose {name} on the page"
        )
    return value


def feature_path(feature: int, **parameters: str) -> str:
    """The address of a feature's page."""
    return with_parameters(f"/feature/{feature}", parameters)


def token_path(token_id: int) -> str:
    """The address of a token's page."""
    return f"/token/{token_id}"


def with_parameters(path: str, parameters: Mapping[str, str]) -> str:
    """An address with parameters, in the order given."""
    query = urlencode(dict(parameters), safe=":,", quote_via=quote)
    return f"{path}?{query}" if query else path
