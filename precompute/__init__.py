"""Run a language model and its sparse autoencoder over a corpus; keep what is seen as checked artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precompute.models.opened import OpenedModel
    from precompute.reading import Artifacts
    from precompute.settings import Device

__version__ = "0.1.0"


def open_artifacts(
    model_type: str,
    data_dir: Path | str | None = None,
    config: Path | str | None = None,
    features: tuple[int, int] | None = None,
) -> Artifacts:
    """Open what is computed for a model type, such as "ultra".

    `data_dir` defaults to LIGHTWELL_DATA or `data`; `config` is a TOML file with own model types;
    `features` names the range of a run that computed only some.
    """
    from precompute import reading

    return reading.open_artifacts(model_type, data_dir, config, features)


def open_model(model_type: str, config: Path | str | None = None, device: Device = "auto") -> OpenedModel:
    """Load the model and SAE of a model type, such as "ultra", to be asked about any text."""
    from precompute.config import load_config, with_model
    from precompute.models.opened import OpenedModel

    chosen = load_config(Path(config) if config else None).model_type(model_type)
    return OpenedModel.load(with_model(chosen), device)
