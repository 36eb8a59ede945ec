"""Published artifacts are whole, and every damaged byte is found."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from precompute.artifacts.digests import DigestCache, file_digest
from precompute.artifacts.locks import ArtifactLock
from precompute.artifacts.manifest import MANIFEST_FILE, Manifest, describe_files, fingerprint, read_manifest
from precompute.artifacts.shelf import Shelf
from precompute.errors import CorruptArtifactError

OUTPUTS = ("table.parquet", "arrays")


def publish(shelf: Shelf, value: int = 0, step: str = "step") -> Manifest:
    mark = fingerprint(step, 1, {"value": value}, {})
    staging = shelf.stage(step, mark, resumable=False)
    pl.DataFrame({"a": range(100), "b": [value] * 100}).write_parquet(staging / "table.parquet")
    (staging / "arrays").mkdir()
    np.save(staging / "arrays" / "x.npy", np.arange(1000) + value)
    manifest = Manifest(
        step=step,
        version=1,
        fingerprint=mark,
        settings={"value": value},
        inputs={},
        sources={},
        files=describe_files(staging),
    )
    shelf.publish(staging, manifest, OUTPUTS)
    return manifest


def test_what_is_published_is_read_back_through_its_links(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    manifest = publish(shelf, 3)
    assert shelf.manifest("step") == manifest
    assert pl.read_parquet(tmp_path / "table.parquet")["b"].unique().to_list() == [3]
    assert np.load(tmp_path / "arrays" / "x.npy")[0] == 3
    assert shelf.damage("step") == [] == shelf.verify("step") == shelf.lost_links("step", OUTPUTS)
    assert manifest.files[0].n_rows == 1000
    assert manifest.files[1].dtypes == {"a": "Int64", "b": "Int64"}


def test_a_reader_that_opened_the_old_version_keeps_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, 1)
    mapped = np.load(shelf.current("step") / "arrays" / "x.npy", mmap_mode="r")
    publish(shelf, 2)
    shelf.collect_garbage(["step"])
    assert mapped[0] == 1
    assert np.load(tmp_path / "arrays" / "x.npy")[0] == 2
    assert len(list((tmp_path / "versions").iterdir())) == 1


def test_garbage_stays_while_another_process_may_read_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf, 1)
    publish(shelf, 2)
    with ArtifactLock(tmp_path, "other"):
        shelf.collect_garbage(["step", "other"])
        assert len(list((tmp_path / "versions").iterdir())) == 2
    shelf.collect_garbage(["step", "other"])
    assert len(list((tmp_path / "versions").iterdir())) == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    publish(shelf)
    version = shelf.current("step")
    victim = data.draw(st.sampled_from(sorted(p for p in version.rglob("*") if p.is_file())))
    content = victim.read_bytes()
    kind = data.draw(st.sampled_from(["flip", "delete", "truncate", "append"]))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "delete":
        victim.unlink()
    elif kind == "truncate":
        victim.write_bytes(content[:place])
    elif kind == "append":
        victim.write_bytes(content + b"\0")
    else:
        flipped = content[place] ^ (1 << data.draw(st.integers(0, 7)))
        victim.write_bytes(content[:place] + bytes([flipped]) + content[place + 1 :])
    if victim.name == MANIFEST_FILE and kind in ("append", "flip", "truncate"):
        # Space around a JSON value has no meaning, so it is no damage either.
        try:
            read_manifest(version)
        except CorruptArtifactError:
            pass
        else:
            return
    found = shelf.verify("step")
    assert found
    expected = victim.relative_to(version).as_posix()
    assert any(expected in line for line in found) or "gone" in found[0]
    publish(shelf)
    assert shelf.verify("step") == []


def test_damage_marked_by_verify_is_seen_by_a_plain_look(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf)
    target = shelf.current("step") / "table.parquet"
    content = bytearray(target.read_bytes())
    content[50] ^= 1
    target.write_bytes(content)
    assert shelf.damage("step") == []
    assert shelf.verify("step") == ["table.parquet: its bytes do not match their checksum"]
    assert shelf.damage("step") == ["table.parquet: its bytes do not match their checksum"]


@pytest.mark.parametrize("lost", ["artifacts/step", "table.parquet"])
def test_a_lost_link_is_noticed(tmp_path: Path, lost: str) -> None:
    shelf = Shelf(tmp_path)
    publish(shelf)
    (tmp_path / lost).unlink()
    if lost == "table.parquet":
        assert shelf.lost_links("step", OUTPUTS) == ["table.parquet: its link is lost"]
    else:
        with pytest.raises(CorruptArtifactError, match="gone"):
            shelf.manifest("step")
    publish(shelf)
    assert shelf.lost_links("step", OUTPUTS) == []


def test_staging_of_another_fingerprint_is_thrown_away_and_its_own_taken_up(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    first = shelf.stage("step", "a" * 64, resumable=True)
    (first / "part").touch()
    assert (shelf.stage("step", "a" * 64, resumable=True) / "part").exists()
    assert not list(shelf.stage("step", "b" * 64, resumable=True).iterdir())
    assert not first.exists()


def test_the_fingerprint_depends_on_everything_that_determines_a_result() -> None:
    base = fingerprint("a", 1, {"x": 1}, {"i": "f"})
    assert base == fingerprint("a", 1, {"x": 1}, {"i": "f"})
    others = [
        fingerprint("b", 1, {"x": 1}, {"i": "f"}),
        fingerprint("a", 2, {"x": 1}, {"i": "f"}),
        fingerprint("a", 1, {"x": 2}, {"i": "f"}),
        fingerprint("a", 1, {"x": 1}, {"i": "g"}),
    ]
    assert len({base, *others}) == 5


def test_the_digest_cache_notices_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    cache = DigestCache(tmp_path / ".digests.json")
    assert cache.digest(path) == file_digest(path)
    path.write_bytes(b"two")
    assert cache.digest(path) == file_digest(path)
    assert DigestCache(tmp_path / ".digests.json").digest(path) == file_digest(path)
