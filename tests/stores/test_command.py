"""`python -m precompute.stores convert` on the command line."""

import pytest

from precompute.command_line import run_command
from precompute.stores.__main__ import main
from precompute.stores.row_store import RowStore
from tests.builders import random_row_store
from tests.stores.store_contract import assert_rows_equal


def test_convert_writes_the_other_backend(tmp_path, capsys):
    source = random_row_store(tmp_path / "source", "npy", 5)
    argv = ["convert", str(source.root), str(tmp_path / "a" / "target"), "--backend", "zarr"]
    assert run_command(main, argv) == 0
    assert_rows_equal(source, RowStore(tmp_path / "a" / "target"))
    assert "zarr" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [[], ["convert", "a"], ["convert", "nowhere", "b", "--backend", "npy"], ["convert", "nowhere", "b"]],
)
def test_bad_usage_is_one_line_and_code_2(argv, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_command(main, argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
