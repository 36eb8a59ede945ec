"""The page of traits in a real browser, over a trait of a small real model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.server import Server
from dashboard.settings import DashboardSettings
from precompute import open_artifacts
from precompute.extraction.__main__ import main
from precompute.extraction.definition import DEFINITION_FILE
from precompute.reading import Artifacts
from tests.browser import checks_traits
from tests.browser.served import Visit, answering
from tests.browser.served_jobs import PATIENT
from tests.extraction.made_trait import TRAIT, trait_made
from tests.tiny import TinyFiles

pytestmark = [pytest.mark.full, pytest.mark.browser]

SITE = "blocks.1.hook_resid_post"
"""Where the tiny SAE reads."""


@pytest.fixture(scope="module")
def data(computed: TinyFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model type's artifacts, a trait of its model, and another whose vectors are lacking."""
    found = tmp_path_factory.mktemp("traits")
    (found / "precomputed_mine").symlink_to(computed.root / "data" / "precomputed_mine")
    trait_made(found, computed.model)
    rude = found / "experiments" / "mine" / "rude"
    rude.mkdir()
    (rude / DEFINITION_FILE).write_text(json.dumps(TRAIT | {"questions": TRAIT["questions"][:4]}))
    few = ["--n-examples", "8", "--max-new-tokens", "4", "--device", "cpu"]
    where = ["--experiment", "mine", "--traits", "rude", "--data-dir", str(found)]
    assert main(["generate", *where, *few]) == 0
    assert main(["capture", *where, "--device", "cpu"]) == 0
    return found


@pytest.fixture(scope="module")
def directory(data: Path) -> Path:
    return data / "experiments" / "mine" / "polite"


@pytest.fixture(scope="module")
def artifacts(computed: TinyFiles, data: Path) -> Artifacts:
    return open_artifacts("mine", data, computed.config)


@pytest.fixture(scope="module")
def base(computed: TinyFiles, data: Path) -> Iterator[str]:
    settings = DashboardSettings(model_type="mine", config=computed.config, data_dir=data, precompute=False)
    with answering(Server(settings)) as address:
        yield address


CHECKS = (
    checks_traits.check_separation,
    checks_traits.check_projections,
    checks_traits.check_differences,
    checks_traits.check_responses,
    checks_traits.check_steering,
    checks_traits.check_choosing,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_traits(visit: Visit, directory: Path, check: object) -> None:
    check(visit, directory, SITE)  # type: ignore[operator]


def test_features(visit: Visit, artifacts: Artifacts, directory: Path) -> None:
    checks_traits.check_features(visit, artifacts, directory, SITE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hinders_those_who_hear_the_page(visit: Visit, directory: Path, scheme: str) -> None:
    checks_traits.check_for_all(visit, directory, SITE, scheme)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Visit, directory: Path, width: int) -> None:
    visit.page.set_viewport_size({"width": width, "height": 900})
    checks_traits.opened(visit, directory)
    visit.page.locator(".trait-response").first.wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_trait_that_is_missing_is_computed_by_its_button(visit: Visit, data: Path) -> None:
    """Last, since it writes."""
    visit.page.set_default_timeout(3 * PATIENT)
    visit.open(checks_traits.path_of(data / "experiments" / "mine" / "rude"))
    visit.page.locator(".empty", has_text="rude").first.wait_for()
    visit.page.locator("output.compute[data-ask^='traits:mine:rude'] .compute-go").click()
    visit.page.locator(".tile", has_text="Held-out AUC").wait_for()
    checks_traits.check_separation(visit, data / "experiments" / "mine" / "rude", SITE)
