"""What exists is documented: options, steps, artifact columns, pages; what is documented exists."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from precompute import unified
from precompute.command_line import CommandParser
from precompute.config import CorpusConfig, ImportedType
from precompute.density import commands as density
from precompute.density.stages import STAGES
from precompute.embeddings.embedding_set import OUTPUTS
from precompute.embeddings.freshness import STEPS
from precompute.embeddings.graph import FILES as GRAPH_FILES
from precompute.embeddings.map import MAP_FILES
from precompute.embeddings.options import compute_parser as embeddings_parser
from precompute.executors.choice import EXECUTORS, add_options
from precompute.export.__main__ import parser as export_parser
from precompute.extraction import options as extraction
from precompute.extraction import stages as extraction_stages
from precompute.models.text_autoencoder.checkpoint import Header
from precompute.pipeline.registry import steps
from precompute.settings import Settings
from precompute.sweeps.launching import LaunchSettings
from precompute.sweeps.plot import parser as plot_parser
from precompute.sweeps.presets import CONF
from precompute.sweeps.results import ROWS_SCHEMA
from precompute.sweeps.settings import SweepSettings
from tests.density.made_parts import computed as density_computed
from tests.density.made_parts import drawn
from tests.extraction.made_trait import trait_made
from tests.tiny import TinyFiles

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EMBEDDINGS = (ROOT / "docs" / "embeddings.md").read_text(encoding="utf-8")
CORPORA = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
ARTIFACTS = (ROOT / "docs" / "artifacts.md").read_text(encoding="utf-8")
CLUSTERS = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
SWEEPS = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")


def test_every_option_of_the_orchestrator_is_in_the_readme() -> None:
    options = [option for action in unified.parser()._actions for option in action.option_strings]
    assert [o for o in options if o.startswith("--") and o not in README and o != "--help"] == []


def test_every_executor_and_its_options_are_documented() -> None:
    parser = CommandParser()
    add_options(parser)
    options = [o for action in parser._actions for o in action.option_strings if o.startswith("--")]
    assert [name for name in EXECUTORS if f"| `{name}` |" not in CLUSTERS] == []
    assert [option for option in options if option not in CLUSTERS and option != "--help"] == []


def source_of(function: Callable[..., object]) -> str:
    module = inspect.getmodule(function)
    assert module is not None
    return inspect.getsource(module)


def test_every_step_that_runs_elsewhere_is_documented() -> None:
    table = CLUSTERS.split("## What goes where")[1].split("All others")[0]
    named = {name for name in re.findall(r"`(\w+)`", table) if name in steps()}
    elsewhere = re.compile(r"map_blocks|map_tiles|context\.map|context\.executor")
    mapping = {name for name, step in steps().items() if elsewhere.search(source_of(step.run))}
    assert named == mapping


@pytest.mark.parametrize(
    "make", [density.weigh_parser, density.merge_parser, density.pairs_parser, density.prompts_parser]
)
def test_every_option_of_density_weights_is_in_the_readme(make: Callable[[], CommandParser]) -> None:
    options = [option for action in make()._actions for option in action.option_strings]
    section = README.split("### Weigh prompts", 1)[1].split("\n### ", 1)[0]
    hidden = {"--help", "--pairs", "--pairs-path"}
    assert [o for o in options if o.startswith("--") and o not in section and o not in hidden] == []


@pytest.mark.parametrize("command", list(extraction.PARTS))
def test_every_option_of_extraction_is_in_the_readme_and_the_other_way_round(command: str) -> None:
    section = README.split("### Find trait vectors", 1)[1].split("\n### ", 1)[0]
    options = {
        option for action in extraction.parser(command, "")._actions for option in action.option_strings
    }
    known = {option for option in options if option.startswith("--")} - {"--help"}
    assert [option for option in known if f"`{option}" not in section] == []
    if command == "run":
        named = {
            name
            for row in re.findall(r"^\| .*\|$", section, flags=re.M)
            for name in re.findall(r"--[a-z-]+", row)
        }
        assert named - known <= {"--"}


def test_every_file_column_and_key_of_traits_is_documented(tmp_path: Path) -> None:
    section = ARTIFACTS.split("## Traits", 1)[1]
    directory = trait_made(tmp_path)
    for stage in extraction_stages.STAGES:
        assert f"| `{stage.name}` |" in section
    for table in directory.glob("artifacts/*/**/*.parquet"):
        assert table.name in section
        assert [c for c in pl.read_parquet_schema(table) if not re.search(rf"\b{c}\b", section)] == []
    for path in directory.glob("vectors/*.json"):
        summary = json.loads(path.read_text())
        keys = {*summary, *(key for site in summary["sites"].values() for key in site)} - {"sites"}
        assert [key for key in keys if not re.search(rf"\b{key}\b", section)] == []


def test_every_file_and_key_of_density_weights_is_documented(tmp_path: Path) -> None:
    texts, encoder = drawn(20)
    record = density_computed(tmp_path, texts, encoder).metadata
    section = ARTIFACTS.split("## Density weights", 1)[1].split("\n## ", 1)[0]
    assert [key for key in record if not re.search(rf"\b{key}\b", section)] == []
    files = {path.name for stage in STAGES for path in (tmp_path / "artifacts" / stage.name).iterdir()}
    assert {name for name in files - {"manifest.json"} if f"`{name}`" not in section} == set()
    assert [stage.name for stage in STAGES if f"| `{stage.name}` |" not in section] == []


def test_every_option_in_the_readme_exists() -> None:
    known = {option for action in unified.parser()._actions for option in action.option_strings}
    rows = re.findall(r"^\|[^|]*\| (`--.*) \|$", README, flags=re.M)
    named = {option for row in rows for option in re.findall(r"--[a-z][a-z-]*", row)}
    assert named - known == set()


def test_every_option_of_exports_is_in_the_readme() -> None:
    commands = export_parser()._subparsers._group_actions[0].choices.values()  # type: ignore[union-attr]
    options = {o for command in commands for action in command._actions for o in action.option_strings}
    section = README.split("### Export", 1)[1].split("\n### ", 1)[0]
    assert [o for o in sorted(options) if o.startswith("--") and o not in section and o != "--help"] == []


def test_every_key_of_a_corpus_is_documented_and_the_other_way_round() -> None:
    of_texts = CORPORA.split("## Browse a store without its model", 1)[0]
    rows = re.findall(r"^\| (`.*?) \| ", of_texts, flags=re.M)
    assert {key for row in rows for key in re.findall(r"`(\w+)`", row)} == set(CorpusConfig.model_fields)


def test_every_key_of_an_imported_type_is_documented_and_the_other_way_round() -> None:
    section = CORPORA.split("## Browse a store without its model", 1)[1]
    rows = re.findall(r"^\| `(\w+)` \| ", section, flags=re.M)
    assert rows == [key for key in ImportedType.model_fields if key != "name"]


def test_every_option_of_embeddings_is_documented_and_the_other_way_round() -> None:
    known = {option for action in embeddings_parser()._actions for option in action.option_strings}
    rows = re.findall(r"^\| (`--.*?) \| ", EMBEDDINGS, flags=re.M)
    named = {option for row in rows for option in re.findall(r"--[a-z][a-z-]*", row)}
    assert named == {option for option in known if option.startswith("--")} - {"--help"}


def test_every_artifact_of_embeddings_is_documented() -> None:
    for name in (*STEPS, *OUTPUTS, *MAP_FILES, *GRAPH_FILES):
        assert re.search(rf"\b{re.escape(name)}\b", EMBEDDINGS), name


def test_every_key_and_default_of_sweeps_is_documented_and_the_other_way_round() -> None:
    rows = dict(re.findall(r"^\| `((?:eval|data|machine)\.\w+)` \| `?([^|`]*)`? \|", SWEEPS, flags=re.M))
    known = {
        f"{group}.{key}": value
        for group, settings in SweepSettings.model_validate({})
        for key, value in vars(settings).items()
    }
    assert set(rows) == set(known)
    words = {"eval.checkpoint_path": "the demo's", "eval.n_samples": "twice the largest K"}
    for key, value in known.items():
        shown = words.get(key) or json.dumps(value, separators=(",", ":")).strip('"')
        assert rows[key].strip() == shown, key
    for group in ("eval", "data", "machine"):
        for path in (CONF / group).glob("*.yaml"):
            assert f"{group}={path.stem}" in SWEEPS


def test_every_output_and_argument_of_sweeps_is_documented() -> None:
    rows = SWEEPS.split("`NAME.rows.parquet`", 1)[1].split("\n", 1)[0]
    assert [name for name in ROWS_SCHEMA if not re.search(rf"\b{name}\b", rows)] == []
    assert [name for name in LaunchSettings.model_fields if f"| `{name}` |" not in SWEEPS] == []
    own = SWEEPS.split("## Text autoencoders of your own", 1)[1]
    assert [name for name in Header.model_fields if f"`{name}`" not in own] == []
    options = [option for action in plot_parser()._actions for option in action.option_strings]
    assert [o for o in options if o.startswith("--") and o not in SWEEPS] == []


@pytest.mark.parametrize("step", steps().values(), ids=list(steps()))
def test_every_step_and_output_is_in_the_list_of_artifacts(step: object) -> None:
    assert f"`{step.name}`" in ARTIFACTS  # type: ignore[attr-defined]
    for output in step.outputs:  # type: ignore[attr-defined]
        assert f"`{output}`" in ARTIFACTS or f"`{output}/`" in ARTIFACTS, output


@pytest.mark.parametrize("step", steps().values(), ids=list(steps()))
def test_every_step_says_what_it_computes_and_reads_known_settings(step: object) -> None:
    assert step.summary.endswith(".")  # type: ignore[attr-defined]
    assert len(step.summary) > 20  # type: ignore[attr-defined]
    assert set(step.settings) <= set(Settings.model_fields)  # type: ignore[attr-defined]


def test_every_column_of_every_table_is_documented(computed: TinyFiles) -> None:
    directory = computed.root / "data" / "precomputed_mine"
    metadata = {"source", "year"}
    for table in sorted(directory.glob("*.parquet")):
        section = ARTIFACTS.split(f"`{table.name}`", 1)[1].split("\n| ", 1)[0]
        for column in set(pl.read_parquet_schema(table)) - metadata:
            assert re.search(rf"\b{column}\b", section), f"{table.name}: {column}"


def test_every_path_in_the_tree_of_the_readme_exists() -> None:
    tree = README.split("## The house", 1)[1]
    paths = re.findall(r"^([\w./]+/?)\s{2,}", tree, flags=re.M)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []
