"""Hugging Face datasets, from disk and streamed by the library, become one file that is read as any."""

from __future__ import annotations

import sys
import warnings

import polars as pl
import pytest

from precompute import open_artifacts
from precompute.config import CorpusConfig
from precompute.corpus.hub_dataset import TEXTS_PER_BATCH, take_dataset
from precompute.corpus.location import corpus_file
from precompute.errors import CorpusError
from tests.conftest import run
from tests.tiny import make_all, make_texts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import datasets

ROWS = [{"text": f"text number {i}", "n": i, "tags": [str(i), "x"], "extra": {"a": i}} for i in range(2500)]
KEPT = ["text", "n", "tags"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(name="saved", scope="module")
def saved_fixture(tmp_path_factory):
    """A directory of `save_to_disk`, one of it with splits, and one of data files."""
    root = tmp_path_factory.mktemp("datasets")
    whole = datasets.Dataset.from_list(ROWS)
    whole.save_to_disk(root / "plain")
    datasets.DatasetDict({"test": whole.select(range(10)), "train": whole}).save_to_disk(root / "splits")
    (root / "files").mkdir()
    pl.DataFrame(ROWS).write_parquet(root / "files" / "train.parquet")
    return root


@pytest.mark.parametrize("source", ["plain", "splits", "files"])
@pytest.mark.parametrize("limit", [None, 7, TEXTS_PER_BATCH, TEXTS_PER_BATCH + 1])
def test_rows_in_their_order_as_far_as_asked(saved, tmp_path, source, limit):
    corpus = CorpusConfig(dataset=str(saved / source), max_texts=limit)
    table = pl.read_parquet(take_dataset(corpus, tmp_path / "corpus.parquet"))
    assert table.to_dicts() == [{name: row[name] for name in KEPT} for row in ROWS[:limit]]


def test_another_split(saved, tmp_path):
    corpus = CorpusConfig(dataset=str(saved / "splits"), dataset_split="test")
    assert pl.read_parquet(take_dataset(corpus, tmp_path / "corpus.parquet")).height == 10


def test_a_dataset_is_streamed_not_downloaded(saved, tmp_path, monkeypatch):
    """Of a hub id, the library's streaming reads; here its files lie on this machine."""
    asked = {}
    load = datasets.load_dataset

    def loaded(source, *arguments, **options):
        asked.update(options, source=source)
        return load(str(saved / "files"), split="train", streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", loaded)
    corpus = CorpusConfig(dataset="owner/name", dataset_revision="abc", max_texts=5)
    assert pl.read_parquet(take_dataset(corpus, tmp_path / "corpus.parquet")).height == 5
    assert asked == {"source": "owner/name", "split": "train", "revision": "abc", "streaming": True}


def test_fetched_once_and_anew_when_asked(saved, tmp_path):
    corpus, target = CorpusConfig(dataset=str(saved / "plain")), tmp_path / "corpus.parquet"
    take_dataset(corpus, target)
    target.write_bytes(b"kept")
    assert take_dataset(corpus, target).read_bytes() == b"kept"
    assert pl.read_parquet(take_dataset(corpus, target, refresh=True)).height == len(ROWS)


def test_each_choice_has_a_file_of_its_own(tmp_path):
    given = {"dataset": "a/b"}
    others = [{"dataset_name": "x"}, {"dataset_split": "test"}, {"dataset_revision": "1"}, {"max_texts": 3}]
    places = {corpus_file(CorpusConfig(**given, **more), tmp_path) for more in [{}, *others]}
    assert len(places) == 5
    assert corpus_file(CorpusConfig(**given, n_ctx=5), tmp_path) in places


WRONG = [
    ({"dataset": "no/such/place"}, "cannot be had"),
    ({"dataset": "SPLITS", "dataset_split": "dev"}, "one of test, train"),
    ({"dataset": "FILES", "dataset_split": "dev"}, "cannot be had"),
]


@pytest.mark.parametrize(("options", "words"), WRONG)
def test_what_cannot_be_had_leaves_nothing(saved, tmp_path, options, words):
    places = {"SPLITS": str(saved / "splits"), "FILES": str(saved / "files")}
    corpus = CorpusConfig(**{**options, "dataset": places.get(options["dataset"], options["dataset"])})
    with pytest.raises(CorpusError, match=words) as error:
        take_dataset(corpus, tmp_path / "corpus.parquet")
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == [".locks"]


def test_without_the_package_the_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(CorpusError, match=r"pip install -e '.\[datasets\]'"):
        take_dataset(CorpusConfig(dataset="a/b"), tmp_path / "corpus.parquet")


def test_a_model_type_on_a_dataset(tmp_path, capsys):
    files = make_all(tmp_path, n_texts=60)
    texts = datasets.Dataset.from_dict({"body": make_texts(60), "year": list(range(60))})
    texts.save_to_disk(tmp_path / "texts")
    changed = files.config.read_text().replace(
        'path = "texts.jsonl"', 'dataset = "texts"\ntext_column = "body"'
    )
    files.config.write_text(changed.replace('held_out = { source = "held" }', ""))
    assert run(files, "--only", "feature_stats") == 0
    assert "streaming the dataset" in capsys.readouterr().err
    artifacts = open_artifacts("mine", files.root / "data", files.config)
    corpus = artifacts.table("corpus")
    assert corpus["text"].to_list() == [make_texts(60)[year] for year in corpus["year"]]
    states = {status.step: status.state for status in artifacts.status()}
    assert states["feature_stats"] == "fresh"


def test_a_dataset_without_the_text_column_says_so_after_it_was_fetched(tmp_path, capsys):
    files = make_all(tmp_path, n_texts=30)
    datasets.Dataset.from_dict({"body": ["a", "b"]}).save_to_disk(tmp_path / "texts")
    files.config.write_text(files.config.read_text().replace('path = "texts.jsonl"', 'dataset = "texts"'))
    assert run(files) == 2
    assert "without a column 'text'" in capsys.readouterr().err
