"""Artifacts for the dashboard's tests: small, random, and full of tokens that are hard to show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from precompute.errors import ArtifactMissingError
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.subjects import Subject
from precompute.reading import Artifacts
from precompute.settings import Settings
from tests import builders

OUTPUTS = {
    "corpus": ("corpus.parquet", "windows.parquet", "vocabulary.parquet", "corpus.json"),
    "activations": ("activations",),
    "transpose": ("feature_major",),
    "feature_stats": ("feature_stats.parquet",),
    "histograms": ("histograms.parquet",),
    "examples": ("examples.parquet",),
    "directions": ("directions.npy", "unembed.npy", "directions.json"),
    "influences": ("influences.parquet",),
    "logit_stats": ("logit_stats.parquet",),
    "tfidf": ("tfidf.parquet",),
    "token_contexts": ("token_contexts.parquet",),
    "neighbors": ("neighbors.parquet",),
    "coactivations": ("coactivations.parquet",),
    "feature_map": ("feature_map.parquet",),
    "sae_quality": ("sae_quality.json",),
    "idf": ("idf.parquet",),
    "token_features": ("token_features.parquet", "token_counts.parquet", "token_rows"),
    "token_influences": ("token_influences.parquet",),
}
HARD_TOKENS = (
    "<s>",
    "&lt;",
    "<br>",
    " ",
    "\n",
    "\t",
    "",
    "\u200b",
    "\u202e",
    "\u00a0",
    "\x00",
    "\x1b[31m",
    "$x^2$",
    "%{x}",
    "\u0301",
    "<b>bold</b>",
    "שלום",
    "&amp;",
    "␣",
    "⟨U+200B⟩",
    "'\"><script>alert(1)</script>",
    "\ufffd",
    "a" * 3000,
    "{{x}}",
    "**bold** `code`",
)
D_VOCAB = 60
D_SAE = 24
D_IN = 6


class PlainArtifacts(Artifacts):
    """Artifacts that lie in one directory, without manifests: what the reader gives, and no more."""

    def path(self, output: str) -> Path:
        path = self.directory / output
        if not path.exists():
            step = next(name for name, outputs in OUTPUTS.items() if output in outputs)
            raise ArtifactMissingError(
                f"{step} is not computed for test; "
                f"run: python -m precompute.unified --model-type test --only {step}"
            )
        return path

    def fingerprint(self, step: str) -> str:
        if step not in OUTPUTS:
            raise ArtifactMissingError(f"{step} is not computed for test")
        path = self.path(OUTPUTS[step][0])
        return f"{step}-{path.stat().st_mtime_ns}"

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.path(f"{name}.parquet"))

    def status(self) -> tuple[StepStatus, ...]:
        return tuple(self._status(step) for step in OUTPUTS)

    def sae_digest(self) -> str:
        return "5ae" * 10 + "5a"

    def _status(self, step: str) -> StepStatus:
        there = all((self.directory / output).exists() for output in OUTPUTS[step])
        state, reason = ("fresh", "") if there else ("missing", "not computed yet")
        return StepStatus(step, f"What {step} holds.", state, reason, 1234 if there else 0, 1.5, "f00" * 5)


def plain_artifacts(directory: Path) -> PlainArtifacts:
    return PlainArtifacts(Subject(builders.MODEL_TYPE, Settings(), directory))


def tokens() -> list[str]:
    return [*HARD_TOKENS, *(f" word{i}" for i in range(D_VOCAB - len(HARD_TOKENS)))]


def make_artifacts(
    directory: Path, n_examples: int = 40, seed: int = 0, d_sae: int = D_SAE
) -> PlainArtifacts:
    """Every artifact that the pages read, computed in the plainest way."""
    subject = builders.random_subject(
        directory, n_examples=n_examples, d_sae=d_sae, seed=seed, d_vocab=D_VOCAB, n_ctx=24
    )
    skip_text_numbers(directory)
    rng = np.random.default_rng(seed)
    dense = builders.dense_matrix(subject.rows)
    places = subject.rows.locate(np.arange(subject.rows.n_rows))
    vocabulary = pl.DataFrame(
        {
            "token_id": pl.Series(range(D_VOCAB), dtype=pl.UInt32),
            "token": tokens(),
            "is_special": [i == 0 for i in range(D_VOCAB)],
        }
    )
    vocabulary.write_parquet(directory / "vocabulary.parquet")
    directions = rng.normal(size=(d_sae, D_IN)).astype(np.float32)
    unembed = rng.normal(size=(D_IN, D_VOCAB)).astype(np.float32)
    np.save(directory / "directions.npy", directions)
    np.save(directory / "unembed.npy", unembed)
    (directory / "directions.json").write_text(
        json.dumps({"inverse_sigma": 0.5, "norm": None, "tokens": True})
    )
    tables = {
        "feature_stats": feature_stats(dense, places.example, rng),
        "histograms": histograms(dense),
        "examples": examples(dense, places.example, places.position),
        **logit_tables(directions @ unembed),
        **token_tables(directory, dense, tokens_of_rows(subject), directions @ unembed),
        "idf": idf(subject),
        "tfidf": tfidf(dense, rng),
        "token_contexts": token_contexts(dense, rng),
        **relations(dense, rng),
    }
    for name, table in tables.items():
        table.write_parquet(directory / f"{name}.parquet")
    quality = {
        "n_rows": 1000,
        "l0": 3.25,
        "fvu": 0.21,
        "ce_model": 3.5,
        "ce_sae": 3.62,
        "recovered": 0.941,
        "dead_share": 0.04,
    }
    (directory / "sae_quality.json").write_text(json.dumps(quality))
    return plain_artifacts(directory)


def skip_text_numbers(directory: Path) -> None:
    """Number the texts as in a corpus of which not every text is used; write corpus.json as its step does."""
    renumbered = [pl.col("text_index") * 2 + 3]
    corpus = pl.read_parquet(directory / "corpus.parquet")
    corpus.with_columns(*renumbered, pl.col("duplicate_of") * 2 + 3).write_parquet(
        directory / "corpus.parquet"
    )
    windows = pl.read_parquet(directory / "windows.parquet")
    windows.with_columns(*renumbered).write_parquet(directory / "windows.parquet")
    record = {
        "n_texts_in_corpus": 2 * corpus.height + 3,
        "n_empty_texts": 1,
        "n_texts": corpus.height,
        "n_examples": windows.height,
        "n_rows": 1,
        "n_held_out_examples": 12,
        "n_held_out_rows": 240,
        "held_out": True,
        "prepend_bos": True,
        "bos_token_id": 0,
        "n_ctx": 24,
    }
    (directory / "corpus.json").write_text(json.dumps(record))


def feature_stats(dense: np.ndarray, example: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame([_stats(f, dense[:, f], example, rng) for f in range(dense.shape[1])])


def _stats(feature: int, column: np.ndarray, example: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    active = column[column != 0]
    q25, median, q75 = np.quantile(active, [0.25, 0.5, 0.75]) if len(active) else (None, None, None)
    return {
        "feature": feature,
        "n_rows": len(column),
        "n_nonzero": len(active),
        "n_examples": len(np.unique(example[column != 0])),
        "frac_active": len(active) / len(column),
        "sparsity": 1 - len(active) / len(column),
        "min": column.min(),
        "max": column.max(),
        "mean": column.mean(),
        "std": column.std(),
        "mean_active": active.mean() if len(active) else None,
        "q25": q25,
        "median": median,
        "q75": q75,
        "decoder_norm": 1 + float(rng.random()),
    }


def histograms(dense: np.ndarray, n_bins: int = 20) -> pl.DataFrame:
    rows = []
    for feature in range(dense.shape[1]):
        active = dense[dense[:, feature] != 0, feature]
        counts, edges = (
            np.histogram(active, n_bins)
            if len(active)
            else (np.zeros(n_bins, int), np.linspace(0, 1, n_bins + 1))
        )
        n_zero = int((dense[:, feature] == 0).sum())
        rows.append(
            {"feature": feature, "n_zero": n_zero, "bin_edges": edges.tolist(), "counts": counts.tolist()}
        )
    return pl.DataFrame(rows)


def examples(dense: np.ndarray, example: np.ndarray, position: np.ndarray) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for feature in range(dense.shape[1]):
        order = np.argsort(-dense[:, feature], kind="stable")
        active = [r for r in order if dense[r, feature] > 0]
        bands = {"top": active[:6], "q1": active[-3:], "q2": active[:3], "v1": active[-2:], "v2": active[:2]}
        for band, chosen in bands.items():
            for rank, row in enumerate(chosen):
                rows.append(
                    {
                        "feature": feature,
                        "band": band,
                        "rank": rank,
                        "row": int(row),
                        "example": int(example[row]),
                        "position": int(position[row]),
                        "activation": float(dense[row, feature]),
                    }
                )
        if active:
            silent = next((r for r in order if dense[r, feature] == 0), None)
            rows.append(
                {
                    "feature": feature,
                    "band": "miss",
                    "rank": 0,
                    "row": None,
                    "position": None,
                    "activation": 0.0,
                    "example": int(example[silent]) if silent is not None else 0,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def logit_tables(effects: np.ndarray, k: int = 15) -> dict[str, pl.DataFrame]:
    influences, stats, names = [], [], tokens()
    for feature, row in enumerate(effects):
        order = np.argsort(-row, kind="stable")
        for direction, chosen in (("promotes", order[:k]), ("suppresses", order[::-1][:k])):
            influences += [
                {
                    "feature": feature,
                    "direction": direction,
                    "rank": rank,
                    "token_id": int(t),
                    "token": names[t],
                    "influence": row[t],
                }
                for rank, t in enumerate(chosen)
            ]
        counts, edges = np.histogram(row, 20)
        centred = (row - row.mean()) / row.std()
        stats.append(
            {
                "feature": feature,
                "mean": row.mean(),
                "std": row.std(),
                "skewness": (centred**3).mean(),
                "kurtosis": (centred**4).mean() - 3,
                "bin_edges": edges.tolist(),
                "counts": counts.tolist(),
            }
        )
    return {"influences": pl.DataFrame(influences), "logit_stats": pl.DataFrame(stats)}


def tokens_of_rows(subject: builders.Subject) -> np.ndarray:
    """int [n_rows]: the token under each row."""
    places = subject.rows.locate(np.arange(subject.rows.n_rows))
    windows = subject.corpus.windows
    found = [windows[e].token_ids[p] for e, p in zip(places.example, places.position, strict=True)]
    return np.array(found)


def idf(subject: builders.Subject) -> pl.DataFrame:
    held = [set(window.token_ids) for window in subject.corpus.windows]
    frequency = np.array([sum(token in ids for ids in held) for token in range(D_VOCAB)])
    return pl.DataFrame(
        {
            "token_id": range(D_VOCAB),
            "token": tokens(),
            "document_frequency": frequency,
            "idf": np.log((len(held) + 1) / (frequency + 1)),
        }
    )


def token_tables(
    directory: Path, dense: np.ndarray, row_tokens: np.ndarray, effects: np.ndarray, k: int = 10
) -> dict[str, pl.DataFrame]:
    """What is known of each token; its rows are written beside."""
    (directory / "token_rows").mkdir(exist_ok=True)
    counts = np.bincount(row_tokens, minlength=D_VOCAB)
    np.save(directory / "token_rows" / "indptr.npy", np.concatenate([[0], np.cumsum(counts)]))
    np.save(directory / "token_rows" / "rows.npy", np.argsort(row_tokens, kind="stable").astype(np.uint32))
    features, influences, totals = [], [], []
    for token in range(D_VOCAB):
        acts = dense[row_tokens == token]
        means = acts.mean(axis=0) if len(acts) else np.zeros(dense.shape[1])
        firing = [int(f) for f in np.argsort(-means, kind="stable") if means[f] > 0]
        features += [
            {
                "token_id": token,
                "rank": rank,
                "feature": f,
                "n_active": int((acts[:, f] != 0).sum()),
                "mean_act": means[f],
                "max_act": acts[:, f].max(),
            }
            for rank, f in enumerate(firing[:k])
        ]
        totals.append({"token_id": token, "n_rows": int(counts[token]), "n_features": len(firing)})
        order = np.argsort(-effects[:, token], kind="stable")
        for direction, chosen in (("promotes", order[:k]), ("suppresses", order[::-1][:k])):
            influences += [
                {
                    "token_id": token,
                    "direction": direction,
                    "rank": rank,
                    "feature": int(f),
                    "influence": effects[f, token],
                }
                for rank, f in enumerate(chosen)
            ]
    return {
        "token_features": pl.DataFrame(features),
        "token_counts": pl.DataFrame(totals),
        "token_influences": pl.DataFrame(influences),
    }


def tfidf(dense: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    names = tokens()
    return pl.DataFrame(
        [
            {
                "feature": f,
                "rank": rank,
                "token_id": int(t),
                "token": names[t],
                "tf": 0.1 / (rank + 1),
                "tfidf": 0.5 / (rank + 1),
            }
            for f in range(dense.shape[1])
            if dense[:, f].any()
            for rank, t in enumerate(rng.permutation(D_VOCAB)[:8])
        ]
    )


def token_contexts(dense: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "feature": f,
                "n": n,
                "ngram": rng.integers(0, D_VOCAB, n).tolist(),
                "text": "",
                "count": 9 - i,
                "mean_act": 2.0,
                "max_act": 3.0,
                "share": 0.5,
            }
            for f in range(dense.shape[1])
            if dense[:, f].any()
            for n in (1, 2, 3)
            for i in range(4)
        ]
    )


def relations(dense: np.ndarray, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    d_sae = dense.shape[1]
    neighbors, together = [], []
    for f in range(d_sae):
        others = [int(o) for o in rng.permutation(d_sae) if o != f][:6]
        neighbors += [
            {"feature": f, "rank": r, "neighbor": o, "cosine": 0.9 - 0.1 * r} for r, o in enumerate(others)
        ]
        if dense[:, f].any():
            together += [
                {
                    "feature": f,
                    "rank": r,
                    "other": o,
                    "n_both": 5,
                    "jaccard": 0.5 / (r + 1),
                    "pearson": 0.3,
                    "lift": 2.5,
                }
                for r, o in enumerate(others)
            ]
    places = rng.normal(size=(d_sae, 2))
    clusters = [-1 if f % 4 == 0 else f % 3 for f in range(d_sae)]
    labels = [None if c < 0 else f"label{c}" for c in clusters]
    feature_map = {
        "feature": range(d_sae),
        "x": places[:, 0],
        "y": places[:, 1],
        "cluster": clusters,
        "label": labels,
    }
    return {
        "neighbors": pl.DataFrame(neighbors),
        "coactivations": pl.DataFrame(together),
        "feature_map": pl.DataFrame(feature_map),
    }
