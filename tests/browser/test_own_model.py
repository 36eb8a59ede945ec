"""A user's own model, adapter, SAE and corpus, from a section of TOML to the browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from precompute import open_artifacts
from tests.browser.checks import check_everything
from tests.browser.served import Visit
from tests.served_command import started

pytestmark = [pytest.mark.full, pytest.mark.browser, pytest.mark.timeout(600)]


def command(module: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("own")
    subprocess.run(command("tests.own_model", directory), check=True)
    return directory


def test_from_toml_to_the_browser(root: Path, browser: object) -> None:
    choice = ["--config", root / "my.toml", "--data-dir", root / "data"]
    subprocess.run(command("precompute.unified", "--model-type", "mine", *choice), check=True)
    artifacts = open_artifacts("mine", root / "data", root / "my.toml")
    assert {status.state for status in artifacts.status()} == {"fresh"}
    assert artifacts.row_store().d_sae == 200
    with started(command("dashboard", "mine", *choice, "--port", "0")) as base:
        context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
        visit = Visit(context.new_page(), base)
        check_everything(visit, artifacts)
        context.close()
        assert visit.wrongs == []


def test_a_changed_byte_of_the_adapter_makes_stale_what_depends_on_it(root: Path) -> None:
    artifacts = open_artifacts("mine", root / "data", root / "my.toml")
    weights = root / "lora" / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    states = {status.step: status.state for status in artifacts.status()}
    assert states.pop("corpus") == "fresh"
    assert set(states.values()) == {"stale"}
