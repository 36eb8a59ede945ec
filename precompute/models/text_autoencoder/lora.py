"""Text autoencoders of two LoRA adapters: one makes the language model write, the other makes it read.

The explainer reads BOS and the activation, as a soft token that a linear map makes of it, and writes
`n_tokens` tokens. The reconstructor is the language model up to the capture site; a linear map of its state
at the last token is the activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from precompute.errors import ModelError
from precompute.models.adapter import merge_adapter
from precompute.models.language_model import load_weights, resolve_model_directory
from precompute.models.sites import SiteMap
from precompute.models.text_autoencoder.checkpoint import Checkpoint
from precompute.models.text_autoencoder.noise import GumbelNoise
from precompute.models.text_autoencoder.protocol import Seeds, Tokens, Vectors, seeds_of

EXPLAINER, RECONSTRUCTOR, MAPS_FILE = "explainer", "reconstructor", "maps.safetensors"
READABLE_SITE = r"blocks.N.hook_resid_post"


@dataclass(frozen=True)
class Maps:
    """The linear maps beside the adapters; float32."""

    soft_token_weight: Tensor
    """[d_model, d_in]: of the centred, scaled activation."""
    soft_token_bias: Tensor
    """[d_model]"""
    readout_weight: Tensor
    """[d_in, d_in]"""
    readout_bias: Tensor
    """[d_in]"""
    mean: Tensor
    """[d_in]: of activations."""
    scale: Tensor
    """[1]: root mean square of their centred components."""

    @staticmethod
    def read(checkpoint: Checkpoint, d_model: int) -> Maps:
        """Raises ModelError for maps that are absent or of another shape."""
        from safetensors.torch import load_file

        path, d_in = checkpoint.file(MAPS_FILE), checkpoint.header.d_in
        tensors = {name.replace(".", "_"): tensor.float() for name, tensor in load_file(path).items()}
        shapes = {
            "soft_token_weight": (d_model, d_in),
            "soft_token_bias": (d_model,),
            "readout_weight": (d_in, d_in),
            "readout_bias": (d_in,),
            "mean": (d_in,),
            "scale": (1,),
        }
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if found != shapes:
            name = next(n for n in sorted({*shapes, *found}) if shapes.get(n) != found.get(n))
            raise ModelError(
                f"{path} with {name} {found.get(name, 'absent')}",
                f"{shapes.get(name, 'nothing')}",
                "save it again",
            )
        return Maps(**tensors)

    def to(self, device: str) -> Maps:
        """The same on a device."""
        return Maps(**{name: tensor.to(device) for name, tensor in vars(self).items()})


@dataclass(frozen=True)
class LoraAutoencoder:
    """A text autoencoder in memory."""

    checkpoint: Checkpoint
    writer: Any
    """The causal language model with the explainer's adapter merged in."""
    trunk: Any
    """The decoder up to the site, with the reconstructor's adapter merged in."""
    maps: Maps
    device: str
    batch_size: int
    """Sequences that go through a model together."""

    @staticmethod
    def load(checkpoint: Checkpoint, device: str = "cpu", batch_size: int = 32) -> LoraAutoencoder:
        """Load both models; raises ModelError for what does not fit together."""
        header = checkpoint.header
        base = resolve_model_directory(checkpoint.model, header.revision)
        dtype = getattr(torch, header.dtype)
        for part in (EXPLAINER, RECONSTRUCTOR):
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                checkpoint.file(f"{part}/{name}")
        writer = merge_adapter(load_weights(base, dtype), str(checkpoint.directory / EXPLAINER))
        read = cut_after(load_weights(base, dtype), header.hook_name)
        trunk = merge_adapter(read, str(checkpoint.directory / RECONSTRUCTOR))
        d_model = int(writer.config.get_text_config().hidden_size)
        if header.d_in != d_model:
            found = f"{checkpoint.directory} for activations of width {header.d_in}"
            raise ModelError(found, f"{d_model}, the model's", "correct `model`")
        return LoraAutoencoder(
            checkpoint, _ready(writer, device), _ready(trunk, device),
            Maps.read(checkpoint, d_model).to(device), device, batch_size,
        )  # fmt: skip

    @property
    def n_tokens(self) -> int:
        """Tokens of an explanation."""
        return self.checkpoint.header.n_tokens

    @property
    def d_in(self) -> int:
        """Width of the activations."""
        return self.checkpoint.header.d_in

    @torch.inference_mode()
    def explain(self, vectors: Vectors, k: int, temperature: float, seed: Seeds, first: int = 0) -> Tokens:
        """See TextAutoencoder."""
        n = len(vectors)
        seeds = seeds_of(seed, n)
        written = np.empty((n * k, self.n_tokens), dtype=np.int32)
        begun = self._begin(torch.from_numpy(np.array(vectors, dtype=np.float32)))
        for chosen in _padded(n * k, self.batch_size):
            rows, samples = chosen // k, first + chosen % k
            noise = GumbelNoise(seeds[rows], samples, self.device)
            tokens = self._write(begun[torch.from_numpy(rows).to(self.device)], temperature, noise)
            written[chosen] = tokens.cpu().numpy()
        return written.reshape(n, k, self.n_tokens)

    @torch.inference_mode()
    def reconstruct(self, token_ids: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """See TextAutoencoder."""
        flat = np.ascontiguousarray(token_ids, dtype=np.int64).reshape(-1, token_ids.shape[-1])
        found = np.empty((len(flat), self.d_in), dtype=np.float32)
        for chosen in _padded(len(flat), self.batch_size):
            ids = torch.from_numpy(flat[chosen]).to(self.device)
            read = torch.cat([torch.full_like(ids[:, :1], self._bos), ids], dim=1)
            state = self.trunk(input_ids=read, use_cache=False).last_hidden_state[:, -1].float()
            vector = nn.functional.linear(state, self.maps.readout_weight, self.maps.readout_bias)
            found[chosen] = vector.cpu().numpy()
        return found.reshape(*token_ids.shape[:-1], self.d_in)

    @property
    def _bos(self) -> int:
        found = self.writer.config.get_text_config().bos_token_id
        return int(found[0] if isinstance(found, list) else found or 0)

    def _begin(self, vectors: Tensor) -> Tensor:
        """The first two input vectors of each row [n, 2, d_model]: BOS and the soft token."""
        embedding, maps = self.writer.get_input_embeddings(), self.maps
        normal = (vectors.to(self.device) - maps.mean) / maps.scale
        soft = nn.functional.linear(normal, maps.soft_token_weight, maps.soft_token_bias)
        bos = embedding(torch.full((len(vectors), 1), self._bos, device=self.device))
        return torch.cat([bos, soft[:, None].to(bos.dtype)], dim=1)

    def _write(self, inputs: Tensor, temperature: float, noise: GumbelNoise) -> Tensor:
        """The tokens of each sequence [n, n_tokens]: the largest of scores and noise (Gumbel-max)."""
        embedding, cache, written = self.writer.get_input_embeddings(), None, []
        for step in range(self.n_tokens):
            output = self.writer(
                inputs_embeds=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache, scores = output.past_key_values, output.logits[:, -1].float()
            if temperature > 0:
                scores = scores / temperature + noise.at(step, scores.shape[1])
            written.append(scores.argmax(dim=1, keepdim=True))
            inputs = embedding(written[-1])
        return torch.cat(written, dim=1)


def cut_after(model: Any, hook_name: str) -> Any:
    """The decoder up to the site, in whose last hidden state it is; raises ModelError for another site."""
    sites = SiteMap.of(model)
    parts = hook_name.split(".")
    if len(parts) != 3 or parts[0] != "blocks" or parts[2] != "hook_resid_post" or not parts[1].isdecimal():
        raise ModelError(f"a text autoencoder at {hook_name}", READABLE_SITE, "train it at such a site")
    sites.site(hook_name)
    sites.parent.layers = sites.layers[: int(parts[1]) + 1]
    for name, child in sites.parent.named_children():
        if child is sites.final_norm_module:
            setattr(sites.parent, name, nn.Identity())
    return sites.decoder


def _ready(model: Any, device: str) -> Any:
    return model.eval().requires_grad_(False).to(device)


def _padded(n: int, batch_size: int) -> list[npt.NDArray[np.int64]]:
    """0 to n - 1 in batches of one size; the last repeats its end.

    One shape gives one order of additions, so that no sample depends on what it is computed beside.
    """
    return [np.minimum(np.arange(start, start + batch_size), n - 1) for start in range(0, n, batch_size)]
