"""SAEDashboard's page of all features: `python vis_html.py FEATURES_AT_A_TIME`.

Run in the peers' environment, inside a directory that holds `gpt2`, `sae` and `tokens.npy`; it needs nothing
else of this repository. Prints the seconds after its imports and the size of the page as JSON, last.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sae_dashboard.data_writing_fns import save_feature_centric_vis
from sae_dashboard.sae_vis_data import SaeVisConfig
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer

PAGE = Path("features.html")


def main(features_at_a_time: int) -> None:
    """Compute and write it."""
    tokens = torch.from_numpy(np.load("tokens.npy"))
    start = time.perf_counter()
    model = HookedSAETransformer.from_pretrained("gpt2")
    sae = SAE.load_from_disk("sae")
    config = SaeVisConfig(
        hook_point=sae.cfg.metadata.hook_name,
        features=list(range(sae.cfg.d_sae)),
        minibatch_size_features=features_at_a_time,
        minibatch_size_tokens=64,
        cache_dir=Path("cached_activations"),
    )
    data = SaeVisRunner(config).run(encoder=sae, model=model, tokens=tokens)
    save_feature_centric_vis(sae_vis_data=data, filename=PAGE)
    print(json.dumps({"seconds": time.perf_counter() - start, "output_bytes": PAGE.stat().st_size}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
