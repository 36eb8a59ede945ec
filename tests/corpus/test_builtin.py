"""The built-in corpus: ids, the tenth rule, parsing, and the real thing."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from precompute.corpus import builtin
from precompute.corpus.builtin import MAX_SHARE, SCHEMA, limit_shares, read_builtin_corpus, source_files
from precompute.corpus.docstrings import SourceFile, parse_file
from precompute.corpus.shares import fill, seeded_order, water_level
from precompute.corpus.texts import text_id
from precompute.errors import CorpusError

SIZES = st.dictionaries(st.text(max_size=4), st.integers(0, 10**6), max_size=30)


@given(st.text())
def test_text_id_ignores_form_and_line_endings(text: str) -> None:
    expected = text_id(text)
    assert len(expected) == 32
    assert int(expected, 16) >= 0
    for form in ("NFC", "NFD"):
        assert text_id(unicodedata.normalize(form, text)) == expected
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    assert text_id(plain.replace("\n", "\r\n")) == expected
    assert text_id(plain.replace("\n", "\r")) == expected


@given(st.text(), st.text())
def test_text_id_tells_texts_apart(one: str, other: str) -> None:
    same = unicodedata.normalize(
        "NFC", one.replace("\r\n", "\n").replace("\r", "\n")
    ) == unicodedata.normalize("NFC", other.replace("\r\n", "\n").replace("\r", "\n"))
    assert (text_id(one) == text_id(other)) == same


@given(SIZES, st.sampled_from([0.05, 0.1, 0.3]))
def test_water_level_is_the_largest_cap_that_holds(sizes: dict[str, int], share: float) -> None:
    cap = water_level(sizes, share)
    n_groups = sum(size > 0 for size in sizes.values())
    share = max(share, 1 / n_groups) if n_groups else share

    def holds(level: float) -> bool:
        return level <= share * sum(min(size, level) for size in sizes.values()) * (1 + 1e-9)

    assert holds(cap)
    largest = max(sizes.values(), default=0)
    assert not n_groups or cap >= min(sizes[name] for name in sizes if sizes[name])
    if cap < largest and share * n_groups > 1 + 1e-9:
        assert not holds(cap * 1.01 + 1)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(0, 300), st.integers(0, 5))
def test_fill_stays_under_the_cap_and_wastes_little(lengths: list[int], cap: int, seed: int) -> None:
    order = seeded_order([str(length) for length in lengths], seed)
    taken = fill(lengths, order, cap)
    total = sum(lengths[index] for index in taken)
    assert taken == sorted(set(taken))
    assert total <= cap
    assert all(total + lengths[i] > cap for i in range(len(lengths)) if i not in taken)


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(1, 200)), min_size=1, max_size=120))
def test_no_package_gives_more_than_its_share(entries: list[tuple[int, int]]) -> None:
    table = pl.DataFrame(
        {
            "package": [str(package) for package, _ in entries],
            "text": ["x" * length for _, length in entries],
            "text_id": [text_id(f"{i}") for i in range(len(entries))],
        }
    )
    kept = limit_shares(table, 0.1, seed=0)
    totals = kept.group_by("package").agg(n=pl.col("text").str.len_chars().sum())["n"]
    share = max(0.1, 1 / table["package"].n_unique())
    assert totals.is_empty() or totals.max() <= share * totals.sum()
    order = {key: index for index, key in enumerate(table["text_id"])}
    positions = [order[key] for key in kept["text_id"]]
    assert positions == sorted(positions)


LONG = "A text that is long enough to be kept, by far more than enough."

SOURCE = f'''"""{LONG} Module."""
if True:
    def outer():
        """{LONG} Outer."""
        def inner():
            """{LONG} Inner."""
class Box:
    """{LONG} Box."""
    async def open(self):
        """{LONG}
            indented
        """
    def short(self):
        """Too short."""
    def invalid(self):
        "\\d {LONG}"
'''


def test_docstrings_come_cleaned_in_file_order_with_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(SOURCE, encoding="utf-8")
    parsed = parse_file(SourceFile("p", "p.module", path))
    assert parsed.problem is None
    assert [(entry.kind, entry.name) for entry in parsed.docstrings] == [
        ("module", "p.module"),
        ("function", "outer"),
        ("function", "outer.inner"),
        ("class", "Box"),
        ("method", "Box.open"),
        ("method", "Box.invalid"),
    ]
    assert parsed.docstrings[4].text == f"{LONG}\nindented"


@pytest.mark.parametrize("content", [b"def (:", b"\xff\xfe bad", b"# coding: nonsense\n", b"a\x00b"])
def test_a_file_that_cannot_be_parsed_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.py"
    path.write_bytes(content)
    parsed = parse_file(SourceFile("p", "p.bad", path))
    assert parsed.docstrings == ()
    assert parsed.problem is not None
    assert "p.bad" in parsed.problem


def test_a_package_that_is_not_installed_is_absent() -> None:
    assert list(source_files(["no_such_package_anywhere"])) == []


def test_single_file_modules_and_packages_have_dotted_names() -> None:
    modules = {source.module for source in source_files(["threadpoolctl", "packaging"])}
    assert {"threadpoolctl", "packaging", "packaging.version"} <= modules


def test_nothing_to_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "source_files", lambda _packages: iter(()))
    with pytest.raises(CorpusError, match="no docstrings"):
        read_builtin_corpus(workers=1)


@pytest.mark.full
def test_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "PACKAGES", ("click", "packaging", "tqdm"))
    monkeypatch.setattr(builtin, "STANDARD_LIBRARY", "requests")
    alone, together = read_builtin_corpus(workers=1), read_builtin_corpus(workers=2)
    assert alone.equals(together)
    assert dict(alone.schema) == SCHEMA
    assert alone["package"].unique().sort().to_list() == ["click", "packaging", "requests", "tqdm"]
    assert alone["package"].is_sorted()
    assert alone["text"].str.len_chars().min() >= 40


@pytest.mark.full
def test_the_whole_corpus_keeps_the_tenth_rule() -> None:
    corpus = read_builtin_corpus(workers=2)
    totals = corpus.group_by("package").agg(n=pl.col("text").str.len_chars().sum())["n"]
    assert totals.max() <= MAX_SHARE * totals.sum()
    assert len(corpus) > 20_000
    assert corpus.select(pl.col("text_id").head(50)).to_series().to_list() == [
        text_id(text) for text in corpus["text"].head(50)
    ]
