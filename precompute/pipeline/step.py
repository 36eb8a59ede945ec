"""What a step is: one computation that publishes one artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from precompute.npy import open_npy
from precompute.progress import Progress
from precompute.settings import Operations, Settings

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from precompute.config import ModelType
    from precompute.stores.feature_store import FeatureStore
    from precompute.stores.row_store import RowStore

Source = Literal["model", "tokenizer", "sae", "corpus"]
"""What a step reads besides other steps' artifacts."""


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
    sources: tuple[Source, ...] = ()
    """Files of the user's that it reads."""
    settings: tuple[str, ...] = ()
    """Names of the scientific settings that it reads."""
    resumable: bool = False
    """Whether a staging directory left by an interrupted run is taken up again."""
    seconds_per_million: float = 1.0
    """Cost hint: seconds for a million non-zeros on 2 cores."""


@dataclass(frozen=True)
class StepContext:
    """What a running step is given."""

    model_type: ModelType
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
