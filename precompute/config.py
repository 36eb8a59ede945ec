"""Configuration: TOML in, validated and frozen model types out."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from precompute.errors import ConfigError, NotApplicableError

BUILTIN_FILE = Path(__file__).with_name("model_types.toml")
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
PUBLISHED_SAE = "sae_lens:"
"""What the name of a published SAE begins with."""
HUB_ID = re.compile(r"^[\w.-]+(/[\w.-]+)?$")

Table = TypeVar("Table", bound=BaseModel)
Names = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)]


class CorpusConfig(BaseModel):
    """`[model_types.NAME.corpus]`: the texts, and how they are cut into examples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    builtin: bool = False
    """Use the documentation on this machine."""
    path: str | None = None
    """A jsonl, csv, parquet or txt file; relative to the configuration file."""
    dataset: str | None = None
    """A Hugging Face dataset: a directory that save_to_disk wrote (absolute once loaded), or a hub id."""
    dataset_name: str | None = None
    """The configuration of a dataset that has several."""
    dataset_split: str = "train"
    """The split of the dataset."""
    dataset_revision: str | None = None
    """Revision of a dataset's hub id."""
    max_texts: int | None = Field(default=None, ge=1)
    """Rows streamed from the dataset, its first ones; None is all."""
    text_column: str = "text"
    """The column that holds the text; all others are kept as metadata."""
    tokens_column: str | None = None
    """A column of lists of token ids or tokens, which are used as they are; None makes tokens of texts."""
    token_sets: bool = False
    """Whether those lists are sets: in any order the same, each token once, and never cut."""
    n_ctx: int = Field(128, ge=2)
    """Tokens in one example, special ones included; longer texts become consecutive examples."""
    max_examples: int | None = Field(None, ge=1)
    """Examples used; texts are chosen by one seeded order. None uses all."""
    held_out: Mapping[str, Names] = {}
    """Metadata values of the texts kept out of the examples; the SAE's quality is measured on them."""
    prepend_bos: bool | None = None
    """Whether each example begins with the tokenizer's BOS; None follows the SAE's configuration."""


class ModelType(BaseModel):
    """`[model_types.NAME]`: a language model, its SAE, and a corpus."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: str
    """A directory (absolute once loaded) or a hub id of a Hugging Face causal language model."""
    revision: str | None = None
    """Revision of a hub id."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type in which the model runs."""
    adapter: str | None = None
    """A LoRA adapter (peft) merged into the model."""
    sae: str
    """An SAE in a supported format: a directory, a file, a hub id, or `sae_lens:RELEASE/ID`."""
    hook_name: str | None = None
    """Capture site, such as blocks.2.hook_resid_post; None follows the SAE's configuration."""
    storage: Literal["npy", "zarr"] = "npy"
    """Backend of the activation stores."""
    acts_dtype: Literal["float32", "float16"] = "float32"
    """Type of stored activations."""
    corpus: CorpusConfig


class ImportedType(BaseModel):
    """`[model_types.NAME]` with a `store`: activations that were imported, with no model to run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    store: str
    """A row-major store, relative to the configuration file: its rows are the corpus and the activations."""
    sae: str | None = None
    """The SAE that they are of, as in other model types; it gives the features their directions."""
    tokenizer: str | None = None
    """A directory with a tokenizer, or a vocabulary file; without it tokens are shown as their ids."""
    storage: Literal["npy", "zarr"] = "npy"
    """Backend of the activation stores."""


KnownType = ModelType | ImportedType
"""What `[model_types.NAME]` may describe."""


def with_model(known: KnownType) -> ModelType:
    """The model type, where it has a model; raises NotApplicableError for imported activations."""
    if isinstance(known, ImportedType):
        raise NotApplicableError("the activations were imported, so there is no model to run")
    return known


class EmbeddingModel(BaseModel):
    """`[embedding_models.NAME]`: a model directory whose embedding sets are shown, and its texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """A model directory (absolute once loaded) or a hub id."""
    dataset: str | None = None
    """A file of texts, relative to the configuration file; None is the documentation on this machine."""
    text_column: str = "text"
    """The field that holds the text."""


class Autoencoder(BaseModel):
    """`[autoencoders.NAME]`: a text autoencoder whose sweeps are shown, and the texts they are over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str
    """The directory of its checkpoint (absolute once loaded)."""
    dataset: str | None = None
    """A file of texts, relative to the configuration file; None is the documentation on this machine, of the
    packages that the demo's weights have not seen."""
    text_column: str = "text"
    """The field that holds the text."""


class DensityConfig(BaseModel):
    """`[density]`: what density weights are computed from, by short names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Mapping[str, str] = {}
    """Model directories (absolute once loaded) or hub ids, by the names that --model-source takes."""
    pairs: Mapping[str, str] = {}
    """Preference data, as directories or hub ids, by the names that `pairs --only` takes."""


class ExperimentModel(BaseModel):
    """`[experiments.NAME]`: the model whose traits an experiment looks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """A directory (absolute once loaded) or a hub id of a Hugging Face causal language model."""
    revision: str | None = None
    """Revision of a hub id."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Type in which the model runs."""
    adapter: str | None = None
    """A LoRA adapter (peft) merged into the model."""


