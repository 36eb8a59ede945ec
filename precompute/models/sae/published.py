"""Published SAEs by name, `sae_lens:RELEASE/ID`: fetched once by SAELens's own loader, then read here."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from precompute.artifacts.digests import text_digest
from precompute.config import PUBLISHED_SAE as PREFIX
from precompute.errors import SAEFormatError
from precompute.models.legacy import OPTION
from precompute.models.sae.conversions import cache_directory, convert_once
from precompute.models.sae.header import PARAMETERS

EXTRA = "sae-lens"
PICKLED_LOADERS = frozenset(
    {"connor_rob_hook_z", "dictionary_learning_1", "deepseek_r1", "goodfire", "qwen_scope"}
)
"""SAELens's loaders whose published files are pickles."""
SAVED_AS_JUMPRELU = frozenset({"batchtopk", "matryoshka_batchtopk"})
"""Architectures that SAELens saves for inference with a threshold."""


class Published(NamedTuple):
    """What SAELens calls an SAE by."""

    release: str
    """A release of its list, or a hub id."""
    sae_id: str
    """One of the release's, which may have slashes of its own."""


def is_published(sae: str) -> bool:
    """Whether the text names a published SAE."""
    return sae.startswith(PREFIX)


def published(sae: str) -> Published:
    """The release and the id that the text names; raises SAEFormatError where it names none.

    A release with a slash, which is a hub id, is divided from the id by a colon.
    """
    divider = ":" if ":" in sae.removeprefix(PREFIX) else "/"
    release, found, sae_id = sae.removeprefix(PREFIX).partition(divider)
    if not (release and found and sae_id):
        raise SAEFormatError(
            f"SAE {sae!r}",
            f"{PREFIX}RELEASE/ID, or {PREFIX}OWNER/NAME:FOLDER for a hub id",
            "name both",
        )
    return Published(release, sae_id)


def directory_of(sae: str) -> Path:
    """The SAE as a directory of SAELens's format; fetched when it is first asked for.

    A process of its own does that, so that the one that asks loads no torch. Raises SAEFormatError.
    """
    target = _place(published(sae))
    if not target.is_dir():
        command = [sys.executable, "-m", "precompute.models.sae", sae]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not target.is_dir():
            raise _error_of(sae, done.stderr)
    return target


def _error_of(sae: str, said: str) -> SAEFormatError:
    """What the process said at its end, as the error that it was."""
    last = (said.strip().splitlines() or [""])[-1].removeprefix("lightwell: ")
    found, is_ours, rest = last.partition("; expected ")
    if not is_ours:
        return SAEFormatError(f"{sae} that cannot be fetched ({last})", "a published SAE", "see the message")
    expected, _, remedy = rest.partition("; ")
    return SAEFormatError(found, expected, remedy)


def fetch(sae: str, allow_legacy_weights: bool = False) -> Path:
    """Load a published SAE with SAELens, unless that is done, and save it in its format; where it lies.

    Raises SAEFormatError for a name that is not known, an architecture that is not supported, a pickle that
    was not allowed, and a hub that cannot be reached.
    """
    name = published(sae)
    return convert_once(_place(name), lambda staging: _save(name, sae, staging, allow_legacy_weights))


def _place(name: Published) -> Path:
    return cache_directory() / "saes" / text_digest(json.dumps([PREFIX, *name]))


def _save(name: Published, sae: str, staging: Path, allow_legacy_weights: bool) -> None:
    from huggingface_hub.errors import EntryNotFoundError

    library = _library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_pickle(library.loaders.get_conversion_loader_name(name.release), sae, allow_legacy_weights)
            config = library.loaders.load_sae_config_from_huggingface(*name)
            _check_architecture(config, sae)
            library.sae_class.from_pretrained(*name, device="cpu").save_model(staging)
    except (OSError, EntryNotFoundError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SAEFormatError(
            f"{sae} that SAELens cannot load ({reason})",
            "a published SAE",
            "check the name against SAELens's list, and the network",
        ) from None


class Library(NamedTuple):
    """The parts of SAELens that are used."""

    sae_class: Any
    loaders: Any
    """The module of its loaders."""


def _library() -> Library:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from sae_lens import SAE
            from sae_lens.loading import pretrained_sae_loaders
    except ImportError:
        raise SAEFormatError(
            "no package sae-lens, which loads published SAEs",
            "it beside this project",
            f"pip install -e '.[{EXTRA}]'",
        ) from None
    return Library(SAE, pretrained_sae_loaders)


def _check_pickle(loader: str, sae: str, allow_legacy_weights: bool) -> None:
    if loader in PICKLED_LOADERS and not allow_legacy_weights:
        raise SAEFormatError(
            f"{sae}, which is published as a pickle",
            f"an SAE in safetensors, or your word with {OPTION}",
            f"fetch it once: python -m precompute.models.sae {sae} {OPTION}",
        )


def _check_architecture(config: dict[str, Any], sae: str) -> None:
    """Refuse before its weights are fetched what could not be read afterwards."""
    name = config.get("architecture")
    if name not in PARAMETERS and name not in SAVED_AS_JUMPRELU:
        raise SAEFormatError(
            f"{sae}: an SAE of architecture {name!r}, which is not supported",
            f"one of {', '.join(sorted(PARAMETERS))}",
            "choose another SAE",
        )
