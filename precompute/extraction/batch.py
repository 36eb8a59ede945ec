"""Rows of a batch, each of which is given to the next prompt as soon as its response has ended.

Prompts are read ahead, as many together as there are rows, and wait with their keys and values for a row to
become free; so rows are never idle while there is work. Rows are padded on the left, whatever the
tokenizer's own habit, and each has its own positions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import UsageError
from precompute.extraction.capture import RowMeans, watched
from precompute.extraction.generation import Generation, Request, Response, longest
from precompute.extraction.sampling import choose
from precompute.extraction.settings import FinishReason
from precompute.extraction.slots import SlotCache
from precompute.models.language_model import LanguageModel


class _Text:
    """A prompt, and what has been written after it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.written: list[int] = []
        self.n_tokens = len(request.prompt)
        """Of prompt and response."""
        self.near_tie: int | None = None
        self.reason: FinishReason | None = None
        """None while it goes on; after `length` its last token is read still, for what is captured."""

    def take(self, token: int, is_near_tie: bool, chosen: Generation, most: int) -> None:
        """Write a token that was drawn; a text has at most so many tokens."""
        if is_near_tie and self.near_tie is None:
            self.near_tie = len(self.written)
        if token in chosen.end_tokens:
            self.reason = "stop"
            return
        self.written.append(token)
        self.n_tokens += 1
        if len(self.written) == chosen.max_new_tokens or self.n_tokens == most:
            self.reason = "length"


@dataclass(frozen=True)
class _Ahead:
    """Prompts that were read together, with the first token of each response."""

    cache: SlotCache
    means: RowMeans
    texts: tuple[_Text, ...]
    waiting: deque[int]
    """Those that have no row yet."""


