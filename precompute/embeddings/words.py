"""What each cluster of texts is about: the words that set it apart, by class TF-IDF."""

from __future__ import annotations

import polars as pl
from jaxtyping import Int32
from numpy import ndarray

from precompute.geometry.clusters import OUTSIDE, class_tfidf

WORD = r"[\p{L}_][\p{L}\p{N}_]{2,}"
"""Three characters at least, beginning with a letter: names of code are words too."""
N_WORDS = 5
"""Words kept a cluster."""
SEPARATOR = " · "
STOP_WORDS = frozenset(
    """
    about above after again all also and any are because been before being below between both but can could
    did does doing down during each few for from further had has have having her here hers him his how into
    its itself just let more most must not now off once only other our ours out over own same she should some
    such than that the their theirs them then there these they this those through too under until very was
    were what when where which while who whom why will with would you your yours
    """.split()  # noqa: SIM905 - easier to read than a list
)
"""Words that are about nothing."""
TEXTS_AT_ONCE = 50_000


def cluster_words(texts: pl.Series, clusters: Int32[ndarray, " n"]) -> pl.DataFrame:
    """cluster, n, label, words: the size of each cluster and what sets it apart, strongest word first.

    Every text has one vote, shared among its words. Words that differ only in case count as one.
    """
    sizes = (
        pl.DataFrame({"cluster": clusters})
        .filter(pl.col("cluster") != OUTSIDE)
        .group_by("cluster")
        .agg(pl.len().cast(pl.UInt32).alias("n"))
        .sort("cluster")
    )
    inside = pl.DataFrame({"text": texts, "cluster": clusters}).filter(pl.col("cluster") != OUTSIDE)
    counted = pl.concat([_votes(part) for part in inside.iter_slices(TEXTS_AT_ONCE)] or [_votes(inside)])
    counted = counted.group_by("cluster", "word").agg(pl.col("vote").sum()).sort("cluster", "word")
    vocabulary = counted["word"].unique().sort()
    term = counted["word"].rank("dense").to_numpy().astype("int64") - 1
    found = class_tfidf(counted["cluster"].to_numpy(), term, counted["vote"].to_numpy())
    ranked = pl.DataFrame(
        {"cluster": pl.Series(found.group, dtype=pl.Int32), "word": vocabulary.gather(pl.Series(found.term))}
    )
    labels = ranked.group_by("cluster", maintain_order=True).agg(pl.col("word").head(N_WORDS).alias("words"))
    joined = sizes.join(labels, on="cluster", how="left", maintain_order="left")
    label = pl.col("words").list.head(3).list.join(SEPARATOR).fill_null("")
    return joined.select("cluster", "n", label.alias("label"), pl.col("words").fill_null([]))


def _votes(part: pl.DataFrame) -> pl.DataFrame:
    """cluster, word, vote: each text's words, each with its share of the text's words."""
    words = (
        part.with_row_index("text_number")
        .with_columns(word=pl.col("text").str.to_lowercase().str.extract_all(WORD))
        .drop("text")
        .explode("word")
        .filter(pl.col("word").is_not_null(), ~pl.col("word").is_in(list(STOP_WORDS)))
    )
    words = words.with_columns(vote=1.0 / pl.len().over("text_number"))
    return words.group_by("cluster", "word").agg(pl.col("vote").sum())
