"""What a step is: one computation that publishes one artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from precompute.config import ImportedType, KnownType, with_model
from precompute.executors.executor import Executor, Item, Opening, Result
from precompute.executors.local import Threads
from precompute.executors.ranks import Ranks, Team
from precompute.npy import open_npy
from precompute.progress import Progress, Silent
from precompute.settings import Operations, Settings

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from precompute.stores.feature_store import FeatureStore
    from precompute.stores.row_store import RowStore

Source = Literal["model", "tokenizer", "sae", "corpus", "store"]
"""What a step reads besides other steps' artifacts."""


@dataclass(frozen=True)
class OnStore:
    """What a step does where activations were imported: the same outputs, from other sources."""

    summary: str
    """One sentence for people: what it computes."""
    run: Callable[[StepContext], None]
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class Step:
    """One computation of the pipeline; a new step is one module and one line in the registry."""

    name: str
    """Also the name of its artifact."""
    version: int
    """Raised whenever the result changes for the same inputs."""
    summary: str
    """One sentence for people: what it computes."""
    outputs: tuple[str, ...]
    """Files or directories that it writes, as a reader finds them in the subject's directory."""
    run: Callable[[StepContext], None]
    """Writes the outputs under `context.out`."""
    inputs: tuple[str, ...] = ()
    """Steps whose artifacts it reads."""
    does_without: tuple[str, ...] = ()
    """Those of them without which it has less to say, but does apply."""
    sources: tuple[Source, ...] = ()
    """Files of the user's that it reads."""
    settings: tuple[str, ...] = ()
    """Names of the scientific settings that it reads."""
    resumable: bool = False
    """Whether a staging directory left by an interrupted run is taken up again."""
    seconds_per_million: float = 1.0
    """Cost hint: seconds for a million non-zeros on 2 cores."""
    on_store: OnStore | None = None
    """In place of `summary`, `run` and `sources` where activations were imported. A step with sources and
    without this does not apply there; one without either reads artifacts alone, and does not care."""

    def summary_of(self, model_type: KnownType) -> str:
        """What it computes for a model type, in one sentence."""
        there = self.on_store if isinstance(model_type, ImportedType) else None
        return there.summary if there else self.summary

    def sources_of(self, model_type: KnownType) -> tuple[Source, ...]:
        """The files of the user's that it reads for a model type."""
        if not isinstance(model_type, ImportedType):
            return self.sources
        return self.on_store.sources if self.on_store else ()

    def run_of(self, model_type: KnownType) -> Callable[[StepContext], None]:
        """What writes its outputs for a model type."""
        if not isinstance(model_type, ImportedType):
            return self.run
        if self.on_store is not None:
            return self.on_store.run
        return _without_model if self.sources else self.run


def _without_model(context: StepContext) -> None:
    """What a step does that needs the model: raises NotApplicableError."""
    with_model(context.model_type)


Share = Callable[[Ranks, Progress], None]
"""What a process does of a step that several do together: what falls to its rank."""


def sharing(ranks: Ranks) -> Team[Share]:
    """The team of this process."""
    return Team(ranks, partial(_do, ranks))


def _do(ranks: Ranks, share: Share, progress: Progress) -> None:
    share(ranks, progress)


def _part(
    work: Callable[[StepContext, Ranks], None], context: StepContext, ranks: Ranks, progress: Progress
) -> None:
    work(replace(context, progress=progress), ranks)


@dataclass(frozen=True)
class StepContext:
    """What a running step is given."""

    model_type: KnownType
    """The subject: model, SAE, corpus and storage."""
    settings: Settings
    operations: Operations
    out: Path
    """The staging directory; what is written here is checked, made durable and published."""
    files: Mapping[str, Path]
    """Where each output of each input step lies."""
    progress: Progress
    data_dir: Path = Path("data")
    """The data directory, where the snapshot of the built-in corpus lies."""
    executor: Executor = field(default_factory=Threads)
    """Where independent pieces run."""
    team: Team[Share] = field(default_factory=lambda: sharing(Ranks()))
    """The processes that run the model together."""

    def portable(self) -> StepContext:
        """As other processes are given it: paths and settings alone."""
        return replace(self, progress=Silent(), executor=Threads(), team=sharing(Ranks()))

    def share(self, work: Callable[[StepContext, Ranks], None]) -> None:
        """Let each process that torchrun started do its own part of `work`, a function of a module."""
        self.team.lead(partial(_part, work, self.portable()), self.progress)

    def map(
        self,
        opening: Callable[[StepContext], Callable[[Item], Result]],
        items: Iterable[Item],
    ) -> Iterator[Result]:
        """Apply what `opening` makes of this context to each item, wherever pieces run; in order.

        `opening` reads what all pieces need, by the paths of the context; a function of a module, since it
        may be called in other processes.
        """
        return self.map_with(partial(opening, self.portable()), items)

    def map_with(self, opening: Opening[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """The same for what needs no context."""
        return self.executor.map(opening, items, self.out)

    def table(self, name: str) -> pl.DataFrame:
        """An input's table, by its file name without `.parquet`."""
        import polars as pl

        return pl.read_parquet(self.files[f"{name}.parquet"])

    def array(self, name: str) -> NDArray[np.float32]:
        """An input's array, by its file name without `.npy`, memory-mapped."""

        mapped: NDArray[np.float32] = open_npy(self.files[f"{name}.npy"])
        return mapped

    def record(self, name: str) -> dict[str, Any]:
        """An input's JSON record, by its file name without `.json`."""
        import json

        loaded: dict[str, Any] = json.loads(self.files[f"{name}.json"].read_text())
        return loaded

    def has(self, output: str) -> bool:
        """Whether an input has this file or directory; it has not where it does not apply to the subject."""
        return self.files[output].exists()

    def row_store(self) -> RowStore:
        """The row-major activations."""
        from precompute.stores.row_store import RowStore

        return RowStore(self.files["activations"])

    def feature_store(self) -> FeatureStore:
        """The feature-major activations."""
        from precompute.stores.feature_store import FeatureStore

        return FeatureStore(self.files["feature_major"])

    def features(self, d_sae: int) -> range:
        """The features that tables list: all, or those that `features` in the settings names."""
        first, stop = self.settings.features or (0, d_sae)
        return range(min(first, d_sae), min(stop, d_sae))

    def write_table(self, name: str, table: pl.DataFrame) -> None:
        """Write one output table; the same rows give the same bytes."""
        table.write_parquet(self.out / f"{name}.parquet", compression="zstd", statistics=True)

    def write_record(self, name: str, record: Mapping[str, Any]) -> None:
        """Write one output record as JSON; NaN and infinity are refused (absent is null)."""
        import json

        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
        (self.out / f"{name}.json").write_text(text + "\n")