class Config(BaseModel):
    """All that a command knows by name."""

    model_config = ConfigDict(frozen=True)

    model_types: Mapping[str, KnownType]
    density: DensityConfig = DensityConfig()
    embedding_models: Mapping[str, EmbeddingModel] = {}
    experiments: Mapping[str, ExperimentModel] = {}
    autoencoders: Mapping[str, Autoencoder] = {}

    def model_type(self, name: str) -> KnownType:
        """The model type of that name; raises ConfigError naming those that there are."""
        if name in self.model_types:
            return self.model_types[name]
        known = ", ".join(sorted(self.model_types))
        raise ConfigError(
            f"unknown model type {name!r}{_hint(name, self.model_types)}",
            f"one of {known}",
            "correct --model-type, or describe it in a TOML file and pass --config",
        )


def load_config(path: Path | None = None) -> Config:
    """What is built in, and what the user's file describes, which may replace it.

    Raises ConfigError for a file that is absent, is not TOML, or holds a key or value that is not known.
    """
    found = _read(BUILTIN_FILE)
    if path is None:
        return found
    own = _read(path)
    return Config(
        model_types={**found.model_types, **own.model_types},
        density=DensityConfig(
            sources={**found.density.sources, **own.density.sources},
            pairs={**found.density.pairs, **own.density.pairs},
        ),
        embedding_models={**found.embedding_models, **own.embedding_models},
        experiments={**found.experiments, **own.experiments},
        autoencoders={**found.autoencoders, **own.autoencoders},
    )


def _read(path: Path) -> Config:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {path}", "a TOML file", "correct --config") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "a TOML file", "correct the file") from None
    _refuse_unknown(path, "", raw, Config.model_fields)
    tables = raw.get("model_types", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ConfigError(f"{path}: model_types that is no table", "[model_types.NAME]", "correct the file")
    types = {name: _model_type(path, name, table) for name, table in tables.items()}
    embedders = _embedding_models(path, raw.get("embedding_models", {}))
    return Config(
        model_types=types,
        density=_density(path, raw.get("density", {})),
        embedding_models=embedders,
        experiments=_experiments(path, raw.get("experiments", {})),
        autoencoders=_autoencoders(path, raw.get("autoencoders", {})),
    )


def _embedding_models(path: Path, tables: Any) -> dict[str, EmbeddingModel]:
    expected = '[embedding_models.NAME] with model = "path or hub id", and perhaps dataset, text_column'
    found, base = {}, path.resolve().parent
    for name, parsed in _named_tables(path, "embedding_models", tables, EmbeddingModel, expected).items():
        changes = {"model": _path_or_hub_id(base, parsed.model), "dataset": _below(base, parsed.dataset)}
        found[name] = parsed.model_copy(update=changes)
    return found


def _autoencoders(path: Path, tables: Any) -> dict[str, Autoencoder]:
    expected = '[autoencoders.NAME] with checkpoint = "path", and perhaps dataset, text_column'
    found, base = {}, path.resolve().parent
    for name, parsed in _named_tables(path, "autoencoders", tables, Autoencoder, expected).items():
        changes = {"checkpoint": str(base / parsed.checkpoint), "dataset": _below(base, parsed.dataset)}
        found[name] = parsed.model_copy(update=changes)
    return found


def _experiments(path: Path, tables: Any) -> dict[str, ExperimentModel]:
    expected = '[experiments.NAME] with model = "path or hub id", and perhaps revision, dtype, adapter'
    found, base = {}, path.resolve().parent
    for name, parsed in _named_tables(path, "experiments", tables, ExperimentModel, expected).items():
        adapter = _path_or_hub_id(base, parsed.adapter) if parsed.adapter else None
        changes = {"model": _path_or_hub_id(base, parsed.model), "adapter": adapter}
        found[name] = parsed.model_copy(update=changes)
    return found


def _below(base: Path, value: str | None) -> str | None:
    return str(base / value) if value else None


def _named_tables(
    path: Path, section: str, tables: Any, kind: type[Table], expected: str
) -> dict[str, Table]:
    """The tables of a section, each by its name; raises ConfigError for what is not understood."""
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: {section} that is no table", expected, "correct the file")
    found = {}
    for name, table in tables.items():
        try:
            found[name] = kind.model_validate(table)
        except ValidationError as error:
            key = ".".join([section, name, *(str(part) for part in error.errors()[0]["loc"])])
            raise ConfigError(f"{path}: {key} that is not understood", expected, "correct the file") from None
        if not re.fullmatch(NAME_PATTERN, name):
            raise ConfigError(
                f"{path}: {section}.{name!r}", "letters, digits, '_', '-' and '.'", "rename the table"
            )
    return found


def _density(path: Path, table: Any) -> DensityConfig:
    try:
        parsed = DensityConfig.model_validate(table)
    except ValidationError as error:
        key = ".".join(["density", *(str(part) for part in error.errors()[0]["loc"])])
        raise ConfigError(
            f"{path}: {key} that is not understood",
            '[density.sources] and [density.pairs] with lines such as name = "path or hub id"',
            "correct the file",
        ) from None
    base = path.resolve().parent
    return DensityConfig(
        sources={name: _path_or_hub_id(base, value) for name, value in parsed.sources.items()},
        pairs={name: _path_or_hub_id(base, value) for name, value in parsed.pairs.items()},
    )


def _model_type(path: Path, name: str, table: dict[str, Any]) -> KnownType:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ConfigError(
            f"{path}: model type named {name!r}", "letters, digits, '_', '-' and '.'", "rename the table"
        )
    where = f"model_types.{name}"
    if "store" in table:
        return _imported_type(path, name, table)
    _refuse_unknown(path, where, table, [*_keys(ModelType), "store"])
    corpus = table.get("corpus", {})
    if isinstance(corpus, dict):
        _refuse_unknown(path, f"{where}.corpus", corpus, CorpusConfig.model_fields)
    return _resolve(path, _parsed(path, where, {**table, "name": name}, ModelType))


def _keys(kind: type[BaseModel]) -> list[str]:
    return [key for key in kind.model_fields if key != "name"]


def _parsed(path: Path, where: str, table: dict[str, Any], kind: type[Table]) -> Table:
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *(str(part) for part in first["loc"])])
        raise ConfigError(
            f"{path}: {key} = {first.get('input')!r}", first["msg"], "correct the file"
        ) from None


