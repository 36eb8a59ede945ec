"""Activations of the language model at the SAE's site, for training and evaluation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from precompute.demo.token_rows import IGNORED, Rows
from precompute.demo.tokenizer import BOS_ID

LAYER = 2
"""Index of the block after which the residual stream is read."""

HOOK_NAME = f"blocks.{LAYER}.hook_resid_post"
"""The same site by its TransformerLens name; `hidden_states[LAYER + 1]` in Hugging Face's."""

N_CTX = 128
"""Positions of a chunk as the pipeline cuts it, the beginning-of-text token included."""

log = logging.getLogger(__name__)


def truncated(model: Any) -> Any:
    """Return the model's trunk cut after block `LAYER`: its last hidden state is the site.

    The model itself loses the later blocks; load it again where they are needed.
    """
    trunk = model.model
    trunk.layers = trunk.layers[: LAYER + 1]
    trunk.norm = nn.Identity()
    return trunk.eval()


@torch.no_grad()
def site_activations(trunk: Any, rows: Tensor) -> Tensor:
    """Return the activations (n_rows, n_ctx, d_in) at the site, padding positions included."""
    output: Tensor = trunk(rows.clamp(min=BOS_ID), use_cache=False).last_hidden_state
    return output


def write_activations(
    trunk: Any, rows: Rows, path: Path, bfloat16: bool = False, batch_size: int = 64
) -> npt.NDArray[np.float16]:
    """Write the activations of all text positions as one float16 npy file and map it (n, d_in).

    With `bfloat16` the matrix products are rounded: good enough to train on, twice as fast.

    Beginning-of-text and padding positions are left out. The batch lengths do not matter: attention is
    causal and rows are padded on the right.
    """
    n_positions = int(np.count_nonzero(rows[:, 1:] != IGNORED))
    d_in, device = trunk.config.hidden_size, next(trunk.parameters()).device
    staged = path.with_name(f".tmp-{path.name}")
    output = np.lib.format.open_memmap(staged, mode="w+", dtype=np.float16, shape=(n_positions, d_in))
    done = 0
    for first in range(0, len(rows), batch_size):
        batch = torch.from_numpy(rows[first : first + batch_size])
        width = int((batch != IGNORED).sum(1).max())
        batch = batch[:, :width]
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            site = site_activations(trunk, batch.to(device))
        found = site[:, 1:][(batch[:, 1:] != IGNORED).to(device)]
        output[done : done + len(found)] = found.to(torch.float16).cpu().numpy()
        done += len(found)
        if first // batch_size % 100 == 0:
            log.info("activations: %d of %d rows", done, n_positions)
    output.flush()
    staged.rename(path)
    return open_activations(path)


def open_activations(path: Path) -> npt.NDArray[np.float16]:
    """Map the activations written before."""
    mapped: npt.NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped
