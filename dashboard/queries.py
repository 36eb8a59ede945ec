"""Every question that the pages ask of the artifacts; answers are remembered by fingerprint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from dashboard import columns, grid
from dashboard.address import feature_number
from dashboard.bands import band, band_order
from dashboard.embedded import EmbeddedSets
from dashboard.embedder import Embedders
from dashboard.feature_table import brief, build, visible_labels
from dashboard.inference import Inference
from dashboard.labelling.labels import Labels
from dashboard.place import Place
from dashboard.records import (
    Band,
    Effect,
    FeatureStatistics,
    Histogram,
    RowPage,
    ShownExample,
    StoreSummary,
    TokenEffects,
)
from dashboard.row_index import RowIndex, row_index
from dashboard.states import States
from dashboard.tables import Tables, optional
from precompute.config import KnownType
from precompute.errors import (
    ArtifactMissingError,
    CorruptArtifactError,
    LightwellError,
    NotApplicableError,
)
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.registry import steps
from precompute.reading import Artifacts
from precompute.stores.feature_store import FeatureActivations

if TYPE_CHECKING:
    from dashboard.jobs import Jobs

CORPUS_COLUMNS = ("text_index", "text_id", "text", "n_tokens", "duplicate_of")
"""Columns of the corpus that are not a text's metadata."""
TABLE_STEPS = (*columns.STEPS, "corpus")
"""Steps whose artifacts the feature table joins."""


