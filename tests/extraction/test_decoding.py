"""Batched generation gives what one prompt at a time gives: token ids, and what was captured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from precompute.errors import ModelError, UsageError
from precompute.extraction import TextModel, generate_batch_with_activations, get_activations_from_texts
from precompute.extraction.decoding import generate_batch
from precompute.extraction.generation import Capture, Generation, Request, Response, Steering
from precompute.extraction.pipelines import PIPELINES
from precompute.extraction.positions import parse_rules
from precompute.extraction.sampling import Sampling
from precompute.models.language_model import LanguageModel, load_weights
from tests.models.random_models import D_VOCAB, save_model
from tests.tiny import make_language_model, make_texts

RULES = (
    "response[:]",
    "prompt[-1]",
    "response[:5]",
    "response[-1]",
    "prompt[:]",
    "response[-3:]",
    "response[2]",
)
GREEDY, DRAWN = Sampling(), Sampling(temperature=0.7, top_p=0.9, seed=5)
ENDS = frozenset({3, 11, 19})
"""Tokens that end a response of the random models: so responses have many lengths."""
SITES = ("hook_embed", "blocks.0.hook_resid_post", "blocks.2.hook_resid_post")


def loaded(family: str, directory: Path) -> LanguageModel:
    model = load_weights(save_model(family, directory), torch.float32)
    return LanguageModel(model.eval().requires_grad_(False), "cpu")


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma3", "opt"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """With learned and with rotary positions, and with a sliding window."""
    return loaded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    directory = tmp_path_factory.mktemp("tiny")
    make_language_model(directory, make_texts(30))
    return TextModel.load(str(directory), device="cpu")


def requests(n: int = 13) -> list[Request]:
    draw = np.random.default_rng(0)
    return [Request(i, tuple(draw.integers(2, D_VOCAB, draw.integers(1, 20)).tolist())) for i in range(n)]


def generation(sampling: Sampling, sites: tuple[str, ...] = SITES, most: int = 9) -> Generation:
    return Generation(most, sampling, ENDS, Capture(sites, parse_rules(RULES)))


def in_order(found: Any) -> list[Response]:
    return sorted(found, key=lambda response: response.example)


def assert_same(found: list[Response], expected: list[Response]) -> None:
    assert [r.example for r in found] == [r.example for r in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert theirs.near_tie is None
        assert (ours.token_ids, ours.finish_reason) == (theirs.token_ids, theirs.finish_reason)
        for site, vectors in theirs.vectors.items():
            np.testing.assert_allclose(ours.vectors[site], vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_every_batch_size_gives_what_one_at_a_time_gives(model: LanguageModel, sampling: Sampling) -> None:
    chosen, asked = generation(sampling), requests()
    expected = in_order(PIPELINES["serial"](model, asked, chosen, 1, lambda _: None))
    reasons = {response.finish_reason for response in expected}
    assert sampling is GREEDY or reasons == {"stop", "length"}
    assert_same(in_order(PIPELINES["combined"](model, asked, chosen, 1, lambda _: None)), expected)
    for batch_size in (1, 2, 3, 5, 8, 16):
        assert_same(in_order(generate_batch(model, asked, chosen, batch_size)), expected)


def test_greedy_decoding_is_that_of_transformers(model: LanguageModel) -> None:
    for request, ours in zip(
        requests(5), in_order(generate_batch(model, requests(5), generation(GREEDY), 4)), strict=True
    ):
        ids = torch.tensor([request.prompt])
        theirs = model.model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=9, do_sample=False, pad_token_id=0,
            eos_token_id=sorted(ENDS),
        )  # fmt: skip
        written = theirs[0, len(request.prompt) :].tolist()
        assert list(ours.token_ids) == [token for token in written if token not in ENDS]


def test_captured_vectors_are_those_of_plain_hidden_states(model: LanguageModel) -> None:
    sites = tuple(f"blocks.{layer}.hook_resid_post" for layer in range(3))
    for response in generate_batch(model, requests(), generation(DRAWN, sites), 6):
        ids = torch.tensor([[*response.prompt, *response.token_ids]])
        states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
        n, n_response = len(response.prompt), len(response.token_ids)
        for layer in (0, 1):
            whole = states[layer + 1][0].numpy()
            written = whole[n:]
            expected = [
                written.mean(axis=0) if n_response else None,
                whole[n - 1],
                written[:5].mean(axis=0) if n_response else None,
                written[-1] if n_response else None,
                whole[:n].mean(axis=0),
                written[-3:].mean(axis=0) if n_response else None,
                written[2] if n_response > 2 else None,
            ]
            for ours, theirs in zip(response.vectors[sites[layer]], expected, strict=True):
                if theirs is None:
                    assert np.isnan(ours).all()
                else:
                    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
        # Layer 2 is what block 2 gives; the last of `hidden_states` is after the final norm.
        norm = model.sites.final_norm_module
        assert norm is not None
        if n_response and states[3].shape[-1] == len(response.vectors[sites[2]][3]):
            last = norm(torch.from_numpy(response.vectors[sites[2]][3]))
            np.testing.assert_allclose(last.numpy(), states[3][0, -1].numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_side_of_padding_of_the_tokenizer_plays_no_part(tiny: TextModel, side: str) -> None:
    tiny.tokenizer.padding_side = side
    prompts = ["return the value", "x", "open the file, read each line and write it back in order", ""]
    site = "blocks.1.hook_resid_post"
    alone = [generate_batch_with_activations(tiny, [p], [site], max_new_tokens=6)[0] for p in prompts]
    for batch_size in (1, 3, 4):
        found = generate_batch_with_activations(
            tiny, prompts, [site], max_new_tokens=6, batch_size=batch_size
        )
        assert [one.token_ids for one in found] == [one.token_ids for one in alone]
        for ours, theirs in zip(found, alone, strict=True):
            np.testing.assert_allclose(ours.activations[site], theirs.activations[site], rtol=1e-4, atol=1e-5)


def test_vectors_of_texts_are_those_of_one_text_at_a_time(tiny: TextModel) -> None:
    texts = ["return the value", "x", "", "open the file, read each line and write it back in order"]
    site = "blocks.0.hook_resid_post"
    found = get_activations_from_texts(tiny, texts, [site], ["response[:]", "response[-1]"], batch_size=3)[
        site
    ]
    assert np.isnan(found[2]).all()
    for number in (0, 1, 3):
        ids = torch.tensor([[0, *tiny.tokenizer(texts[number])["input_ids"]]])
        states = (
            tiny.language_model.model(input_ids=ids, output_hidden_states=True)
            .hidden_states[1][0, 1:]
            .numpy()
        )
        np.testing.assert_allclose(found[number], [states.mean(axis=0), states[-1]], rtol=1e-4, atol=1e-5)


def test_running_out_of_memory_halves_the_batch_and_loses_nothing(
    tiny: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny.language_model
    expected = in_order(generate_batch(model, requests(7), generation(DRAWN), 7))
    forward, limit = model.model.forward, 2

    def small(input_ids: torch.Tensor, **given: Any) -> Any:
        if len(input_ids) > limit:
            raise RuntimeError("CUDA out of memory. Tried to allocate much")
        return forward(input_ids=input_ids, **given)

    monkeypatch.setattr(model.model, "forward", small)
    halved: list[int] = []
    assert_same(in_order(generate_batch(model, requests(7), generation(DRAWN), 7, halved.append)), expected)
    assert halved == [3, 1]
    limit = 0
    with pytest.raises(ModelError, match="memory does not suffice"):
        list(generate_batch(model, requests(2), generation(DRAWN), 2))


def test_steering_adds_its_vector_and_nothing_else(tiny: TextModel) -> None:
    model, site = tiny.language_model, "blocks.1.hook_resid_post"
    vector = np.random.default_rng(0).normal(size=32).astype(np.float32)
    capture = Capture((site, "blocks.0.hook_resid_post"), parse_rules(["prompt[:]"]))
    plain, steered = (
        next(iter(generate_batch(model, requests(1), Generation(1, capture=capture, steering=steering), 1)))
        for steering in (None, Steering(site, vector))
    )
    np.testing.assert_array_equal(plain.vectors[capture.sites[1]], steered.vectors[capture.sites[1]])
    np.testing.assert_allclose(steered.vectors[site] - plain.vectors[site], vector[None], atol=1e-4)


def test_prompts_that_cannot_be_read_are_named(tiny: TextModel) -> None:
    long = Request(0, tuple([5] * 128))
    with pytest.raises(UsageError, match="a prompt of 128 tokens; expected fewer than 128"):
        list(generate_batch(tiny.language_model, [long], Generation(1), 1))
    with pytest.raises(UsageError, match="a prompt without a token"):
        list(generate_batch(tiny.language_model, [Request(0, ())], Generation(1), 1))
    with pytest.raises(ModelError, match=r"capture site 'blocks.9"):
        generate_batch_with_activations(tiny, ["x"], ["blocks.9.hook_resid_post"])


def test_a_response_ends_at_the_longest_text_of_the_model(tiny: TextModel) -> None:
    request = Request(0, tuple([5] * 125))
    found = next(iter(generate_batch(tiny.language_model, [request], generation(GREEDY, most=50), 1)))
    assert (len(found.token_ids), found.finish_reason) == (3, "length")
