"""The demo's text autoencoder: small, and far better than chance on packages that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from precompute import demo
from precompute.demo.heldout import HELD_OUT_PACKAGES
from precompute.models.text_autoencoder.checkpoint import read_checkpoint
from precompute.sweeps.composing import compose_settings
from precompute.sweeps.plan import SweepPlan
from precompute.sweeps.run import compute

DIRECTORY = Path(demo.__file__).with_name("autoencoder")


def test_its_weights_are_whole_and_small() -> None:
    header = read_checkpoint(DIRECTORY).header
    assert (header.hook_name, header.d_in, header.n_tokens) == ("blocks.2.hook_resid_post", 256, 8)
    assert sum(path.stat().st_size for path in DIRECTORY.rglob("*") if path.is_file()) < 6e6


@pytest.mark.full
def test_it_recovers_far_more_than_the_mean_does(tmp_path: Path) -> None:
    """Predicting the mean recovers 0; so does the whole interval of one explanation lie far above."""
    words = ("+eval.k_values=[1,2,4]", "+eval.max_val_samples=128", "machine=cpu")
    plan = SweepPlan.of(compose_settings([*words, f"machine.data_dir={tmp_path}"]))
    assert set((plan.settings.data.held_out or {})["package"]) == set(HELD_OUT_PACKAGES)
    result, _ = compute(plan)
    recovered = [entry["variance_recovery"] for entry in result.record["results"]]
    assert recovered[0]["bca"][0] > 0.3
    assert recovered[0]["estimate"] < recovered[1]["estimate"] < recovered[2]["estimate"]
