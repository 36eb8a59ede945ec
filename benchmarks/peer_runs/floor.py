"""The least that anyone must do: `python -m benchmarks.peer_runs.floor DIR`, after material was made.

The bare forward pass of the same tokens, up to the SAE's layer or through all of them, and the product with
the encoder, its bias and ReLU. Nothing is kept. Prints its seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_runs.material import MODEL, SAE, TOKENS, shape_of
from precompute.command_line import CommandParser, run_command


class _Reached(Exception):  # noqa: N818 - ends a forward pass, and is no error
    pass


def run(root: Path, batch: int, all_layers: bool) -> float:
    """Seconds of all tokens, the files read before."""
    import torch
    from safetensors.torch import load_file
    from transformers import GPT2Model

    shape, tokens = shape_of(root), torch.from_numpy(np.load(root / TOKENS))
    weights = load_file(root / SAE / "sae_weights.safetensors")
    model = GPT2Model.from_pretrained(root / MODEL).eval()
    out = torch.empty(batch * shape.n_ctx, shape.d_sae)

    def encode(_: Any, __: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        rows = hidden.reshape(-1, shape.d_model)
        torch.addmm(weights["b_enc"], rows, weights["W_enc"], out=out[: len(rows)]).relu_()
        if not all_layers:
            raise _Reached

    model.h[shape.layer].register_forward_hook(encode)
    start = time.perf_counter()
    with torch.inference_mode():
        for part in tokens.split(batch):
            with suppress(_Reached):
                model(input_ids=part, use_cache=False)
    return time.perf_counter() - start


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.peer_runs.floor", description=__doc__)
    parser.add_argument("dir", type=Path, help="where the material lies")
    parser.add_argument("--batch", type=int, default=16, help="examples of a batch")
    parser.add_argument("--all-layers", action="store_true", help="go on behind the SAE's layer")
    chosen = parser.parse_args(argv)
    print(json.dumps({"seconds": run(chosen.dir, chosen.batch, chosen.all_layers)}))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
