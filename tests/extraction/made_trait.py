"""A small trait of a tiny random model, computed as a user would."""

from __future__ import annotations

import json
from pathlib import Path

from precompute.extraction.__main__ import main
from tests.tiny import make_language_model, make_texts

TRAIT = {
    "instructions": [
        {"pos": "return the value", "neg": "open file write"},
        {"pos": "list", "neg": "key error"},
    ],
    "questions": ["of a list", "path in order", "number", "read the row", "model layer", "if not none"],
    "keywords": ["a", "e"],
}
SMALL = ["--n-examples", "12", "--max-new-tokens", "6", "--n-bootstrap", "50", "--n-random", "20"]


def trait_made(place: Path, model: Path | None = None, experiment: str = "mine") -> Path:
    """A trait `polite` below the data directory `place`, of a tiny random model or the one given."""
    if model is None:
        model = place / "model"
        make_language_model(model, make_texts(30))
    directory = place / "experiments" / experiment / "polite"
    directory.mkdir(parents=True)
    (directory / "trait_definition.json").write_text(json.dumps(TRAIT))
    where = ["--experiment", experiment, "--model", str(model), "--data-dir", str(place), "--device", "cpu"]
    assert main(["run", *where, *SMALL, "--batch-size", "8"]) == 0
    return directory
