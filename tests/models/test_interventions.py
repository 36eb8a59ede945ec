"""Interventions against a plain PyTorch hook, on several families and SAEs; what must not change does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from precompute.errors import UsageError
from precompute.models.contributions import contributions, look
from precompute.models.generation import Continuation, _Cached, _Whole, generate
from precompute.models.interventions import Intervention, Steering, intervene
from precompute.models.opened import OpenedModel, Window
from precompute.models.passes import run
from precompute.models.sae.registry import load_sae
from precompute.models.text_features import encode_windows
from tests.models.random_models import D_SAE, D_VOCAB, model_type, save_model, save_sae

LAYER = 1
WINDOW = Window((0, 7, 11, 3, 42, 7, 19, 23), 1)
KINDS = {
    "topk": {"architecture": "topk"},
    "rescaled topk": {"architecture": "topk", "rescale_acts_by_decoder_norm": True},
    "jumprelu": {"architecture": "jumprelu"},
    "standard": {"architecture": "standard"},
    "normalised": {"architecture": "topk", "normalize_activations": "constant_norm_rescale"},
    "layer norm": {"architecture": "jumprelu", "normalize_activations": "layer_norm"},
}
"""SAEs by the ways in which `decode` can differ."""


class _Tokenizer:
    """As much of a tokenizer as generation needs: nothing random has one."""

    eos_token_id = None
    all_special_ids = ()
    added_tokens_decoder: dict = {}  # noqa: RUF012

    def get_vocab(self):
        return {f"w{i}": i for i in range(D_VOCAB)}


def opened(root, family="llama", **sae) -> OpenedModel:
    from precompute.models.encoding import SAEReader

    kind = model_type(save_model(family, root / "lm"), save_sae(root / "sae", **sae))
    return OpenedModel(SAEReader.load(kind, "cpu"), _Tokenizer(), 12, "float32", 0)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def family(request):
    return request.param


@pytest.fixture(scope="module", params=list(KINDS))
def subject(request, family, tmp_path_factory):
    root = tmp_path_factory.mktemp("subject")
    return root, opened(root, family, **KINDS[request.param])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("plain"))


class Reference:
    """The same by hand: a transformers model of float64, a forward hook, and the SAE's formulas."""

    def __init__(self, root, header) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(root / "lm", dtype=torch.float64).eval()
        sae = load_sae(root / "sae")
        self.w = {name: array.double() for name, array in sae.weights.items()}
        self.header = header

    def encode(self, x):
        """Dense activations, and each row's own scale; float64."""
        h, scale, shift = self.header, torch.ones(len(x), 1, dtype=torch.float64), 0.0
        if h.normalize_activations == "constant_norm_rescale":
            scale = x.norm(dim=-1, keepdim=True) / math.sqrt(h.d_in)
            x = x / scale
        elif h.normalize_activations == "layer_norm":
            shift, scale = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
            x = (x - shift) / (scale + 1e-5)
        pre = (x - self.w["b_dec"]) @ self.w["W_enc"] + self.w["b_enc"]
        if h.architecture == "jumprelu":
            return pre.relu() * (pre > self.w["threshold"]), scale
        if h.architecture == "standard":
            return pre.relu(), scale
        if h.rescale_acts_by_decoder_norm:
            pre = pre * self.w["W_dec"].norm(dim=-1)
        kept = torch.zeros_like(pre)
        top = pre.topk(h.k, dim=-1)
        kept.scatter_(-1, top.indices, top.values.relu())
        return kept, scale

    def direction(self, feature):
        row = self.w["W_dec"][feature]
        return row / row.norm() if self.header.rescale_acts_by_decoder_norm else row

    def probabilities(self, window, change=None):
        """Of every next token at every position, after `change(acts [n, d_sae])` gives a' at the rows."""

        def hook(_module, _args, output):
            x = (output[0] if isinstance(output, tuple) else output)[0].clone()
            acts, scale = self.encode(x[window.n_special :])
            for feature, value in change(acts).items():
                step = (value - acts[:, feature])[:, None] * self.direction(feature) * scale
                x[window.n_special :] += step
            return (x[None], *output[1:]) if isinstance(output, tuple) else x[None]

        stack = self.model.transformer.h if hasattr(self.model, "transformer") else self.model.model.layers
        handle = stack[LAYER].register_forward_hook(hook) if change else None
        try:
            with torch.no_grad():
                logits = self.model(torch.tensor([window.token_ids])).logits[0]
        finally:
            if handle:
                handle.remove()
        return logits.softmax(-1)


