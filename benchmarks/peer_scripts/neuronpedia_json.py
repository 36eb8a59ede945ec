"""SAEDashboard's Neuronpedia runner over all features: `python neuronpedia_json.py FEATURES_AT_A_TIME`.

Run in the peers' environment, inside a directory that holds `gpt2`, `sae` and `tokens.npy`; it needs nothing
else of this repository. The tokens are laid where the runner looks for those of an earlier run of its own, so
that it draws none. Prints the seconds after its imports and the non-zeros that it counted as JSON, last.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sae_dashboard.neuronpedia.neuronpedia_runner import NeuronpediaRunner
from sae_dashboard.neuronpedia.neuronpedia_runner_config import NeuronpediaRunnerConfig

OUTPUT = Path("neuronpedia")


def main(features_at_a_time: int) -> None:
    """Run it, and count what it wrote."""
    tokens = torch.from_numpy(np.load("tokens.npy"))
    start = time.perf_counter()
    config = NeuronpediaRunnerConfig(
        sae_set="set",
        sae_path="sae",
        from_local_sae=True,
        outputs_dir=str(OUTPUT),
        huggingface_dataset_path="dataset",
        n_prompts_total=len(tokens),
        n_tokens_in_prompt=tokens.shape[1],
        n_prompts_in_forward_pass=64,
        n_features_at_a_time=features_at_a_time,
        shuffle_tokens=False,
        sae_dtype="float32",
        model_dtype="float32",
        prepend_bos=False,
    )
    runner = NeuronpediaRunner(config)
    torch.save(tokens, Path(runner.cfg.outputs_dir) / f"tokens_{len(tokens)}.pt")
    runner.run()
    seconds = time.perf_counter() - start
    written = sorted(Path(runner.cfg.outputs_dir).glob("batch-*.json"))
    features = [each for path in written for each in json.loads(path.read_text())["features"]]
    share = sum(float(each.get("frac_nonzero") or 0) for each in features)
    found = {
        "seconds": seconds,
        "n_features": len(features),
        "n_nonzero": round(share * tokens.numel()),
        "output_bytes": sum(path.stat().st_size for path in written),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
