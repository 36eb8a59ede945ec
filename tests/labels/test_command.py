"""`python -m precompute.labels` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from precompute.errors import LabelError, UsageError
from precompute.labels import __main__ as command
from precompute.labels.content import Content
from tests.dashboard.made_artifacts import PlainArtifacts, plain_artifacts

NAMED = ["--model-type", "test"]


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainArtifacts:
    """Nothing is computed; labels need no artifact."""
    opened = plain_artifacts(tmp_path / "data" / "precomputed_test")
    monkeypatch.setattr(command, "open_artifacts", lambda *_: opened)
    return opened


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_what_is_exported_comes_back(artifacts: PlainArtifacts, tmp_path: Path, ending: str) -> None:
    wanted = {3: Content("=1+1", "x", 80, "a\r\nb\u202e"), 5: Content(notes="only")}
    for feature, content in wanted.items():
        artifacts.labels().write(feature, content, "ann", None)
    path = tmp_path / f"labels.{ending}"
    assert command.main(["export", str(path), *NAMED]) == 0
    artifacts.labels().database.path.unlink()
    assert artifacts.labels().current() == {}
    assert command.main(["import", str(path), *NAMED, "--author", "bo"]) == 0
    assert {f: c.content for f, c in artifacts.labels().current().items()} == wanted
    assert {c.author for c in artifacts.labels().current().values()} == {"ann"}


def test_conflicts_are_named_and_nothing_is_written_before_they_are_decided(
    artifacts: PlainArtifacts, tmp_path: Path
) -> None:
    artifacts.labels().write(3, Content("ours"), "ann", None)
    path = tmp_path / "theirs.csv"
    path.write_text("feature,label\n3,theirs\n4,new\n", encoding="utf-8")
    with pytest.raises(LabelError, match=r"1 conflicts \(features 3\).*--keep"):
        command.main(["import", str(path), *NAMED])
    assert {f: c.content.label for f, c in artifacts.labels().current().items()} == {3: "ours"}
    command.main(["import", str(path), *NAMED, "--keep", "mine"])
    assert {f: c.content.label for f, c in artifacts.labels().current().items()} == {3: "ours", 4: "new"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["export", "labels.txt"], "ending"),
        (["import", "nothing-there.csv"], "no file"),
        (["import", "."], "no file"),
        (["import", "x.csv", "--keep", "both"], "invalid choice"),
        ([], "required"),
    ],
)
@pytest.mark.usefixtures("artifacts")
def test_bad_usage_is_one_sentence(words: list[str], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        command.main([*words, *NAMED] if words else [])