def firing(model, n=2) -> tuple[int, ...]:
    """Features that fire most often on the window."""
    found = encode_windows(model, [WINDOW])
    counts = np.bincount(found.features, minlength=D_SAE)
    return tuple(np.argsort(-counts, kind="stable")[:n].tolist())


CHANGES = {
    "zero": (0.0, lambda acts, f: torch.zeros_like(acts[:, f])),
    "set": (3.5, lambda acts, f: torch.full_like(acts[:, f], 3.5)),
    "add": (-1.25, lambda acts, f: acts[:, f] - 1.25),
}


@pytest.mark.parametrize("mode", list(CHANGES))
def test_equals_a_forward_hook_written_by_hand(subject, mode):
    root, model = subject
    reference = Reference(root, model.reader.sae.header)
    features, (value, rule) = firing(model), CHANGES[mode]
    position = 5
    found = intervene(model, WINDOW, Intervention(features, mode, value), position)
    before = reference.probabilities(WINDOW)
    after = reference.probabilities(WINDOW, lambda acts: {f: rule(acts, f) for f in features})
    np.testing.assert_allclose(found.before, before[position], rtol=2e-4, atol=1e-7)
    np.testing.assert_allclose(found.after, after[position], rtol=2e-4, atol=1e-7)
    assert np.abs(found.after - found.before).max() > 1e-3
    kl = (before * (before.log() - after.log())).sum(-1)
    assert found.kl == pytest.approx(float(kl[position]), rel=1e-3, abs=1e-6)
    assert found.mean_kl == pytest.approx(float(kl[1:].mean()), rel=1e-3, abs=1e-6)
    own = [-float(after[p - 1, WINDOW.token_ids[p]].log()) for p in WINDOW.rows]
    assert found.loss_after == pytest.approx(np.mean(own), rel=1e-4)


def test_chosen_positions_alone_are_changed(subject):
    root, model = subject
    reference = Reference(root, model.reader.sae.header)
    feature = firing(model)[0]
    found = intervene(model, WINDOW, Intervention((feature,), "set", 4.0, positions=(3,)), 6)

    def change(acts):
        wanted = acts[:, feature].clone()
        wanted[3 - WINDOW.n_special] = 4.0
        return {feature: wanted}

    after = reference.probabilities(WINDOW, change)
    np.testing.assert_allclose(found.after, after[6], rtol=2e-4, atol=1e-7)
    assert set(found.changes.position.tolist()) == {3}


def test_adding_nothing_changes_no_bit(subject):
    _, model = subject
    ids = list(WINDOW.token_ids)
    plain_pass = run(model, ids)
    nothing = run(model, ids, Steering(model, Intervention(firing(model), "add", 0.0), WINDOW))
    assert torch.equal(plain_pass.logits, nothing.logits)
    assert torch.equal(nothing.x, nothing.changed)
    effect = intervene(model, WINDOW, Intervention((0,), "add", 0.0), 2)
    assert (effect.kl, effect.mean_kl, len(effect.changes.feature)) == (0, 0, 0)
    assert effect.loss_before == effect.loss_after


def test_zeroing_what_is_silent_changes_no_bit(plain):
    fires = set(encode_windows(plain, [WINDOW]).features.tolist())
    silent = next(f for f in range(D_SAE) if f not in fires)
    found = intervene(plain, WINDOW, Intervention((silent,), "zero"), 4)
    np.testing.assert_array_equal(found.before, found.after)


