"""Pairs for the demo's embedder: a docstring's summary with the body below it."""

from __future__ import annotations

import polars as pl

MIN_SUMMARY, MIN_BODY = 16, 48
"""Fewest characters of a summary and of a body; shorter ones say too little to be found again."""


def summary_pairs(texts: pl.DataFrame) -> pl.DataFrame:
    """Columns summary, body, package of texts with both, in corpus order.

    The summary is what stands before the first blank line. A summary or body that occurs again is left out,
    so that each has one answer.
    """
    parts = texts["text"].str.splitn("\n\n", 2)
    return (
        pl.DataFrame(
            {
                "summary": parts.struct.field("field_0").str.strip_chars(),
                "body": parts.struct.field("field_1").str.strip_chars(),
                "package": texts["package"],
            }
        )
        .filter(pl.col("summary").str.len_chars() >= MIN_SUMMARY, pl.col("body").str.len_chars() >= MIN_BODY)
        .unique("summary", keep="first", maintain_order=True)
        .unique("body", keep="first", maintain_order=True)
    )
