"""The same feature in another SAE: cosines against a reference; where there is nothing, why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dashboard.app import create_app
from dashboard.place import Place
from dashboard.queries import Queries
from dashboard.questions.matching import NEAREST, cosine_matrix, matches
from dashboard.sections.matches import nearest_elsewhere
from dashboard.token_view import label
from precompute.errors import ConfigError
from tests.dashboard.made_artifacts import D_IN, D_SAE, PlainArtifacts, make_artifacts
from tests.dashboard.test_app import SETTINGS, call, page


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> PlainArtifacts:
    """Another SAE over rows of the same width; one of its directions has no length."""
    made = make_artifacts(tmp_path_factory.mktemp("other"), seed=3, d_sae=D_SAE + 5)
    directions = np.load(made.directory / "directions.npy")
    directions[2] = 0
    np.save(made.directory / "directions.npy", directions)
    return made


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None, :]
    return np.divide(a @ b.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def test_the_nearest_of_all(queries: Queries, other: PlainArtifacts) -> None:
    theirs = Queries(other)
    expected = cosines(queries.artifacts.array("directions"), other.array("directions"))
    for feature in (0, 7, D_SAE - 1):
        found = matches(queries, theirs, feature)
        order = np.argsort(-expected[feature], kind="stable")[:NEAREST]
        assert [match.feature for match in found.nearest] == order.tolist()
        np.testing.assert_allclose(
            [match.cosine for match in found.nearest], expected[feature][order], atol=1e-6
        )
        assert (found.d_in, found.other_d_in) == (D_IN, D_IN)
        first = found.nearest[0]
        table = other.table("influences").filter(feature=first.feature, direction="promotes").sort("rank")
        assert first.promotes == tuple(label(token) for token in table["token"][:3])


def test_an_sae_matches_itself(queries: Queries) -> None:
    for feature in range(D_SAE):
        best = matches(queries, queries, feature).nearest[0]
        assert best.feature == feature
        assert best.cosine == pytest.approx(1, abs=1e-6)
    pairwise = cosine_matrix(queries, (4, 1, 9))
    every = cosines(queries.artifacts.array("directions"), queries.artifacts.array("directions"))
    np.testing.assert_allclose(pairwise, every[np.ix_([4, 1, 9], [4, 1, 9])], atol=1e-6)


def beside(other: Queries | Exception) -> Place:
    def ask(_name: str) -> Queries:
        if isinstance(other, Exception):
            raise other
        return other

    return Place("test", "/test", ("test", "second"), ask)


def shown(artifacts: PlainArtifacts, other: Queries | Exception) -> str:
    found = nearest_elsewhere(Queries(artifacts, "", beside(other)), 3)
    return json.dumps([part.to_plotly_json() for part in found], default=lambda c: c.to_plotly_json())


def test_the_section_links_to_the_other_model_type(artifacts: PlainArtifacts, other: PlainArtifacts) -> None:
    theirs = Queries(other)
    text = shown(artifacts, theirs)
    best = matches(Queries(artifacts), theirs, 3).nearest[0]
    assert f"/feature/{best.feature}" in text
    assert f"{best.cosine:.3f}" in text


def test_other_widths_cannot_be_compared(artifacts: PlainArtifacts, tmp_path: Path) -> None:
    wide = make_artifacts(tmp_path, seed=4)
    np.save(tmp_path / "directions.npy", np.ones((D_SAE, D_IN + 2), dtype=np.float32))
    assert "cannot be compared" in shown(artifacts, Queries(wide))


def test_what_is_missing_there_is_said(artifacts: PlainArtifacts, tmp_path: Path) -> None:
    bare = make_artifacts(tmp_path, seed=5)
    (tmp_path / "directions.npy").unlink()
    assert "--only directions" in shown(artifacts, Queries(bare))
    assert "No such model" in shown(artifacts, ConfigError("no such model", "a model", "correct it"))


def test_one_model_type_alone_has_nothing_to_match(artifacts: PlainArtifacts) -> None:
    assert "This server shows one model type" in page(create_app(SETTINGS, artifacts), "/feature/3")


def test_forged_numbers_get_a_sentence(artifacts: PlainArtifacts, other: PlainArtifacts) -> None:
    app = create_app(SETTINGS, artifacts, beside(Queries(other)))
    for odd in (-1, "x", None, 10**9, [], True):
        answer = call(app, "matches-found.children", {"feature-number.data": odd})
        assert "expected" in json.dumps(answer.json["sideUpdate"])
    right = call(app, "matches-found.children", {"feature-number.data": 3})
    assert "/feature/" in json.dumps(right.json["response"])
