"""What the model's process answers about trait vectors; runs in that process alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from precompute.extraction.capture import watched
from precompute.extraction.decoding import generate_batch
from precompute.extraction.generation import Generation, Request, Steering
from precompute.extraction.prompts import prompt_ids
from precompute.extraction.sampling import Sampling
from precompute.extraction.text_model import TextModel
from precompute.models.opened import OpenedModel


def project(model: OpenedModel, asked: Mapping[str, Any]) -> Any:
    """The projection of each response token onto a direction at a site, for pairs of prompt and response."""
    language_model = model.reader.language_model
    direction = np.asarray(asked["direction"], dtype=np.float32)
    found = []
    with watched(language_model, [asked["site"]]) as seen:
        for prompt, response in asked["texts"]:
            ids = torch.tensor([[*prompt, *response]], device=language_model.device)
            with torch.inference_mode():
                language_model.run_stack(ids, torch.ones_like(ids))
            states = seen[asked["site"]][0, len(prompt) :].float().cpu().numpy()
            tokens = [model.str_tokens[token] for token in response]
            found.append({"str_tokens": tokens, "projections": (states @ direction).tolist()})
    return found


def steer_along(model: OpenedModel, asked: Mapping[str, Any]) -> Any:
    """What is written on from a text as it is, and with a vector added at a site to every token; with one
    seed both draw alike, so what differs is the vector's."""
    language_model = model.reader.language_model
    text_model = TextModel(language_model, model.tokenizer)
    request = Request(0, prompt_ids(text_model, asked["text"]))
    vector = np.asarray(asked["vector"], dtype=np.float32)
    written = {}
    for name, steering in (("plain", None), ("steered", Steering(asked["site"], vector))):
        chosen = Generation(
            asked["n_tokens"],
            Sampling(asked["temperature"], 1.0, asked["seed"]),
            text_model.end_tokens,
            steering=steering,
        )
        response = next(iter(generate_batch(language_model, [request], chosen, 1)))
        written[name] = [model.str_tokens[token] for token in response.token_ids]
    return written
