"""How long reading one feature takes: `python -m benchmarks.reading DIR`, after `benchmarks.make_store DIR`.

Rows and activations of random features that fire on at most 1 % of the rows, from the feature-major store and
from one of the other backend, converted to `DIR/other` once. Cold: the files have been dropped from the
system's cache before each read, and the store is opened anew. Warm: read before.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.make_store import CONFIG, NAME
from precompute.command_line import CommandParser, run_command
from precompute.pipeline.subjects import open_subject
from precompute.progress import TerminalBar
from precompute.stores.convert import convert
from precompute.stores.feature_store import FeatureStore

MOST_ACTIVE = 0.01
"""Share of the rows on which a feature fires at most; denser ones are shown in pages."""


def drop_from_cache(root: Path) -> None:
    """Let the system forget what it holds of the files below."""
    for path in root.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def milliseconds(read: Callable[[], object]) -> float:
    began = time.perf_counter()
    read()
    return 1000 * (time.perf_counter() - began)


def cold(root: Path, feature: int) -> float:
    drop_from_cache(root)
    store = FeatureStore(root)
    return milliseconds(lambda: _held(store, feature))


def _held(store: FeatureStore, feature: int) -> int:
    """Read a feature into memory, since npy would only map it."""
    found = store.feature(feature)
    return len(np.array(found.rows)) + len(np.array(found.acts))


def measure(root: Path, features: list[int], n_cold: int) -> dict[str, float]:
    """Percentiles over the features, in milliseconds."""
    store = FeatureStore(root)
    for feature in features:
        _held(store, feature)
    warm = [milliseconds(lambda: _held(store, feature)) for feature in features]  # noqa: B023
    colds = [cold(root, feature) for feature in features[:n_cold]]
    kinds = (("warm", warm), ("cold", colds))
    return {f"{name} p{p}": float(np.percentile(ms, p)) for name, ms in kinds for p in (50, 95)}


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("dir", type=Path, help="what make_store has written, with its step transpose")
    parser.add_argument("--features", type=int, default=500, help="features read warm")
    parser.add_argument("--cold", type=int, default=50, help="of these, read cold as well")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    chosen = parser.parse_args(argv)
    subject = open_subject(NAME, chosen.dir / "data", chosen.dir / CONFIG)
    first = (subject.directory / "feature_major").resolve()
    store = FeatureStore(first)
    counts = np.diff(store.feature_indptr)
    fitting = np.flatnonzero((counts > 0) & (counts <= MOST_ACTIVE * store.n_rows))
    drawn = np.random.default_rng(0).choice(fitting, min(chosen.features, len(fitting)), replace=False)
    entries = f"{int(np.median(counts[drawn])):,} entries in the middle, {int(counts[drawn].max()):,} at most"
    print(f"{store.n_rows:,} rows; {len(drawn):,} of {len(fitting):,} features, {entries}")
    other = "zarr" if store.info.backend == "npy" else "npy"
    if not (chosen.dir / "other").is_dir():
        bar = TerminalBar("convert")
        try:
            convert(first, chosen.dir / "other", other, os.cpu_count() or 1, bar)
        finally:
            bar.close()
    roots = {store.info.backend: first, other: chosen.dir / "other"}
    found = {name: measure(root, drawn.tolist(), chosen.cold) for name, root in roots.items()}
    for name, figures in found.items():
        print(f"{name}: " + ", ".join(f"{kind} {ms:.2f} ms" for kind, ms in figures.items()))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
