"""What the steps run on: a model type, its settings, and its directory under the data directory."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from precompute.artifacts.shelf import Shelf
from precompute.config import CorpusConfig, KnownType, load_config, with_model
from precompute.errors import ConfigError
from precompute.settings import Settings

DATA_VARIABLE = "LIGHTWELL_DATA"
DEFAULT_DATA = "data"
SETTINGS_FILE = "settings.toml"
DIRECTORY_PREFIX = "precomputed_"
READINGS = "readings"
"""What the name of a model type on other texts begins with."""
TEST_FEATURES = (0, 256)
"""Features of a `--test` run."""


@dataclass(frozen=True)
class Subject:
    """One model type, as its steps see it."""

    model_type: KnownType
    settings: Settings
    directory: Path
    """`DATA/precomputed_{name}`, with a suffix where only some features are computed."""
    texts: str = ""
    """The embedding set, as `MODEL:SIZE`, whose texts are the corpus; empty where the model type's own is."""

    @property
    def name(self) -> str:
        """Of the model type; `readings:TYPE:MODEL:SIZE` where its corpus is an embedding set."""
        return reading_name(self.model_type.name, self.texts) if self.texts else self.model_type.name

    @property
    def shelf(self) -> Shelf:
        """Its published artifacts."""
        return Shelf(self.directory)

    @property
    def data_dir(self) -> Path:
        """The data directory, which all subjects share."""
        return self.directory.parent


def data_directory(given: Path | str | None = None) -> Path:
    """The data directory: as given, or as the environment says, or `data`."""
    return Path(given or os.environ.get(DATA_VARIABLE) or DEFAULT_DATA)


def open_subject(
    name: str,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    features: tuple[int, int] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Subject:
    """The subject of that name; creates nothing.

    `features` restricts it to a range of features, in a directory of its own. `overrides` are settings that
    take the place of those in its settings file. Raises ConfigError for what is not known or not valid.
    """
    model_type = load_config(Path(config) if config else None).model_type(name)
    directory = directory_of(name, data_dir, features)
    chosen = {**read_settings(directory), **(overrides or {}), "features": features}
    return Subject(model_type, _validated(chosen), directory)


def on_texts(subject: Subject, corpus: CorpusConfig, texts: str, overrides: Mapping[str, Any]) -> Subject:
    """A model type on the texts of an embedding set, in a directory of its own.

    The subject's settings hold where `overrides` and those that were chosen for the reading say nothing.
    """
    directory = directory_of(reading_name(subject.model_type.name, texts), subject.data_dir)
    chosen = {**subject.settings.model_dump(), **read_settings(directory), **overrides, "features": None}
    return Subject(
        with_model(subject.model_type).model_copy(update={"corpus": corpus}),
        _validated(chosen),
        directory,
        texts,
    )


def reading_name(model_type: str, texts: str) -> str:
    """The name of a model type on the texts of the embedding set `MODEL:SIZE`."""
    return f"{READINGS}:{model_type}:{texts}"


def _validated(chosen: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {key} = {first.get('input')!r}", first["msg"], f"correct it, or {SETTINGS_FILE}"
        ) from None


def directory_of(
    name: str, data_dir: Path | str | None = None, features: tuple[int, int] | None = None
) -> Path:
    """Where the artifacts of the subject of that name lie, and the records of its jobs.

    Other work of jobs has a colon in its name, which some file systems refuse in theirs.
    """
    shown = name.replace(":", "@")
    return data_directory(data_dir) / f"{DIRECTORY_PREFIX}{shown}{_suffix(features)}"


def _suffix(features: tuple[int, int] | None) -> str:
    if features is None:
        return ""
    return "_test" if features == TEST_FEATURES else f"_features_{features[0]}_{features[1]}"


def read_settings(directory: Path) -> dict[str, Any]:
    """The settings that were chosen for a subject; empty where none were."""
    path = directory / SETTINGS_FILE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} ({error})", "a TOML file of settings", "correct or remove it") from None


def as_chosen_now(subject: Subject) -> Subject:
    """The subject with the settings that its file holds now: a command may have changed them meanwhile."""
    known = subject.settings.model_dump() if subject.texts else {}
    chosen = {**known, **read_settings(subject.directory), "features": subject.settings.features}
    return replace(subject, settings=_validated(chosen))


def write_settings(directory: Path, overrides: Mapping[str, int]) -> None:
    """Keep chosen settings for every later command and for the dashboard."""
    chosen = {**read_settings(directory), **overrides}
    if chosen == read_settings(directory):
        return
    directory.mkdir(parents=True, exist_ok=True)
    staging = directory / f".tmp-{SETTINGS_FILE}"
    staging.write_text("".join(f"{key} = {value}\n" for key, value in sorted(chosen.items())))
    staging.replace(directory / SETTINGS_FILE)
