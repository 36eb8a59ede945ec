"""The demo's tokenizer: a small byte-level BPE, trained on the training texts alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

D_VOCAB = 4096
"""Entries of the vocabulary, special tokens included."""

BOS_TOKEN = "<|endoftext|>"
"""Begins and separates documents; also the end-of-sequence token."""

PAD_TOKEN = "<|pad|>"
"""Fills batches; never seen in training."""

BOS_ID = 0
"""Token id of `BOS_TOKEN`."""


def train_tokenizer(texts: Iterable[str], directory: Path) -> None:
    """Train the BPE and save it as a `PreTrainedTokenizerFast` directory that adds no tokens itself."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=D_VOCAB,
        special_tokens=[BOS_TOKEN, PAD_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapper: Any = PreTrainedTokenizerFast
    wrapper(
        tokenizer_object=tokenizer,
        bos_token=BOS_TOKEN,
        eos_token=BOS_TOKEN,
        pad_token=PAD_TOKEN,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(directory)


def load_tokenizer(directory: Path) -> Any:
    """Load the tokenizer from its directory, with no network."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def encode_texts(directory: Path, texts: list[str]) -> list[npt.NDArray[np.uint16]]:
    """Return the token ids of each text, with no special tokens added and none recognised inside."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [np.asarray(encoding.ids, dtype=np.uint16) for encoding in encodings]
