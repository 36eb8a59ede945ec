"""Checks before anything is written: bad input leaves the data directory as it was."""

from __future__ import annotations

import os
from pathlib import Path

from precompute.artifacts.free_space import check_space, existing
from precompute.config import ModelType
from precompute.corpus.hub_dataset import check_package
from precompute.corpus.location import corpus_file
from precompute.corpus.readers import read_corpus
from precompute.corpus.subsets import held_out_mask
from precompute.errors import ModelError, UsageError
from precompute.models.preflight import check_model_type, is_known_before_loading, site_of
from precompute.models.sae.header import SAEHeader
from precompute.models.sae.registry import read_header
from precompute.pipeline.plan import Plan
from precompute.pipeline.subjects import Subject

TABLE_BYTES_PER_FEATURE = 20_000
"""All tables together, seen on the built-in types."""


def check_model_and_sae(model_type: ModelType) -> SAEHeader:
    """Check that weights are whole, the capture site exists, and the SAE reads what it holds."""
    checked = check_model_type(model_type)
    directories = [checked.model_directory, *filter(None, [checked.adapter_directory])]
    weights = [path for directory in directories for path in sorted(directory.glob("*.safetensors"))]
    for path in [*weights, *(path for path in checked.sae_files if path.suffix == ".safetensors")]:
        check_whole(path)
    return checked.header


def check_site(subject: Subject, model_type: ModelType) -> None:
    """Check a capture site that only some models have by loading the model, where activations are to come.

    Raises ModelError or SAEFormatError for a site that the model lacks, or of another width.
    """
    hook_name = site_of(model_type, read_header(model_type.sae))
    if is_known_before_loading(hook_name) or Plan(subject).status("activations").state == "fresh":
        return
    from precompute.models.encoding import SAEReader

    SAEReader.load(model_type, "cpu")


def check_features(subject: Subject, d_sae: int) -> None:
    """Check that features that are listed alone are of the SAE; a range may end beyond it."""
    if subject.settings.features and subject.settings.features[0] >= d_sae:
        first, stop = subject.settings.features
        raise UsageError(f"features {first}:{stop}", f"some of 0:{d_sae}", "correct --features")


def check_whole(path: Path) -> None:
    """Check that a safetensors file has a header and all the bytes that it speaks of."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} that is no whole safetensors file ({error})", "whole weights", "copy or save them again"
        ) from None


def check_corpus(model_type: ModelType, data_dir: Path) -> None:
    """Check that the user's corpus can be read, has the columns that are named, and holds a text.

    Of a dataset that has not been fetched yet, only whether that can be done here.
    """
    corpus = model_type.corpus
    path = corpus_file(corpus, data_dir)
    if corpus.dataset is not None and not path.is_file():
        check_package()
    elif not corpus.builtin:
        table = read_corpus(path, corpus.text_column, corpus.tokens_column, corpus.token_sets)
        held_out_mask(table, corpus.held_out)


def check_writable(directory: Path) -> None:
    """Check that the directory, or the nearest that exists above it, may be written."""
    place = existing(directory)
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK) or _is_read_only(place):
        raise UsageError(
            f"{place} that cannot be written", "a directory that can", "choose another with --data-dir"
        )


def _is_read_only(place: Path) -> bool:
    """Whether the file system is mounted read-only, which access rights do not tell the superuser."""
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def check_subject_space(subject: Subject, n_bytes: int, remedy: str) -> None:
    """Check that what is about to be written fits, before anything is."""
    check_space(
        subject.directory, n_bytes, subject.model_type.name, remedy, replaced=_size(subject.directory)
    )


def _size(directory: Path) -> int:
    """Bytes that the subject's present artifacts take, which new ones replace."""
    return sum(
        path.stat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink()
    )
