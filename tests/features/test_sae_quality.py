"""Step sae_quality against a float64 model, one example at a time, with the SAE spliced in by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from precompute.errors import NotApplicableError
from precompute.features import sae_quality
from precompute.models.sae.registry import load_sae
from tests.builders import step_context
from tests.models.random_models import model_type, random_examples, save_model, save_sae, write_windows

EXAMPLES = random_examples(24)


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    root = tmp_path_factory.mktemp("subject")
    write_windows(root / "held_out_windows.parquet", EXAMPLES)
    (root / "corpus.json").write_text(json.dumps({"held_out": True}))
    return root, model_type(save_model("llama", root / "lm"), save_sae(root / "sae"))


def compute(subject, out, settings=None, chosen=None, **operations):
    root, kind = subject
    files = {name: root / name for name in ("held_out_windows.parquet", "corpus.json")}
    context = step_context(out, files, settings, model_type=chosen or kind, **operations)
    sae_quality.run(context)
    return json.loads((out / "sae_quality.json").read_text())


class Oracle:
    """The model in float64, on one example after another, with a hand-made splice at layer 1's output."""

    def __init__(self, root):
        self.model = AutoModelForCausalLM.from_pretrained(root / "lm", dtype=torch.float64).eval()
        self.weights = {k: v.double().numpy() for k, v in load_sae(root / "sae").weights.items()}

    def x(self, example):
        with torch.no_grad():
            return (
                self.model(torch.tensor([example]), output_hidden_states=True).hidden_states[2][0, 1:].numpy()
            )

    def encode(self, x):
        pre = (x - self.weights["b_dec"]) @ self.weights["W_enc"] + self.weights["b_enc"]
        acts = np.zeros_like(pre)
        for row, line in enumerate(pre):
            top = np.argsort(-line)[:4]
            acts[row, top] = np.maximum(line[top], 0)
        return acts

    def decode(self, acts):
        return acts @ self.weights["W_dec"] + self.weights["b_dec"]

    def losses(self, example, values=None):
        """Loss of each token after the first; `values` stand in for every row but BOS."""

        def hook(_module, _args, out):
            if values is None:
                return out
            return torch.cat([out[:, :1], torch.from_numpy(values)[None]], dim=1)

        handle = self.model.model.layers[1].register_forward_hook(hook)
        with torch.no_grad():
            log_p = self.model(torch.tensor([example])).logits[0].log_softmax(-1).numpy()
        handle.remove()
        return [-log_p[i, token] for i, token in enumerate(example[1:])]


def test_equals_the_slow_reference(subject, tmp_path):
    found = compute(subject, tmp_path, batch_size=7)
    oracle = Oracle(subject[0])
    examples = [e for e in EXAMPLES if len(e) > 1]
    xs = [oracle.x(e) for e in examples]
    acts = [oracle.encode(x) for x in xs]
    hats = [oracle.decode(a) for a in acts]
    x, x_hat, fired = np.concatenate(xs), np.concatenate(hats), np.concatenate(acts) > 0
    mean = x.mean(0)

    def ce(values):
        return np.mean(np.concatenate([oracle.losses(e, v) for e, v in zip(examples, values, strict=True)]))

    model, sae = ce([None] * len(xs)), ce(hats)
    zero, ablated = ce([np.zeros_like(v) for v in xs]), ce([np.tile(mean, (len(v), 1)) for v in xs])
    cosine = (x * x_hat).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(x_hat, axis=1)
    expected = {
        "l0": fired.sum(1).mean(),
        "fvu": ((x - x_hat) ** 2).sum() / ((x - mean) ** 2).sum(),
        "cosine": cosine.mean(),
        "ce_model": model,
        "ce_sae": sae,
        "ce_zero": zero,
        "ce_mean": ablated,
        "recovered": (zero - sae) / (zero - model),
        "delta_ce": sae - model,
        "dead_share": (fired.sum(0) == 0).mean(),
        "dense_share": (fired.mean(0) > 0.1).mean(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert (found["n_rows"], found["n_predictions"], found["n_examples"]) == (len(x), len(x), len(examples))
    assert found["held_out"] is True


def test_batch_size_changes_nothing_but_rounding(subject, tmp_path):
    one, many = (compute(subject, tmp_path / str(n), batch_size=n) for n in (1, 64))
    assert one == pytest.approx(many, rel=1e-4)


@pytest.mark.parametrize("max_rows", [1, 30, 10_000])
def test_rows_are_limited(subject, tmp_path, max_rows):
    found = compute(subject, tmp_path, {"quality_max_rows": max_rows})
    lengths = [len(e) - 1 for e in EXAMPLES if len(e) > 1]
    n_kept = max(1, int((np.cumsum(lengths) <= max_rows).sum()))
    assert (found["n_examples"], found["n_rows"]) == (n_kept, sum(lengths[:n_kept]))


@pytest.mark.parametrize(
    "site", ["hook_embed", "blocks.1.hook_resid_pre", "blocks.1.hook_mlp_out", "ln_final.hook_normalized"]
)
def test_other_sites(subject, tmp_path, site):
    chosen = subject[1].model_copy(update={"hook_name": site})
    found = compute(subject, tmp_path, chosen=chosen)
    assert found["ce_model"] == pytest.approx(compute(subject, tmp_path / "b")["ce_model"], rel=1e-5)
    assert found["ce_zero"] != found["ce_model"]


def test_nothing_to_measure_on(subject, tmp_path):
    root, kind = subject
    files = {
        "held_out_windows.parquet": write_windows(tmp_path / "w.parquet", [[0]]),
        "corpus.json": root / "corpus.json",
    }
    with pytest.raises(NotApplicableError, match="no text"):
        sae_quality.run(step_context(tmp_path / "out", files, model_type=kind))
