"""Capture: the rows of a site, against the hidden states that transformers gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from precompute.models.capture import capture_rows
from precompute.models.language_model import open_language_model
from tests.tiny import make_language_model, make_texts


def test_rows_are_hidden_states_in_the_order_asked_for(tmp_path: Path) -> None:
    make_language_model(tmp_path, make_texts(30))
    language_model = open_language_model(str(tmp_path), None, "float32", None, "cpu")
    examples = [[0, *range(5, 5 + n)] for n in (3, 9, 1, 6)]
    positions = [[2, 1], [9], [], [0, 6, 3]]
    site = language_model.sites.site("blocks.1.hook_resid_post")
    told: list[int] = []
    expected = []
    for example, chosen in zip(examples, positions, strict=True):
        with torch.no_grad():
            states = language_model.model(torch.tensor([example]), output_hidden_states=True).hidden_states
        expected.append(states[2][0, chosen].numpy())
    for batch_size in (1, 3, 8):
        found = capture_rows(language_model, site, examples, positions, batch_size, told.append)
        np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert sum(told) == 12