def _imported_type(path: Path, name: str, table: dict[str, Any]) -> ImportedType:
    """A table with a `store`; raises ConfigError for one that describes a model or a corpus, too."""
    where, own = f"model_types.{name}", _keys(ImportedType)
    for key in _keys(ModelType):
        if key in table and key not in own:
            raise ConfigError(
                f"{path}: {where} with `store` and `{key}`",
                f"`store` with {', '.join(own[1:])} at most, or else a model and a corpus",
                f"leave out `store` or `{key}`",
            )
    _refuse_unknown(path, where, table, own)
    parsed = _parsed(path, where, {**table, "name": name}, ImportedType)
    base = path.resolve().parent
    return parsed.model_copy(
        update={
            "store": str(base / Path(parsed.store).expanduser()),
            "sae": _path_or_hub_id(base, parsed.sae) if parsed.sae else None,
            "tokenizer": str(base / Path(parsed.tokenizer).expanduser()) if parsed.tokenizer else None,
        }
    )


def _resolve(path: Path, parsed: ModelType) -> ModelType:
    """Make paths absolute and check the corpus table; whether files exist is checked when they are read."""
    corpus, base = parsed.corpus, path.resolve().parent
    _check_origin(path, parsed)
    return parsed.model_copy(
        update={
            "model": _path_or_hub_id(base, parsed.model),
            "sae": _path_or_hub_id(base, parsed.sae),
            "adapter": _path_or_hub_id(base, parsed.adapter) if parsed.adapter else None,
            "corpus": corpus.model_copy(
                update={
                    "path": str(base / corpus.path) if corpus.path else None,
                    "dataset": _path_or_hub_id(base, corpus.dataset) if corpus.dataset else None,
                }
            ),
        }
    )


def _check_origin(path: Path, parsed: ModelType) -> None:
    """Refuse a corpus of no origin or of several, and options that its origin does not have."""
    corpus, where = parsed.corpus, f"{path}: model_types.{parsed.name}.corpus"
    named = {"path": corpus.path, "dataset": corpus.dataset, "builtin": corpus.builtin or None}
    given = [name for name, value in named.items() if value is not None]
    if len(given) != 1:
        raise ConfigError(
            f"{where} with {' and '.join(given) or 'none of path, dataset and builtin'}",
            "exactly one of `path`, `dataset` and `builtin = true`",
            "correct the file",
        )
    if (corpus.builtin and corpus.tokens_column) or (corpus.token_sets and not corpus.tokens_column):
        raise ConfigError(
            f"{where} with {'tokens_column' if corpus.tokens_column else 'token_sets alone'}",
            "tokens_column with a file or dataset of token lists, token_sets beside it",
            "correct the file",
        )


def _path_or_hub_id(base: Path, value: str) -> str:
    """An existing path relative to the file, or what can only be a path, made absolute; else a hub id."""
    if value.startswith(PUBLISHED_SAE):
        return value
    path = base / Path(value).expanduser()
    if path.exists() or not HUB_ID.match(value) or value.startswith("."):
        return str(path)
    return value


def _refuse_unknown(path: Path, where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    valid = sorted(known)
    for key in table:
        if key not in valid:
            place = f" in [{where}]" if where else ""
            raise ConfigError(
                f"{path}: unknown key {key!r}{place}{_hint(key, valid)}",
                f"one of {', '.join(valid)}",
                "correct the file",
            )


def _hint(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
