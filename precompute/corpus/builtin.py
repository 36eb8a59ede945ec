"""The built-in corpus: the documentation on the user's own machine.

Docstrings of the running interpreter's standard library and of a fixed list of core dependencies,
at most a tenth of the characters from each. Files are parsed, never imported.
"""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl

from precompute.corpus.docstrings import Docstring, ParsedFile, SourceFile, parse_file
from precompute.corpus.shares import fill, seeded_order, water_level
from precompute.corpus.texts import text_id
from precompute.errors import CorpusError

STANDARD_LIBRARY = "python"
"""The package name that the standard library goes by."""

PACKAGES: tuple[str, ...] = (
    "accelerate", "anyio", "click", "dash", "dash_ag_grid", "dash_mantine_components", "diskcache",
    "fast_hdbscan", "filelock", "flask", "fsspec", "httpcore2", "httpx2", "huggingface_hub",
    "importlib_metadata", "itsdangerous", "jaxtyping", "jinja2", "joblib", "llvmlite", "markdown_it",
    "markupsafe", "mpmath", "narwhals", "networkx", "numba", "numcodecs", "numpy", "packaging", "peft",
    "plotly", "polars", "psutil", "pydantic", "pygments", "pynndescent", "regex", "requests", "rich",
    "safetensors", "scipy", "sklearn", "sympy", "threadpoolctl", "tokenizers", "torch", "tqdm",
    "transformers", "typer", "typing_inspection", "umap", "urllib3", "waitress", "werkzeug", "yaml",
    "zarr",
)  # fmt: skip
"""Import names of the dependencies that are read; one that is not installed is absent."""

MAX_SHARE = 0.1
"""The largest part of all characters that one package may give."""

SEED = 0
"""Seed of the hash order in which a package that is too large gives its texts."""

SKIPPED_DIRECTORIES = frozenset(
    {"__pycache__", "site-packages", "dist-packages", "test", "tests", "_tests", "idle_test"}
)
"""Directory names that are not documentation of the package itself."""

SCHEMA = {
    "text_id": pl.String,
    "text": pl.String,
    "package": pl.String,
    "module": pl.String,
    "kind": pl.String,
    "name": pl.String,
}
"""Columns of the corpus table."""

log = logging.getLogger(__name__)


def read_builtin_corpus(workers: int) -> pl.DataFrame:
    """Return the corpus table, ordered by package, module and position in the file.

    The number of workers changes nothing but the time.
    """
    files = list(source_files((STANDARD_LIBRARY, *PACKAGES)))
    docstrings = _parse(files, workers)
    if not docstrings:
        raise CorpusError(
            "no docstrings in the built-in packages",
            "the standard library's Python sources and the core dependencies",
            "use an interpreter that ships its sources, or configure another corpus",
        )
    return limit_shares(_table(docstrings), MAX_SHARE, SEED)


def source_files(packages: Iterable[str]) -> Iterator[SourceFile]:
    """Yield the Python files of the listed packages, ordered by package and module."""
    for package in sorted(packages):
        root = package_root(package)
        if root is None:
            log.info("built-in corpus: %s is not installed and is left out", package)
            continue
        prefix = "" if package == STANDARD_LIBRARY else package
        paths = [root] if root.is_file() else _python_files(root)
        yield from sorted(
            (SourceFile(package, _module_name(path, root, prefix), path) for path in paths),
            key=lambda source: source.module,
        )


def package_root(package: str) -> Path | None:
    """Return a package's directory (or its only file) without importing it, or None if not installed."""
    if package == STANDARD_LIBRARY:
        return Path(sysconfig.get_paths()["stdlib"])
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    origin = Path(spec.origin)
    return origin.parent if spec.submodule_search_locations else origin


def limit_shares(table: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Keep at most `share` of the kept characters from each package, in input order.

    Whole texts cannot fill the cap exactly, so the cap follows the total down until it holds.
    """
    groups = {
        str(package): (group["index"].to_list(), group["text_id"].to_list(), group["n"].to_list())
        for (package,), group in table.with_row_index()
        .with_columns(n=pl.col("text").str.len_chars())
        .group_by("package", maintain_order=True)
    }
    orders = {package: seeded_order(ids, seed) for package, (_, ids, _) in groups.items()}
    share = max(share, 1.0 / max(len(groups), 1))
    cap = water_level({package: sum(n) for package, (_, _, n) in groups.items()}, share)
    while True:
        kept = {package: fill(n, orders[package], cap) for package, (_, _, n) in groups.items()}
        totals = [sum(groups[package][2][i] for i in taken) for package, taken in kept.items()]
        if max(totals, default=0) <= share * sum(totals):
            break
        cap = min(share * sum(totals), max(totals) - 1)
    rows = sorted(groups[package][0][i] for package, taken in kept.items() for i in taken)
    return table[rows]


def _python_files(root: Path) -> Iterator[Path]:
    """Yield the .py files under a directory, leaving out the skipped directories."""
    for entry in sorted(root.iterdir()):
        if entry.is_dir():
            if entry.name not in SKIPPED_DIRECTORIES:
                yield from _python_files(entry)
        elif entry.suffix == ".py":
            yield entry


def _module_name(path: Path, root: Path, prefix: str) -> str:
    """Return the dotted module name of a file under a package's root."""
    relative = path.with_suffix("").relative_to(root) if root.is_dir() else Path()
    parts = [prefix, *relative.parts] if prefix else list(relative.parts)
    if len(parts) > 1 and parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def _parse(files: Sequence[SourceFile], workers: int) -> list[Docstring]:
    """Parse all files, in parallel where asked, and return their docstrings in the order of the files."""
    if workers <= 1:
        parsed: list[ParsedFile] = [parse_file(source) for source in files]
    else:
        # spawned, not forked: Polars and torch hang after a fork
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as executor:
            parsed = list(executor.map(parse_file, files, chunksize=32))
    for entry in parsed:
        if entry.problem is not None:
            log.info("built-in corpus: not parsed: %s", entry.problem)
    return [docstring for entry in parsed for docstring in entry.docstrings]


def _table(docstrings: Sequence[Docstring]) -> pl.DataFrame:
    """Return the docstrings as a table with their text ids.

    A lone surrogate, which neither UTF-8 nor Polars can hold, becomes U+FFFD.
    """
    texts = [entry.text.encode("utf-8", "replace").decode("utf-8") for entry in docstrings]
    columns = {
        "text_id": [text_id(text) for text in texts],
        "text": texts,
        "package": [entry.package for entry in docstrings],
        "module": [entry.module for entry in docstrings],
        "kind": [entry.kind for entry in docstrings],
        "name": [entry.name for entry in docstrings],
    }
    return pl.DataFrame(columns, schema=SCHEMA)
