"""Activations that were imported as a row-major store: what a run needs of it, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from precompute.artifacts.digests import file_digest, text_digest
from precompute.artifacts.manifest import canonical_json
from precompute.config import ImportedType
from precompute.errors import SAEFormatError, StoreError
from precompute.models.sae.registry import read_header, sae_files
from precompute.models.token_names import check_token_names
from precompute.pipeline.origin import Origin, Size
from precompute.pipeline.preflight import (
    TABLE_BYTES_PER_FEATURE,
    check_features,
    check_subject_space,
    check_whole,
    check_writable,
)
from precompute.pipeline.sources import Sources, tokenizer_files
from precompute.pipeline.subjects import Subject
from precompute.stores.layout import StoreInfo, part_directory
from precompute.stores.row_store import RowStore

BYTES_PER_NONZERO = 2 * (4 + 4)
"""Feature or row number and value, in row-major and feature-major order."""
BYTES_PER_ROW = 16


@dataclass(frozen=True)
class FromStore(Origin):
    """A store, and perhaps the SAE that it is of and names for its tokens."""

    imported: ImportedType

    @property
    def places(self) -> tuple[str, ...]:
        """Of the store, the SAE and the tokenizer."""
        named = (self.imported.store, self.imported.sae, self.imported.tokenizer)
        return tuple(place for place in named if place)

    def sources(self, data_dir: Path) -> StoreSources:
        """Store, tokenizer and SAE."""
        return StoreSources(self.imported, data_dir)

    def check_files(self) -> None:
        """Whether the store is whole and row-major, the SAE is as wide, and the tokens have names."""
        info = check_store(Path(self.imported.store))
        if self.imported.tokenizer is not None:
            check_token_names(Path(self.imported.tokenizer))
        if self.imported.sae is not None:
            check_sae(self.imported.sae, info)

    def check(self, subject: Subject) -> None:
        """The files, the data directory and its space."""
        self.check_files()
        check_writable(subject.directory)
        info = RowStore(Path(self.imported.store)).info
        check_features(subject, info.d_sae)
        n_bytes = info.n_nonzero * BYTES_PER_NONZERO + info.n_rows * BYTES_PER_ROW
        n_bytes += info.n_examples * info.d_in * 4 + info.d_sae * TABLE_BYTES_PER_FEATURE
        check_subject_space(subject, n_bytes, "free some space, or choose another --data-dir")

    def prepare(self, subject: Subject, workers: int, say: Callable[[str], None], refresh: bool) -> None:
        """Nothing: all is there."""

    def expected_size(self, subject: Subject) -> Size:  # noqa: ARG002 - as others have it
        """As the store's header says."""
        info = RowStore(Path(self.imported.store)).info
        return Size(info.n_nonzero, info.d_sae)


class StoreSources(Sources):
    """The identities of an imported store, of its SAE and its tokens' names."""

    def __init__(self, imported: ImportedType, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._imported = imported

    @cached_property
    def store(self) -> Mapping[str, Any]:
        """Activations, tokens and metadata, by content."""
        root = Path(self._imported.store)
        check_store(root)
        files = sorted(path for path in root.rglob("*") if path.is_file())
        stats = [(str(path.relative_to(root)), path.stat()) for path in files]
        key = [[name, s.st_size, s.st_mtime_ns, s.st_ino] for name, s in stats]
        remembered = f"store|{root.resolve()}|{text_digest(canonical_json(key))}"
        return {"digest": self._cache.remembered(remembered, lambda: _content(root, files))}

    @cached_property
    def tokenizer(self) -> Mapping[str, Any]:
        """What names the tokens; none has the digest None."""
        if self._imported.tokenizer is None:
            return {"digest": None}
        place = Path(self._imported.tokenizer)
        check_token_names(place)
        return {"digest": self._digest(tokenizer_files(place) if place.is_dir() else [place])}

    @cached_property
    def sae(self) -> Mapping[str, Any]:
        """Its weights and configuration; none has the digest None."""
        sae = self._imported.sae
        return {"digest": None if sae is None else self._digest(sae_files(sae))}

    @property
    def sae_digest(self) -> str:
        """The SAE's content, or where none is named, the store's."""
        return str(self.sae["digest"] or self.store["digest"])


def _content(root: Path, files: list[Path]) -> str:
    return text_digest(canonical_json([[str(path.relative_to(root)), file_digest(path)] for path in files]))


def check_store(root: Path) -> StoreInfo:
    """The header of a row-major store that has rows, and all its parts; raises StoreError."""
    store = RowStore(root)
    if not store.n_rows:
        raise StoreError(f"the store {root} without a row", "at least one", "import another")
    absent = [n for n in range(store.n_shards) if not Path(str(part_directory(root, n))).is_dir()]
    try:
        is_whole = not absent and len(store.example_row_indptr) == store.n_examples + 1
    except (OSError, ValueError, KeyError):
        is_whole = False
    if not is_whole:
        lacking = f"part {absent[0]:05d}" if absent else "its index of rows"
        raise StoreError(f"the store {root} without {lacking}", "a whole store", "copy or import it again")
    return store.info


def check_sae(sae: str, info: StoreInfo) -> None:
    """Check that an SAE is as wide as a store; raises SAEFormatError, or ModelError for cut weights."""
    header = read_header(sae)
    # A store may not have kept what its SAE has read: then its d_in is 0.
    widths = {"d_sae": (header.d_sae, info.d_sae), "d_in": (header.d_in, info.d_in or header.d_in)}
    for name, (found, wanted) in widths.items():
        if found != wanted:
            raise SAEFormatError(
                f"an SAE with {name} = {found}",
                f"{wanted}, as in the store",
                "name the SAE that they are of",
            )
    for path in sae_files(sae):
        if path.suffix == ".safetensors":
            check_whole(path)
