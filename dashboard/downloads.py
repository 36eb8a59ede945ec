"""Files that a browser keeps: what an address names, or one sentence why there is no such file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
from flask import Flask, Response, request

from dashboard.address import Address, parse
from precompute.errors import LightwellError
from precompute.export.files import FORMATS


@dataclass(frozen=True)
class Attachment:
    """A file, as it is sent."""

    name: str
    content: str | Iterator[bytes]
    mime_type: str


def table_file(table: pl.DataFrame, name: str, ending: str) -> Attachment:
    """A table in one of the formats, under a name without its ending."""
    chosen = FORMATS[ending]
    return Attachment(f"{name}.{ending}", chosen.pieces(table), chosen.mime_type)


def serve_tables(server: Flask, path: str, asked: Callable[[Address], tuple[pl.DataFrame, str]]) -> None:
    """Answer `path.csv` and so on with the table that an address names, under the name that comes with it."""

    def serve(ending: str) -> None:
        def answer() -> Response:
            return attached(lambda: table_file(*asked(_address(path)), ending))

        server.add_url_rule(f"{path}.{ending}", f"{path[1:]}.{ending}", answer)

    for ending in FORMATS:
        serve(ending)


def _address(path: str) -> Address:
    """The address of a page with the parameters of the request; raises AddressError for odd ones."""
    return parse(path, request.query_string.decode("utf-8", "replace"))


def attached(make: Callable[[], Attachment], refusal: int = 400) -> Response:
    """The file that is made; where that raises LightwellError, its sentence with the status `refusal`."""
    try:
        file = make()
    except LightwellError as error:
        return Response(f"lightwell: {error}\n", refusal, content_type="text/plain; charset=utf-8")
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
    return Response(file.content, content_type=file.mime_type, headers=headers)
