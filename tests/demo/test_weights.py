"""The weights in the repository: they load with the package's own readers, fit together and are small."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from precompute import demo
from precompute.config import load_config
from precompute.corpus.builtin import PACKAGES
from precompute.demo.activations import HOOK_NAME, site_activations
from precompute.demo.heldout import HELD_OUT_PACKAGES
from precompute.demo.quality import split_model
from precompute.demo.token_rows import IGNORED, chunk_documents
from precompute.demo.tokenizer import BOS_ID, D_VOCAB, encode_texts, load_tokenizer
from precompute.models.sae.registry import load_sae, read_header

DIRECTORY = Path(demo.__file__).parent

TEXT = """Return the sum of the array elements over the given axis.

Parameters
----------
a : array_like
    Elements to sum.
axis : None or int or tuple of ints, optional
    Axis or axes along which a sum is performed.

Returns
-------
out : ndarray
    An array with the same shape as `a`, with the specified axis removed.
"""


def test_everything_together_is_small() -> None:
    names = ("language_model", "sae_full", "sae_ultra")
    files = [path for name in names for path in (DIRECTORY / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 30e6


@pytest.mark.parametrize(("name", "d_sae"), [("full", 2048), ("ultra", 24576)])
def test_headers_name_the_site(name: str, d_sae: int) -> None:
    header = read_header(DIRECTORY / f"sae_{name}")
    assert (header.d_in, header.d_sae, header.hook_name) == (256, d_sae, HOOK_NAME)


def test_the_tokenizer_adds_nothing_by_itself() -> None:
    tokenizer = load_tokenizer(DIRECTORY / "language_model")
    assert len(tokenizer) == D_VOCAB
    assert BOS_ID not in tokenizer(TEXT)["input_ids"]
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"]) == TEXT


def test_the_held_out_packages_are_listed() -> None:
    assert set(HELD_OUT_PACKAGES) <= set(PACKAGES)
    for name in ("full", "ultra"):
        assert set(load_config().model_types[name].corpus.held_out["package"]) == set(HELD_OUT_PACKAGES)


@pytest.mark.parametrize("name", ["full", "ultra"])
def test_the_model_reads_documentation_and_the_saes_explain_it(name: str) -> None:
    sae, model = load_sae(DIRECTORY / f"sae_{name}"), split_model(DIRECTORY / "language_model")
    rows = torch.from_numpy(chunk_documents(encode_texts(DIRECTORY / "language_model", [TEXT]), 128))
    site = site_activations(model.prefix, rows)
    spliced, silent = site.clone(), site.clone()
    with torch.no_grad():
        used = rows != IGNORED
        used[:, 0] = False
        spliced[used] = sae.decode(sae.encode(site[used]))
    silent[used] = 0.0
    n_targets = int(used.sum())
    found, whole, nothing = (model.losses(each, rows) / n_targets for each in (spliced, site, silent))
    assert whole < 2.5
    assert (nothing - found) / (nothing - whole) > 0.9
