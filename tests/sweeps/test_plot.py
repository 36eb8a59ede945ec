"""The figure: one legend entry for each run, and files that do not change by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from precompute.command_line import run_command
from precompute.sweeps.best_of_k import main
from precompute.sweeps.plot import draw, labels
from precompute.sweeps.results import FORMAT_VERSION, open_sweep


def write_results(path: Path, recovery: list[float | None], interval: bool = True) -> Path:
    """Results of which only what is drawn is there."""
    entries = []
    for i, value in enumerate(recovery):
        ends = [value - 0.1, value + 0.1] if interval and value else None
        entries.append({"k": 2**i, "variance_recovery": {"estimate": value, "percentile": None, "bca": ends}})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format_version": FORMAT_VERSION, "results": entries}))
    return path


def test_runs_are_overlaid_with_one_entry_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [
        write_results(tmp_path / "a" / "cold.json", [0.2, 0.4, 0.5]),
        write_results(tmp_path / "a" / "hot.json", [0.1, None, 0.6], interval=False),
    ]
    figures: list[Figure] = []
    plain = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), plain(self, *a, **k)))
    written = draw([open_sweep(path) for path in paths], tmp_path / "out" / "both.png")
    assert [path.name for path in written] == ["both.png", "both.pdf"]
    assert all(path.stat().st_size > 2000 for path in written)
    (axes,) = figures[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["cold", "hot"]
    assert axes.lines[0].get_xydata().tolist() == [[1, 0.2], [2, 0.4], [4, 0.5]]
    assert axes.lines[1].get_xydata().tolist() == [[1, 0.1], [4, 0.6]]
    assert len(axes.collections) == 1
    before = [path.read_bytes() for path in written]
    draw([open_sweep(path) for path in paths], tmp_path / "out" / "both.png")
    assert [path.read_bytes() for path in written] == before


def test_names_tell_runs_apart(tmp_path: Path) -> None:
    runs = [open_sweep(write_results(tmp_path / name / "k.json", [0.1])) for name in ("a", "b")]
    assert labels(runs) == ["a/k", "b/k"]


def test_the_command_draws_beside_the_results_and_refuses_what_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_results(tmp_path / "k.json", [0.1, 0.2])
    assert run_command(main, ["plot", str(path)]) == 0
    assert (tmp_path / "k.pdf").is_file()
    (tmp_path / "other.json").write_text("{}")
    assert run_command(main, ["plot", str(tmp_path / "other.json")]) == 2
    assert run_command(main, ["plot", str(path), str(path)]) == 2
    assert "no results of a sweep" in capsys.readouterr().err
