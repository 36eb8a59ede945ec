"""Tokens are shown exactly: what differs looks different, and what is invisible is seen."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import token_view
from dashboard.token_view import LONGEST, excerpt, label, plotly_text, spelled_out, visible

anything = st.text(st.characters(), max_size=LONGEST)
nasty = st.text(st.sampled_from("␣↵⇥⟨⟩ \n\tU+0123456789ABCDEFa\u200b\u202e\u0301\u00a0,empty"), max_size=30)


@given(a=anything | nasty, b=anything | nasty)
def test_tokens_that_differ_look_different(a: str, b: str) -> None:
    assert (visible(a) == visible(b)) == (a == b)


@given(anything | nasty)
def test_nothing_invisible_is_left(token: str) -> None:
    shown = visible(token)
    assert shown
    assert not any(unicodedata.category(c) in token_view.INVISIBLE for c in shown)
    assert not set(shown) & token_view.BLANK_LETTERS


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", "␣the"),
        ("\n", "↵"),
        ("\t", "⇥"),
        ("<s>", "<s>"),
        ("&lt;", "&lt;"),
        ("<br>", "<br>"),
        ("", "⟨empty⟩"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\u202e", "⟨U+202E⟩"),
        ("\x00", "⟨U+0000⟩"),
        ("\u00a0", "⟨U+00A0⟩"),
        ("\u0301", "⟨U+0301⟩"),
        ("e\u0301", "e\u0301"),
        ("\ufe0f", "⟨U+FE0F⟩"),
        ("␣", "⟨U+2423⟩"),
        ("שלום", "שלום"),
        ("\ufffd", "\ufffd"),
    ],
)
def test_signs(token: str, shown: str) -> None:
    assert label(token) == shown


def test_running_text_keeps_its_spaces() -> None:
    assert visible(" a b\n", keep_spaces=True) == " a b↵"


def test_a_huge_token_is_cut_and_says_so() -> None:
    token = "x" * 1_000_000
    assert visible(token) == "x" * LONGEST + "⟨999,880 more characters⟩"
    assert len(spelled_out(token)) < 200


@given(anything)
def test_plotly_shows_escaped_text_as_it_is(text: str) -> None:
    escaped = plotly_text(text)
    assert "<" not in escaped
    assert ">" not in escaped
    assert escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text


@given(
    acts=st.lists(st.sampled_from([np.nan, 0.0, 0.0, 0.0, 1.0, 2.5]), min_size=1, max_size=120),
    whole=st.booleans(),
    data=st.data(),
)
def test_an_excerpt_covers_its_stretch_without_gap(
    acts: list[float], whole: bool, data: st.DataObject
) -> None:
    focus = data.draw(st.none() | st.integers(0, len(acts) - 1))
    tokens = [f" {i}" for i in range(len(acts))]
    shown = excerpt(tokens, np.array(acts, np.float32), 2.5, focus, whole)
    first, stop = shown.cut_before, len(acts) - shown.cut_after
    assert "".join(piece.text for piece in shown.pieces) == "".join(tokens[first:stop])
    assert (first, stop) == (0, len(acts)) or not whole
    assert focus is None or first <= focus < stop
    for piece in shown.pieces:
        mine = np.array(acts[piece.position : piece.position + piece.n_tokens])
        assert piece.is_row == (not np.isnan(mine).any())
        assert piece.is_row or np.isnan(mine).all()
        assert piece.activation == (mine[0] if piece.is_row else 0)
        assert piece.n_tokens == 1 or not (mine > 0).any()
        assert 0 <= piece.strength <= 1
    assert sum(piece.is_focus for piece in shown.pieces) == (focus is not None)


def test_strength_is_a_share_of_the_scale() -> None:
    shown = excerpt(["a", "b"], np.array([1.0, 4.0], np.float32), 4.0, 1, whole=True)
    assert [piece.strength for piece in shown.pieces] == [0.25, 1.0]
    assert excerpt(["a"], np.zeros(1, np.float32), 0.0, 0).pieces[0].strength == 0