def test_setting_a_feature_to_its_own_activation_changes_nothing(subject):
    _, model = subject
    encoded = encode_windows(model, [WINDOW])
    for position in (1, 4):
        for feature, act in zip(*encoded.row(0, position), strict=True):
            chosen = Intervention((int(feature),), "set", float(act), positions=(position,))
            found = intervene(model, WINDOW, chosen, position)
            np.testing.assert_allclose(found.after, found.before, rtol=1e-5)


def test_changes_are_those_of_encoding_again(subject):
    _, model = subject
    features = firing(model)
    found = intervene(model, WINDOW, Intervention(features, "add", 2.0), 4)
    steered = run(model, list(WINDOW.token_ids), Steering(model, Intervention(features, "add", 2.0), WINDOW))
    before = model.reader.sae.encode_dense(steered.x).numpy()
    after = model.reader.sae.encode_dense(steered.changed).numpy()
    dense = np.zeros_like(before)
    dense[found.changes.position, found.changes.feature] = found.changes.after - found.changes.before
    expected = (after - before) * (np.arange(len(before)) >= WINDOW.n_special)[:, None]
    np.testing.assert_allclose(dense, expected, rtol=1e-4, atol=1e-5)


def test_contributions_are_the_direct_path(subject):
    """Against the output layer and the final norm of the row itself, moved along each direction."""
    root, model = subject
    reference = Reference(root, model.reader.sae.header)
    inner = reference.model.transformer if hasattr(reference.model, "transformer") else reference.model.model
    norm = inner.ln_f if hasattr(inner, "ln_f") else inner.norm
    seen, at_norm, at_site = look(model, WINDOW, 4), {}, {}
    stack = inner.h if hasattr(inner, "h") else inner.layers
    handles = [
        norm.register_forward_pre_hook(lambda _m, args: at_norm.update(x=args[0][0, 4])),
        stack[LAYER].register_forward_hook(
            lambda _m, _a, out: at_site.update(x=(out[0] if isinstance(out, tuple) else out)[0, 4])
        ),
    ]
    with torch.no_grad():
        reference.model(torch.tensor([WINDOW.token_ids]))
        for handle in handles:
            handle.remove()
        acts, scale = reference.encode(at_site["x"][None])
        x = at_norm["x"]
        centred = x - x.mean() if hasattr(inner, "ln_f") else x
        eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", 0))
        sigma = (centred.square().mean() + eps).sqrt()
        found = contributions(model, seen, 17)
        for feature, act, contribution in zip(seen.features, seen.acts, found, strict=True):
            d = reference.direction(feature)
            d = d - d.mean() if hasattr(inner, "ln_f") else d
            effect = (d * norm.weight / sigma) @ reference.model.lm_head.weight[17]
            expected = float(acts[0, feature] * scale[0, 0] * effect)
            assert act == pytest.approx(float(acts[0, feature]), rel=1e-4)
            assert contribution == pytest.approx(expected, rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(seen.probabilities, reference.probabilities(WINDOW)[4], rtol=1e-4, atol=1e-8)


def test_windows_do_not_depend_on_their_batch(subject):
    _, model = subject
    others = [Window((0, 5), 1), Window((0, *range(3, 14)), 1), WINDOW]
    together = encode_windows(model, others)
    alone = encode_windows(model, [WINDOW])
    for position in WINDOW.rows:
        features, acts = together.row(2, position)
        own_features, own_acts = alone.row(0, position)
        np.testing.assert_array_equal(features, own_features)
        np.testing.assert_allclose(acts, own_acts, rtol=1e-4, atol=1e-5)


# Generation.


def greedy_by_hand(root, model, chosen, n):
    """Greedy tokens by reading everything anew at each step, with a hook written by hand."""
    reference = Reference(root, model.reader.sae.header)
    ids = list(WINDOW.token_ids)
    for _ in range(n):
        window = Window(tuple(ids), WINDOW.n_special)

        def change(acts):
            return {f: CHANGES[chosen.mode][1](acts, f) for f in chosen.features}

        ids.append(int(reference.probabilities(window, change if chosen else None)[-1].argmax()))
    return tuple(ids[WINDOW.n_tokens :])


def test_greedy_tokens_with_and_without_the_intervention(subject):
    root, model = subject
    chosen = Intervention(firing(model), "set", 3.5)
    assert model.keeps_cache
    assert generate(model, WINDOW, 6).token_ids == greedy_by_hand(root, model, None, 6)
    assert generate(model, WINDOW, 6, chosen).token_ids == greedy_by_hand(root, model, chosen, 6)


def test_a_cache_changes_no_logit(subject):
    _, model = subject
    chosen = Intervention(firing(model), "add", 1.5)
    whole = _Whole(model, Steering(model, chosen, WINDOW))
    cached = _Cached(model, Steering(model, chosen, WINDOW))
    ids = list(WINDOW.token_ids)
    for token in (4, 9, 33, 2):
        torch.testing.assert_close(cached(ids), whole(ids), rtol=1e-4, atol=1e-4)
        ids.append(token)


def test_one_seed_draws_alike(plain):
    one = generate(plain, WINDOW, 12, temperature=1.0, seed=5)
    assert one == generate(plain, WINDOW, 12, temperature=1.0, seed=5)
    assert one == generate(plain, WINDOW, 12, Intervention((0,), "add", 0.0), 1.0, seed=5)
    assert one != generate(plain, WINDOW, 12, temperature=1.0, seed=6)
    assert len(one.token_ids) == len(one.probabilities) == 12
    assert all(0 < p <= 1 for p in one.probabilities)


def test_draws_follow_the_probabilities(plain):
    """Many seeds: the share of each first token is its probability at that temperature."""
    seen = look(plain, WINDOW, WINDOW.n_tokens - 1)
    expected = seen.probabilities ** (1 / 0.7)
    expected /= expected.sum()
    drawn = [generate(plain, WINDOW, 1, temperature=0.7, seed=s).token_ids[0] for s in range(600)]
    shares = np.bincount(drawn, minlength=D_VOCAB) / 600
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / 600)


