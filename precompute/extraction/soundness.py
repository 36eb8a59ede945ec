"""Whether a model can be read token by token in padded rows: tried, since some models keep other states."""

from __future__ import annotations

import torch

from precompute.errors import LightwellError, ModelError
from precompute.extraction.decoding import generate_batch
from precompute.extraction.generation import Capture, Generation, Request
from precompute.extraction.positions import parse_rules
from precompute.extraction.reading import TokenText, read_vectors
from precompute.models.language_model import LanguageModel

TOLERANCES = {torch.float32: 1e-3}
HALF = 0.1
"""Relative; half types repeat themselves less well in another order."""


def check_rows(model: LanguageModel) -> None:
    """Raise ModelError where batched generation would not give this model's own states."""
    capture = Capture((f"blocks.{model.sites.n_layers - 1}.hook_resid_post",), parse_rules(["response[:]"]))
    ids = model.sites.probe_tokens()[0].tolist()
    requests = [Request(0, tuple(ids)), Request(1, tuple(ids[:2]))]
    try:
        found = list(generate_batch(model, requests, Generation(3, capture=capture), 2))
    except LightwellError:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError):
        # Models of other kinds keep other states, or none, and fail in as many ways.
        raise _unsound(model) from None
    texts = [TokenText(response.prompt, response.token_ids) for response in found]
    for response, expected in zip(found, read_vectors(model, texts, capture, 1), strict=True):
        for site, vectors in expected.items():
            error = torch.from_numpy(response.vectors[site] - vectors).norm()
            tolerance = TOLERANCES.get(model.model.dtype, HALF)
            if not bool(error <= tolerance * torch.from_numpy(vectors).norm()):
                raise _unsound(model)


def _unsound(model: LanguageModel) -> ModelError:
    return ModelError(
        f"a {type(model.model).__name__}, which cannot be read token by token in padded rows",
        "a decoder with keys and values",
        "choose another model",
    )
