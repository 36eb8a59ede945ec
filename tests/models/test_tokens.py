"""The text of each token, for byte-level and for SentencePiece-like tokenizers."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from precompute.models.tokens import special_token_ids, vocabulary


def byte_level(pieces):
    vocab = {"<s>": 0} | {piece: i + 1 for i, piece in enumerate(pieces)}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>")


def pieces_of(texts):
    """Bytes in the byte-level alphabet, worked out by tokenizers itself."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return ["".join(piece for piece, _ in split.pre_tokenize_str(text)) for text in texts]


def test_byte_level_pieces_are_decoded_exactly():
    texts = [" the", "\n", "\t", "é", "☃", " ", "a b", "Ġ", "日本"]
    assert vocabulary(byte_level(pieces_of(texts)), len(texts) + 1) == ["<s>", *texts]


def test_every_byte_alone():
    pieces = pre_tokenizers.ByteLevel.alphabet()
    decoded = vocabulary(byte_level(pieces), 257)[1:]
    expected = {bytes([b]).decode("utf-8", "backslashreplace") for b in range(256)}
    assert set(decoded) == expected
    assert "\\xff" in expected


def test_part_of_a_character_is_shown_in_bytes():
    (piece,) = pieces_of([" ☃"])
    assert vocabulary(byte_level([piece[:-1], piece]), 3)[1:] == [" \\xe2\\x98", " ☃"]


def test_sentencepiece_like_tokenizer():
    vocab = {"<unk>": 0, "<s>": 1, "▁the": 2, "the": 3, "<0x0A>": 4, "<0xE2>": 5, "▁▁": 6}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True, unk_token="<unk>"))
    bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", unk_token="<unk>")
    assert vocabulary(tokenizer, 7) == ["<unk>", "<s>", " the", "the", "\n", "\\xe2", "  "]
    assert special_token_ids(tokenizer) == {0, 1}


def test_logits_beyond_the_tokenizer():
    assert vocabulary(byte_level(["a"]), 4) == ["<s>", "a", "<unused 2>", "<unused 3>"]