def test_it_stops_at_the_end_of_the_text_and_at_the_longest(plain, monkeypatch):
    first = generate(plain, WINDOW, 3).token_ids
    monkeypatch.setattr(plain.tokenizer, "eos_token_id", first[1], raising=False)
    stopped = generate(plain, WINDOW, 3)
    n = first.index(first[1])
    assert stopped == Continuation(first[:n], stopped.probabilities, ended=True)
    monkeypatch.setattr(plain.tokenizer, "eos_token_id", None)
    long = generate(plain, WINDOW, 500)
    assert len(long.token_ids) == plain.longest - WINDOW.n_tokens
    assert long.ended


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (Intervention((D_SAE,), "zero"), f"feature {D_SAE}"),
        (Intervention((), "zero"), "no feature"),
        (Intervention((1, 1), "zero"), "twice"),
        (Intervention((1,), "double"), "'double'"),
        (Intervention((1,), "set", float("nan")), "nan"),
        (Intervention((1,), "zero", positions=(0,)), "position 0"),
        (Intervention((1,), "zero", positions=(8,)), "position 8"),
    ],
)
def test_odd_interventions_are_refused(plain, chosen, words):
    with pytest.raises(UsageError, match=words):
        intervene(plain, WINDOW, chosen, 3)


@pytest.mark.parametrize("window", [Window((0,), 1), Window((0, 99), 1), Window((0, *[5] * 70), 1)])
def test_windows_that_cannot_be_read_are_refused(plain, window):
    with pytest.raises(UsageError):
        intervene(plain, window, Intervention((1,), "zero"), 1)
