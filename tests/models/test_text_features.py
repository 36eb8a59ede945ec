"""A text that a person writes gives what the store holds for the same text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from precompute import open_artifacts, open_model
from precompute.errors import UsageError
from precompute.models.opened import OpenedModel, Window
from precompute.models.text_features import encode_text, encode_windows
from precompute.reading import Artifacts
from tests.tiny import TinyFiles

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def model(computed: TinyFiles) -> OpenedModel:
    return open_model("mine", computed.config, "cpu")


@pytest.fixture(scope="module")
def artifacts(computed: TinyFiles) -> Artifacts:
    return open_artifacts("mine", computed.root / "data", computed.config)


def stored(artifacts: Artifacts, example: int, position: int) -> dict[int, float]:
    store = artifacts.row_store()
    rows = store.example_rows(example)
    place = store.example_positions(example).tolist().index(position)
    features, acts = store.row(rows.start + place)
    return dict(zip(np.asarray(features).tolist(), np.asarray(acts, dtype=np.float32).tolist(), strict=True))


def test_every_text_of_the_corpus_gives_the_rows_of_the_store(
    model: OpenedModel, artifacts: Artifacts
) -> None:
    windows = artifacts.table("windows")
    texts = artifacts.table("corpus")
    n_rows = 0
    for index in windows["text_index"].unique(maintain_order=True)[:40]:
        own = windows.filter(pl.col("text_index") == index).sort("chunk")
        text = texts.filter(pl.col("text_index") == index)["text"][0]
        encoded = encode_text(model, text)
        assert [list(w.token_ids) for w in encoded.windows] == own["token_ids"].to_list()
        assert [w.n_special for w in encoded.windows] == own["n_special"].to_list()
        for window, position in zip(encoded.window.tolist(), encoded.position.tolist(), strict=True):
            features, acts = encoded.row(window, position)
            expected = stored(artifacts, own["example"][window], position)
            found = dict(zip(features.tolist(), acts.tolist(), strict=True))
            assert set(found) == set(expected)
            for feature, act in found.items():
                assert act == pytest.approx(expected[feature], rel=1e-4, abs=1e-5)
            n_rows += 1
    assert n_rows > 500
    assert any(len(encode_text(model, text).windows) > 1 for text in texts["text"][:40])


def test_windows_of_the_corpus_are_read_as_they_are(model: OpenedModel, artifacts: Artifacts) -> None:
    """By their token ids, which no text may give back."""
    row = artifacts.table("windows").row(5, named=True)
    encoded = encode_windows(model, [Window(tuple(row["token_ids"]), row["n_special"])])
    features, acts = encoded.row(0, 2)
    expected = stored(artifacts, 5, 2)
    assert dict(zip(features.tolist(), acts.tolist(), strict=True)) == pytest.approx(expected, rel=1e-4)


def test_an_empty_text_has_no_window(model: OpenedModel) -> None:
    encoded = encode_text(model, "")
    assert encoded.windows == ()
    assert len(encoded.row(0, 1)[0]) == 0


def test_what_looks_like_a_special_token_is_text(model: OpenedModel) -> None:
    (window,) = model.windows("<|endoftext|>")
    assert window.token_ids[0] == 0
    assert 0 not in window.token_ids[1:]
    assert "".join(model.str_tokens[i] for i in window.token_ids[1:]) == "<|endoftext|>"


def test_half_precision_rounds_as_the_store_does(model: OpenedModel, computed: TinyFiles) -> None:
    half = OpenedModel(model.reader, model.tokenizer, model.n_ctx, "float16", model.bos_token_id)
    text = "return the value of a list"
    exact, rounded = encode_text(model, text), encode_text(half, text)
    kept = exact.acts.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(rounded.acts, kept[kept != 0])


def test_token_ids_of_another_model_are_refused(model: OpenedModel) -> None:
    with pytest.raises(UsageError, match="token id"):
        encode_windows(model, [Window((0, 10**6), 1)])


def test_the_readme_asks_the_model_as_it_says(computed: TinyFiles) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.S)
    (block,) = (block for block in blocks if "open_model" in block)
    names: dict[str, object] = {}
    block = block.replace('"ultra"', f'"mine", {str(computed.config)!r}').replace("(123,)", "(12,)")
    exec(compile(block, "README.md", "exec"), names)
    effect = names["effect"]
    assert effect.before.sum() == pytest.approx(1)  # type: ignore[attr-defined]
    assert effect.position == 4  # type: ignore[attr-defined]
