"""Where a subject's artifacts stand: published whole, found by name, checked, repaired.

DIRECTORY/versions/STEP-FINGERPRINT/   one published artifact, never changed afterwards
DIRECTORY/artifacts/STEP               a link to the current one: replaced in one rename
DIRECTORY/feature_stats.parquet        a link through it, for people and notebooks
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from precompute.artifacts.digests import file_digest
from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
from precompute.durable import sync, sync_tree
from precompute.errors import CorruptArtifactError

DAMAGE_FILE = "damage.txt"
"""In a published artifact: written by verify, names its damaged files; the next run replaces it."""
SHORT = 12
"""Characters of a fingerprint in a directory's name."""


class Shelf:
    """The published artifacts of one subject."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def pointer(self, step: str) -> Path:
        """The link to a step's current artifact."""
        return self.directory / "artifacts" / step

    def current(self, step: str) -> Path:
        """The directory of the current artifact, resolved once; raises FileNotFoundError."""
        return self.pointer(step).resolve(strict=True)

    def version_name(self, step: str) -> str:
        """The name of `current(step)`, many times quicker: pages ask a hundred times each."""
        pointer = f"{self.directory}/artifacts/{step}"
        os.stat(pointer)  # noqa: PTH116
        return os.path.basename(os.readlink(pointer))  # noqa: PTH115, PTH119

    def manifest(self, step: str) -> Manifest | None:
        """The current manifest, or None where nothing is published; raises CorruptArtifactError."""
        pointer = self.pointer(step)
        try:
            return read_manifest(self.current(step))
        except FileNotFoundError:
            if pointer.is_symlink() or any(self._versions(step)):
                raise CorruptArtifactError(f"{step}: its published files are gone") from None
            return None

    def damage(self, step: str) -> list[str]:
        """What a plain look finds wrong with an artifact: marks, absent files, wrong sizes, lost links."""
        version = self.current(step)
        marked = version / DAMAGE_FILE
        if marked.is_file():
            return marked.read_text().splitlines()
        manifest = read_manifest(version)
        return [
            found for entry in manifest.files if (found := _size_damage(version, entry.path, entry.n_bytes))
        ]

    def verify(self, step: str) -> list[str]:
        """Read every byte of an artifact; names what is damaged and marks it. Empty when all is right."""
        try:
            version = self.current(step)
            manifest = read_manifest(version)
        except FileNotFoundError as error:
            lost = Path(error.filename or "").name
            return [f"{MANIFEST_FILE}: missing" if lost == MANIFEST_FILE else "its published files are gone"]
        except CorruptArtifactError as error:
            (self.current(step) / DAMAGE_FILE).write_text(f"{MANIFEST_FILE}: {error}\n")
            return [f"{MANIFEST_FILE}: {error}"]
        found = []
        for entry in manifest.files:
            wrong = _size_damage(version, entry.path, entry.n_bytes)
            if wrong is None and file_digest(version / entry.path) != entry.xxh3:
                wrong = f"{entry.path}: its bytes do not match their checksum"
            if wrong:
                found.append(wrong)
        if found:
            (version / DAMAGE_FILE).write_text("\n".join(found) + "\n")
        return found

    def stage(self, step: str, fingerprint: str, resumable: bool) -> Path:
        """A staging directory; one that an interrupted run of the same step left is taken up or removed."""
        staging = self.directory / f".tmp-{step}-{fingerprint[:SHORT]}"
        for other in self.directory.glob(f".tmp-{step}-*"):
            if other != staging or not resumable:
                shutil.rmtree(other)
        staging.mkdir(parents=True, exist_ok=True)
        return staging

    def publish(self, staging: Path, manifest: Manifest, outputs: Iterable[str]) -> None:
        """Make staged files durable, move them to their place, and point to them; readers see old or new."""
        write_manifest(staging, manifest)
        sync_tree(staging)
        version = self._free_version(manifest)
        version.parent.mkdir(parents=True, exist_ok=True)
        staging.rename(version)
        sync(version.parent)
        _link(self.pointer(manifest.step), Path("..") / "versions" / version.name)
        for output in outputs:
            if manifest.not_applicable:
                (self.directory / output).unlink(missing_ok=True)
            else:
                _link(self.directory / output, Path("artifacts") / manifest.step / output)

    def lost_links(self, step: str, outputs: Iterable[str]) -> list[str]:
        """Output links in the subject's directory that do not lead to the artifact, though they should."""
        manifest = self.manifest(step)
        return [
            f"{name}: its link is lost"
            for name in (outputs if manifest and not manifest.not_applicable else ())
            if not (link := self.directory / name).is_symlink()
            or link.readlink() != Path("artifacts") / step / name
        ]

    def collect_garbage(self, steps: Iterable[str]) -> None:
        """Remove versions that nothing points to, unless another process at work here may read them."""
        current = {self.pointer(step).resolve() for step in steps if self.pointer(step).is_symlink()}
        versions = self.directory / "versions"
        orphans = [path for path in versions.glob("*") if path.resolve() not in current]
        if not orphans or any(ArtifactLock(self.directory, step).is_held() for step in steps):
            return
        for orphan in orphans:
            shutil.rmtree(orphan)

    def remove(self, step: str, outputs: Iterable[str]) -> None:
        """Take an artifact off the shelf and free its space."""
        for output in outputs:
            (self.directory / output).unlink(missing_ok=True)
        self.pointer(step).unlink(missing_ok=True)
        for version in self._versions(step):
            shutil.rmtree(version)

    def _versions(self, step: str) -> list[Path]:
        length = len(step) + 1 + SHORT
        return [
            p for p in (self.directory / "versions").glob(f"{step}-*") if len(p.name.split(".")[0]) == length
        ]

    def _free_version(self, manifest: Manifest) -> Path:
        """A name not taken: a repaired artifact has the fingerprint of the damaged one."""
        base = self.directory / "versions" / f"{manifest.step}-{manifest.fingerprint[:SHORT]}"
        path, number = base, 1
        while path.exists():
            number += 1
            path = base.with_name(f"{base.name}.{number}")
        return path


def _size_damage(version: Path, name: str, n_bytes: int) -> str | None:
    # By the path as a plain string: a store has thousands of files, and pages look at them all.
    try:
        found = os.stat(f"{version}/{name}")  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return f"{name}: missing"
    if not stat.S_ISREG(found.st_mode):
        return f"{name}: missing"
    return None if found.st_size == n_bytes else f"{name}: {found.st_size} bytes, expected {n_bytes}"


def _link(link: Path, target: Path) -> None:
    """Point a link to a target, in one step for whoever reads it."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == target:
        return
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    staging = link.with_name(f".tmp-link-{link.name}-{os.getpid()}")
    staging.unlink(missing_ok=True)
    staging.symlink_to(target)
    staging.replace(link)
    sync(link.parent)