class Queries:
    """The questions, asked of one model type. Raises ArtifactMissingError, NotApplicableError or
    CorruptArtifactError where an answer's artifact is not there, and AddressError for an unknown feature."""

    def __init__(
        self, artifacts: Artifacts, options: str = "", place: Place | None = None, author: str = "unknown"
    ) -> None:
        self.artifacts = artifacts
        self.place = place or Place(artifacts.model_type.name)
        self.options = options
        """What a command for this model type needs besides its name, such as ` --config my.toml`."""
        self.tables = Tables(artifacts)
        self.labels = Labels(self.tables, author)
        self.inference = Inference(artifacts.model_type, artifacts.subject.data_dir)
        self.states = States(artifacts)
        self.embedded, self.embedders = EmbeddedSets(artifacts.subject.data_dir), Embedders()
        self.jobs: Jobs | None = None
        """Of the server; none where pages are drawn without one."""

    def href(self, path: str) -> str:
        """The address of a page of this model type, from its path such as `/feature/7`."""
        return self.place.base + path

    @property
    def model_type(self) -> KnownType:
        """The model type that is served."""
        return self.artifacts.model_type

    def statuses(self) -> tuple[StepStatus, ...]:
        """The state of every step, looked up now."""
        return self.artifacts.status()

    def command(self, *steps: str) -> str:
        """The command that computes some steps, or everything."""
        only = f" --only {','.join(steps)}" if steps else ""
        return f"python -m precompute.unified --model-type {self.model_type.name}{only}{self.options}"

    def warm_up(self) -> None:
        """Read the large tables before the first visitor waits for them; what is absent is passed over."""
        questions: tuple[Callable[[], Any], ...] = (
            self.feature_table,
            self.row_index,
            self.vocabulary,
            self._band_names,
            self.corpus_texts,
        )
        for question in questions:
            optional(question)

    # The SAE as a whole.

    def store(self) -> StoreSummary:
        """Size of the activation store."""
        info = self.tables.reading("activations", lambda: self.artifacts.row_store().info)
        return StoreSummary(info.n_rows, info.n_nonzero, info.d_in, info.d_sae, info.backend, info.acts_dtype)

    def d_sae(self) -> int:
        """Number of features of the SAE."""
        return self.store().d_sae

    # The table of features.

    def feature_table(self) -> pl.DataFrame:
        """One row a feature, with the columns of `columns.py` whose artifacts exist."""
        return self.tables.memo.get("labelled table", self.table_version(), self._labelled_table)

    def table_version(self) -> tuple[str | None, ...]:
        """What the table is made of: artifacts, and the number of the newest change of a label."""
        return (*self.artifacts_version(), optional(self.labels.version))

    def _labelled_table(self) -> pl.DataFrame:
        return self.labels.joined(
            self.tables.memo.get("feature_table", self.artifacts_version(), self._build_table)
        )

    def artifacts_version(self) -> tuple[str | None, ...]:
        """What the table is made of besides labels."""
        return tuple(self.tables.fingerprint(step) for step in TABLE_STEPS)

    def _build_table(self) -> pl.DataFrame:
        statistics = self.tables.table("feature_stats", "feature_stats")

        def read(name: str) -> pl.DataFrame | None:
            return optional(lambda: self.tables.table(name, name))

        return build(statistics, read, lambda: visible_labels(self.vocabulary()))

    def feature_rows(self, view: grid.View, rows: range) -> RowPage:
        """Some rows of the table as a view orders them."""
        table, found = self.feature_table(), self.feature_order(view)
        return RowPage(brief(table[found[rows.start : rows.stop]]).to_dicts(), len(found))

    def feature_order(self, view: grid.View) -> pl.Series:
        """The numbers of the table's rows that a view shows, in its order."""
        table = self.feature_table()
        members = self.labels.set_features(view.members) if view.members else None
        version = (self.table_version(), members)
        return self.tables.memo.get(("view", view), version, lambda: grid.order(table, view, members))

    # One feature.

    def known_feature(self, value: object) -> int:
        """A feature's number; raises AddressError for one that the SAE does not have."""
        return feature_number(value, self.d_sae())

    def rows_of(self, step: str, feature: int) -> pl.DataFrame:
        """One feature's rows of the table of that step; empty where it has none."""
        return self.tables.rows_of(step, step, feature)

    def statistics(self, feature: int) -> FeatureStatistics:
        """A feature's statistics."""
        table = self.tables.some_rows_of("feature_stats", "feature_stats", feature)
        logit = optional(lambda: self.rows_of("logit_stats", feature))
        place = optional(lambda: self.rows_of("feature_map", feature))
        at = place.row(0, named=True) if place is not None and place.height else {}
        named = ("mean", "std", "skewness", "kurtosis")
        return FeatureStatistics(
            feature=feature,
            d_sae=self.d_sae(),
            stats=table.row(0, named=True),
            logit=logit.select(named).row(0, named=True) if logit is not None and logit.height else {},
            cluster=at.get("cluster"),
            cluster_label=at.get("label"),
        )

    def histogram(self, feature: int) -> Histogram:
        """The histogram of a feature's activations."""
        row = self.tables.some_rows_of("histograms", "histograms", feature).row(0, named=True)
        return _histogram(row, row["n_zero"])

    def logit_histogram(self, feature: int) -> Histogram:
        """The histogram of a feature's logit effects over the vocabulary."""
        row = self.tables.some_rows_of("logit_stats", "logit_stats", feature).row(0, named=True)
        return _histogram(row, 0)

    def effects(self, feature: int) -> TokenEffects:
        """The tokens that a feature promotes and suppresses, strongest first."""
        table = self.tables.some_rows_of("influences", "influences", feature)
        chosen = table.select("direction", "token_id", "token", "influence").iter_rows()
        ways: dict[str, list[Effect]] = {"promotes": [], "suppresses": []}
        for direction, *effect in chosen:
            ways[direction].append(Effect(*effect))
        return TokenEffects(tuple(ways["promotes"]), tuple(ways["suppresses"]))

    # Examples.

    def bands(self, feature: int) -> tuple[Band, ...]:
        """The bands of examples that are computed, strongest first, also where this feature has none."""
        names = self.tables.derived("bands", "examples", self._band_names)
        mine = Counter(self.rows_of("examples", feature)["band"].to_list())
        return tuple(band(name, names, mine[name]) for name in names)

    def _band_names(self) -> list[str]:
        return band_order(self.tables.table("examples", "examples")["band"].unique().to_list())

    def examples(self, feature: int, band_name: str) -> tuple[ShownExample, ...]:
        """A feature's examples of one band, by rank, with its activation on every token."""
        chosen = self.rows_of("examples", feature).filter(pl.col("band") == band_name)
        return self.shown_examples(self.activations(feature), chosen) if chosen.height else ()

    def activations(self, feature: int) -> FeatureActivations:
        """Where a feature fires; that of the feature asked for last is kept."""
        return self.tables.last_asked(
            "activations of one feature", "transpose", feature, lambda: self.artifacts.feature(feature)
        )

    def shown_examples(self, found: FeatureActivations, chosen: pl.DataFrame) -> tuple[ShownExample, ...]:
        """Rows like those of `examples.parquet` as examples with their texts, in the same order."""
        tokens, index, texts = self.vocabulary(), self.row_index(), self.corpus_texts()
        windows = self.tables.table("windows", "corpus")[chosen["example"]]
        of_text = texts[texts["text_index"].search_sorted(windows["text_index"])].drop("text_index")
        shown = []
        for row, window, text in zip(
            chosen.iter_rows(named=True),
            windows.iter_rows(named=True),
            of_text.iter_rows(named=True),
            strict=True,
        ):
            token_ids, is_set = window["token_ids"], index.is_whole(row["example"])
            shown.append(
                ShownExample(
                    rank=row["rank"],
                    example=row["example"],
                    text_index=window["text_index"],
                    text_id=window["text_id"],
                    chunk=window["chunk"],
                    position=None if is_set else row["position"],
                    activation=row["activation"],
                    token_ids=tuple(token_ids),
                    str_tokens=tuple(tokens[i] for i in token_ids),
                    acts=index.spread(row["example"], len(token_ids), found.rows, found.acts),
                    n_copies=text.pop("n_copies"),
                    metadata={name: value for name, value in text.items() if value is not None},
                    is_set=is_set,
                )
            )
        return tuple(shown)

    def row_index(self) -> RowIndex:
        """Where each example's rows lie."""

        def index() -> RowIndex:
            return row_index(self.artifacts.row_store())

        return self.tables.derived("row index", "activations", index)

    def corpus_texts(self) -> pl.DataFrame:
        """text_index, metadata of every text, and how many texts are equal to it (n_copies)."""

        def texts() -> pl.DataFrame:
            table = self.artifacts.scan("corpus").select(pl.exclude("text")).collect().sort("text_index")
            copies = pl.len().over("duplicate_of")
            ours = [name for name in CORPUS_COLUMNS if name != "text_index"]
            return table.with_columns(n_copies=copies).drop(ours, strict=False)

        return self.tables.derived("corpus texts", "corpus", texts)

    def vocabulary(self) -> list[str]:
        """Every token by its id, decoded exactly."""

        def tokens() -> list[str]:
            return self.artifacts.table("vocabulary").sort("token_id")["token"].to_list()

        return self.tables.derived("vocabulary", "corpus", tokens)

    # What is not there.

    def absence(self, error: LightwellError, step: str) -> StepStatus | None:
        """The state of the step whose artifact was missed, for a panel that must say so."""
        if not isinstance(error, ArtifactMissingError | CorruptArtifactError | NotApplicableError):
            return None
        # Where the model or SAE is gone, states cannot be judged; the error says enough by itself.
        return optional(lambda: self.artifacts.status_of(step)) if step in steps() else None


def _histogram(row: dict[str, Any], n_zero: int) -> Histogram:
    edges = np.asarray(row["bin_edges"] or [], dtype=np.float64)
    return Histogram(edges, np.asarray(row["counts"] or [], dtype=np.int64), n_zero)