class Batch:
    """Rows that are read together."""

    def __init__(self, model: LanguageModel, chosen: Generation, n_rows: int) -> None:
        self.model, self.chosen, self._longest = model, chosen, longest(model)
        self._rows: list[_Text | None] = [None] * n_rows
        self._cache: SlotCache | None = None
        self._means = RowMeans(chosen.capture.rules, n_rows, model.device)
        self._ahead: _Ahead | None = None
        self._reading: list[Request] = []
        self._seen: dict[str, Tensor] = {}
        self._takes_whole_masks = _takes_whole_masks(model)

    @property
    def n_rows(self) -> int:
        """Rows of the batch, taken or not."""
        return len(self._rows)

    def under_way(self) -> list[Request]:
        """What has not ended."""
        ahead = [] if self._ahead is None else [self._ahead.texts[n].request for n in self._ahead.waiting]
        taken = [text.request for text in self._rows if text is not None]
        return sorted([*taken, *ahead, *self._reading], key=lambda request: request.example)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """With hooks in place."""
        with ExitStack() as stack:
            if (steering := self.chosen.steering) is not None:
                vector = torch.from_numpy(steering.vector).to(self.model.device)
                handle = self.model.sites.site(steering.site).replace(lambda value: value.float() + vector)
                stack.callback(handle.remove)
            self._seen = stack.enter_context(watched(self.model, self.chosen.capture.sites))
            yield

    def run(self, waiting: deque[Request]) -> Iterator[Response]:
        """Until nothing waits and nothing is under way."""
        while True:
            yield from self._fill(waiting)
            if not any(self._rows):
                return
            yield from self._step()

    def _fill(self, waiting: deque[Request]) -> Iterator[Response]:
        """Give free rows to the next texts; leave rows out where there are none."""
        while free := [row for row, text in enumerate(self._rows) if text is None]:
            if self._ahead is None:
                if not waiting:
                    break
                self._ahead = self._read(waiting)
            self._place(free, self._ahead)
            if not self._ahead.waiting:
                self._ahead = None
            yield from self._finished(free)
        if 4 * len(free) >= self.n_rows > len(free):
            self._shrink()

    def _read(self, waiting: deque[Request]) -> _Ahead:
        """Read the next prompts, and draw the first token of each response."""
        self._reading = requests = [waiting.popleft() for _ in range(min(self.n_rows, len(waiting)))]
        for request in requests:
            self._check(request)
        cache = SlotCache()
        logits = self._forward(*_left_padded([request.prompt for request in requests]), cache)
        means = RowMeans(self.chosen.capture.rules, len(requests), self.model.device)
        if self._seen:
            means.begin([len(request.prompt) for request in requests], self._seen)
        texts = tuple(_Text(request) for request in requests)
        self._draw(texts, logits)
        self._reading = []
        return _Ahead(cache, means, texts, deque(range(len(texts))))

    def _place(self, free: Sequence[int], ahead: _Ahead) -> None:
        """Give free rows to texts that were read ahead."""
        if len(free) == self.n_rows == len(ahead.waiting):
            self._rows, self._cache, self._means = list(ahead.texts), ahead.cache, ahead.means
            ahead.waiting.clear()
            return
        assert self._cache is not None
        pairs = list(zip(free, ahead.waiting, strict=False))
        rows, numbers = torch.tensor(pairs, device=self.model.device).T
        self._cache.place(rows, ahead.cache, numbers)
        self._means.place(rows, ahead.means, numbers)
        for row, _ in pairs:
            self._rows[row] = ahead.texts[ahead.waiting.popleft()]

    def _step(self) -> Iterator[Response]:
        """Read the last token of every row, and draw the next."""
        cache = self._cache
        assert cache is not None
        lengths = np.array([0 if text is None else text.n_tokens for text in self._rows])
        # All but the last token of each row are in the cache.
        unused = cache.width + 1 - int(lengths.max())
        if unused > 0:
            cache.drop(unused)
        width = cache.width + 1
        mask = np.arange(width) >= width - np.maximum(lengths, 1)[:, None]
        last = np.array([[text.written[-1] if text else 0] for text in self._rows])
        logits = self._forward(last, mask, np.maximum(lengths - 1, 0)[:, None], cache)
        if self._seen:
            self._means.add([len(text.written) - 1 if text else -1 for text in self._rows], self._seen)
        going = [row for row, text in enumerate(self._rows) if text is not None and text.reason is None]
        ended = [row for row, text in enumerate(self._rows) if text is not None and text.reason is not None]
        if going:
            texts = [text for text in self._rows if text is not None and text.reason is None]
            self._draw(texts, logits if len(going) == self.n_rows else logits[going])
        yield from self._finished(going, ended)

    def _draw(self, texts: Sequence[_Text], logits: Tensor) -> None:
        """Draw the next token of some texts, from their logits."""
        examples = torch.tensor([text.request.example for text in texts], device=logits.device)
        steps = torch.tensor([len(text.written) for text in texts], device=logits.device)
        drawn = choose(logits, self.chosen.sampling, examples, steps)
        tokens, near = drawn.token_ids.tolist(), drawn.is_near_tie.tolist()
        for text, token, is_near in zip(texts, tokens, near, strict=True):
            text.take(token, is_near, self.chosen, self._longest)

    def _finished(self, drawn: Sequence[int], read: Sequence[int] = ()) -> Iterator[Response]:
        """What has ended in rows for which a token was drawn, and in those whose last token was read."""
        for row in (*drawn, *read):
            text = self._rows[row]
            if text is None or text.reason is None:
                continue
            if text.reason == "length" and self._seen and row not in read:
                continue
            self._rows[row] = None
            written = tuple(text.written)
            vectors = self._means.end(row, len(written)) if self._seen else {}
            prompt = text.request.prompt
            yield Response(text.request.example, prompt, written, text.reason, text.near_tie, vectors)

    def _shrink(self) -> None:
        """Leave out the rows that nobody needs any more."""
        rows = [row for row, text in enumerate(self._rows) if text is not None]
        assert self._cache is not None
        chosen = torch.tensor(rows, device=self.model.device)
        self._cache.select(chosen)
        self._means.select(chosen)
        self._rows = [self._rows[row] for row in rows]

    @torch.inference_mode()
    def _forward(
        self,
        token_ids: NDArray[np.int64],
        mask: NDArray[np.bool_],
        positions: NDArray[np.int64],
        cache: SlotCache,
    ) -> Tensor:
        """Logits after the last column; float32 [n, d_vocab]."""
        device = self.model.device
        # Without padding no mask is needed, and attention is faster without one.
        given = None if mask.all() else torch.from_numpy(mask).to(device)
        if given is not None:
            is_step = token_ids.shape[1] == 1
            given = given[:, None, None] if is_step and self._takes_whole_masks else given.long()
        output = self.model.model(
            input_ids=torch.from_numpy(token_ids).to(device),
            attention_mask=given,
            position_ids=torch.from_numpy(positions).to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _check(self, request: Request) -> None:
        if not request.prompt:
            raise UsageError(
                "a prompt without a token", "at least one", "give a text, or a tokenizer with BOS"
            )
        if len(request.prompt) >= self._longest:
            raise UsageError(
                f"a prompt of {len(request.prompt):,} tokens",
                f"fewer than {self._longest:,}, the longest text of the model",
                "shorten instruction or question",
            )


def _takes_whole_masks(model: LanguageModel) -> bool:
    """Whether every layer sees all that went before, so that one mask [n, 1, 1, width], which transformers
    passes on as it is, serves them all; building it anew in each step takes longer than an attention does."""
    config = model.config
    has_windows = bool(getattr(config, "sliding_window", None)) or set(
        getattr(config, "layer_types", None) or ()
    ) - {"full_attention"}
    is_rotary = getattr(config, "rope_parameters", None) is not None
    return is_rotary and not has_windows and config._attn_implementation == "sdpa"


def _left_padded(
    prompts: Sequence[Sequence[int]],
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Token ids, mask and positions, each [n, width]."""
    lengths = np.array([len(prompt) for prompt in prompts])
    width = int(lengths.max())
    token_ids = np.zeros((len(prompts), width), dtype=np.int64)
    for row, prompt in enumerate(prompts):
        token_ids[row, width - len(prompt) :] = prompt
    positions = np.arange(width) - (width - lengths)[:, None]
    return token_ids, positions >= 0, np.maximum(positions, 0)
