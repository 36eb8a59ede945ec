"""The kinds of text autoencoder, by the word that their `config.json` has for them.

A kind of one's own is a function `load(checkpoint, device, batch_size) -> TextAutoencoder` in an installed
package that names it as an entry point of the group `lightwell.text_autoencoders`. A checkpoint can name a
kind, but never bring code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from precompute.errors import ModelError
from precompute.models.text_autoencoder.checkpoint import Checkpoint, read_checkpoint

if TYPE_CHECKING:
    from precompute.models.text_autoencoder.protocol import TextAutoencoder

GROUP = "lightwell.text_autoencoders"
Load = Callable[[Checkpoint, str, int], "TextAutoencoder"]
"""From a checkpoint, a device (cpu, cuda, cuda:1) and the sequences that go through a model together."""


def _load_lora(checkpoint: Checkpoint, device: str, batch_size: int) -> TextAutoencoder:
    from precompute.models.text_autoencoder.lora import LoraAutoencoder

    return LoraAutoencoder.load(checkpoint, device, batch_size)


KINDS: Mapping[str, Load] = MappingProxyType({"lora": _load_lora})
"""The kinds that are built in."""


def load_text_autoencoder(
    checkpoint: Checkpoint | Path | str, device: str = "cpu", batch_size: int = 32
) -> TextAutoencoder:
    """Load a text autoencoder; raises ModelError for a kind that is not known, or files that do not fit."""
    found = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    return _kind(found.header.kind)(found, device, batch_size)


def _kind(name: str) -> Load:
    if name in KINDS:
        return KINDS[name]
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name in installed:
        load: Load = installed[name].load()
        return load
    known = ", ".join(sorted({*KINDS, *installed}))
    raise ModelError(
        f"text autoencoder of kind {name!r}",
        f"one of {known}",
        f"install the package that offers it as an entry point of {GROUP}",
    )
