"""delphi's cache of latents: `python delphi_cache.py BATCH`, the step before its explanations.

Run in the peers' environment, inside a directory that holds `gpt2`, `sae` and `tokens.npy`; it needs nothing
else of this repository. The encoder is the SAE's own equation; the output lies in five parts, as delphi's
default is. Prints the seconds after its imports, and the non-zeros of the cache, as JSON, last.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from delphi.latents.cache import LatentCache
from safetensors.torch import load_file
from transformers import AutoModel

OUTPUT, N_SPLITS = Path("latents"), 5


def main(batch: int) -> None:
    """Fill the cache and write it."""
    tokens = torch.from_numpy(np.load("tokens.npy"))
    start = time.perf_counter()
    model = AutoModel.from_pretrained("gpt2")
    weights = load_file("sae/sae_weights.safetensors")
    layer = json.loads(Path("sae/cfg.json").read_text())["metadata"]["hook_name"].split(".")[1]
    hookpoint = f"h.{layer}"

    def encode(x: torch.Tensor) -> torch.Tensor:
        return torch.relu((x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"])

    cache = LatentCache(model, {hookpoint: encode}, batch_size=batch)
    cache.run(tokens.numel(), tokens)
    OUTPUT.mkdir(exist_ok=True)
    cache.save_splits(N_SPLITS, OUTPUT)
    found = {
        "seconds": time.perf_counter() - start,
        "n_nonzero": len(cache.cache.latent_activations[hookpoint]),
        "output_bytes": sum(path.stat().st_size for path in OUTPUT.rglob("*.safetensors")),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
