"""A model, SAE, corpus or configuration that cannot be used: the server serves, and says why everywhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboard import obstacles
from dashboard.__main__ import compute
from dashboard.asks import Ask
from dashboard.job_views import look
from dashboard.server import Server
from dashboard.settings import DashboardSettings
from precompute.errors import LightwellError
from tests.dashboard.test_app import page
from tests.test_bad_input import CASES
from tests.tiny import TinyFiles, make_all

AT_ONCE = ("missing model", "missing sae", "missing adapter", "missing corpus", "d_in", "no such layer")
DAMAGED = ("truncated safetensors", "corrupt safetensors", "pickled model", "unknown architecture")
EVERY_PLACE = ("/", "/features", "/feature/3", "/map", "/tokens", "/jobs")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """Files that can be used; not to be changed."""
    return make_all(tmp_path_factory.mktemp("whole") / "mine", n_texts=30)


@pytest.fixture
def files(whole: TinyFiles, tmp_path: Path) -> TinyFiles:
    shutil.copytree(whole.root, tmp_path / "mine")
    return TinyFiles(tmp_path / "mine")


@pytest.fixture
def served(files: TinyFiles) -> Iterator[Callable[[], Server]]:
    """Starts a server on the files as they are by then; its jobs would sleep."""
    made: list[Server] = []

    def start() -> Server:
        settings = DashboardSettings(model_type="mine", config=files.config, data_dir=files.root / "data")
        made.append(Server(settings))
        return made[-1]

    yield start
    for server in made:
        server.close()


def blocked(server: Server) -> str:
    """What a button says."""
    server.service.jobs.obstacles.forget("mine")
    view = look(server.service.jobs, ["mine/*"])["asks"]["mine/*"]
    assert not (view["blocked"] and view["cost"]), "nothing has a cost that cannot be computed"
    return str(view["blocked"])


@pytest.mark.parametrize("case", [*AT_ONCE, *DAMAGED])
def test_the_pages_are_served_and_every_button_says_why(
    files: TinyFiles, served: Callable[[], Server], case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, word = CASES[case]
    change(files)
    server = served()
    said = blocked(server)
    assert said.startswith("It cannot be computed: ")
    assert word in said
    assert re.search(r"; expected [^;]+; \w+", said), "what to do"
    assert "\n" not in said
    for path in EVERY_PLACE:
        shown = page(server.app("mine"), path)
        assert '"data-ask": "mine/' in shown, (path, "a button, which says it")
        assert "Something went wrong" not in shown
    capsys.readouterr()
    compute(server)
    told = capsys.readouterr().err
    assert told.startswith("lightwell: nothing can be computed: ")
    assert word in told
    assert told.count("\n") == 1
    assert server.service.jobs.board.records() == ()


@pytest.mark.parametrize("case", ["missing model", "d_in", "missing corpus"])
def test_what_is_put_right_can_be_computed_without_a_restart(
    whole: TinyFiles, files: TinyFiles, served: Callable[[], Server], case: str
) -> None:
    """A path that is corrected in the configuration, or files that are put where they should be."""
    CASES[case][0](files)
    server = served()
    assert blocked(server)
    with pytest.raises(LightwellError, match="expected"):
        server.service.jobs.compute(Ask("mine", ("nothing",)))
    shutil.copytree(whole.sae, files.sae, dirs_exist_ok=True)
    shutil.copy(whole.config, files.config)
    later = time.time() + 5
    os.utime(files.config, (later, later))
    server.take_up_changes()
    assert blocked(server) == ""
    submission = server.service.jobs.compute(Ask("mine", ("idf",)))
    assert submission is not None
    assert server.queries("mine").model_type.model == str(files.model)


def test_a_configuration_that_breaks_later_changes_nothing(
    files: TinyFiles, served: Callable[[], Server], capsys: pytest.CaptureFixture[str]
) -> None:
    server = served()
    app, before = server.app("mine"), files.config.read_text()
    files.config.write_text("[model_types.mine\n")
    server.take_up_changes()
    server.take_up_changes()
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "the pages go on as before" in told
    assert blocked(server) == ""
    files.config.write_text(before + "\n# the same\n")
    server.take_up_changes()
    assert server.app("mine") is app, "what describes the same stays open"


def test_files_are_looked_at_anew_after_a_while(
    files: TinyFiles, served: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = served()
    found = server.service.jobs.obstacles
    assert found.of("mine") == ""
    files.model.rename(files.root / "away")
    assert found.of("mine") == "", "trusted for a moment, since every page asks every second"
    monkeypatch.setattr(obstacles, "SECONDS_TRUSTED", 0.0)
    assert "lm" in found.of("mine")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("mine", "[model_types.mine\n", "TOML"),
        ("mien", None, "did you mean 'mine'"),
        ("mine", "model_types = 3\n", "model_types"),
    ],
)
def test_a_start_that_names_nothing_ends_at_once_in_one_line(
    files: TinyFiles, name: str, text: str | None, word: str
) -> None:
    if text is not None:
        files.config.write_text(text)
    words = [sys.executable, "-m", "dashboard", name, "--config", str(files.config), "--port", "0"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert word in ended.stderr
