"""Responses written for many prompts at once, with what passes chosen sites captured in the same pass.

A row of the batch whose response has ended is given to the next prompt while the others go on. Rows are
padded on the left, whatever the tokenizer's own habit, and each has its own positions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.errors import ModelError, UsageError
from precompute.extraction.capture import RowMeans, Vectors, watched
from precompute.extraction.positions import PositionRule
from precompute.extraction.sampling import Sampling, choose
from precompute.extraction.settings import FinishReason
from precompute.extraction.slots import SlotCache
from precompute.models.language_model import LanguageModel
from precompute.models.memory import is_out_of_memory, release


@dataclass(frozen=True)
class Request:
    """A prompt to be answered."""

    example: int
    """Keys the noise: the same example draws the same tokens wherever it is."""
    prompt: tuple[int, ...]


@dataclass(frozen=True)
class Response:
    """What was written."""

    example: int
    prompt: tuple[int, ...]
    token_ids: tuple[int, ...]
    """Without the end-of-text token."""
    finish_reason: FinishReason
    """`stop` at the end-of-text token, `length` at the number asked for or the model's longest text."""
    near_tie: int | None
    """The first step at which rounding might have chosen another token."""
    vectors: Vectors = field(default_factory=dict)


@dataclass(frozen=True)
class Capture:
    """What is captured."""

    sites: tuple[str, ...] = ()
    rules: tuple[PositionRule, ...] = ()


@dataclass(frozen=True)
class Steering:
    """A vector added at a site, to every token."""

    site: str
    vector: NDArray[np.float32]
    """[d], in the units of the site."""


@dataclass(frozen=True)
class Generation:
    """How responses are written."""

    max_new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    end_tokens: frozenset[int] = frozenset()
    capture: Capture = Capture()
    steering: Steering | None = None


def generate_batch(
    model: LanguageModel,
    requests: Iterable[Request],
    chosen: Generation,
    batch_size: int,
    on_halved: Callable[[int], None] = lambda _: None,
) -> Iterator[Response]:
    """Responses in the order in which they end. Where memory runs out the batch is halved, and what was under
    way begins anew; raises ModelError where one prompt alone is too large, UsageError for one too long."""
    waiting = deque(requests)
    while waiting:
        batch = _Batch(model, chosen, min(batch_size, len(waiting)))
        try:
            with batch.opened():
                yield from batch.run(waiting)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return
        waiting.extendleft(reversed(batch.under_way()))
        n_rows = batch.n_rows
        del batch
        release(model.device)
        if n_rows == 1:
            raise ModelError(
                "a prompt for which memory does not suffice by itself",
                f"free memory on {model.device}",
                "lower --max-new-tokens, choose a half --dtype, or free some",
            )
        batch_size = max(1, n_rows // 2)
        on_halved(batch_size)


class _Batch:
    """Rows that are read together."""

    def __init__(self, model: LanguageModel, chosen: Generation, n_rows: int) -> None:
        self.model, self.chosen = model, chosen
        self._cache: SlotCache | None = None
        self._requests: list[Request | None] = [None] * n_rows
        self._written: list[list[int]] = [[] for _ in range(n_rows)]
        self._near: list[int | None] = [None] * n_rows
        self._ended = np.zeros(n_rows, dtype=bool)
        """Rows whose last token was drawn, and is read only for what is captured."""
        self._means = RowMeans(chosen.capture.rules, n_rows, model.device)
        self._seen: dict[str, Tensor] = {}

    @property
    def n_rows(self) -> int:
        """Rows of the batch, taken or not."""
        return len(self._requests)

    def under_way(self) -> list[Request]:
        """What has not ended."""
        return sorted((r for r in self._requests if r is not None), key=lambda request: request.example)

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
        while waiting or any(self._requests):
            free = [row for row, request in enumerate(self._requests) if request is None]
            if waiting and (len(free) >= max(1, self.n_rows // 4) or len(free) == self.n_rows):
                yield from self._begin(waiting, free)
            elif 2 * len(free) >= self.n_rows and not waiting:
                self._shrink()
            if any(self._requests):
                yield from self._step()

    def _begin(self, waiting: deque[Request], free: Sequence[int]) -> Iterator[Response]:
        """Give free rows to the next prompts, and read these."""
        rows = list(free[: len(waiting)])
        taken = [waiting.popleft() for _ in rows]
        for row, request in zip(rows, taken, strict=True):
            self._check(request)
            self._requests[row], self._written[row], self._near[row] = request, [], None
            self._ended[row] = False
        fresh = SlotCache()
        logits = self._forward(*_left_padded([request.prompt for request in taken]), fresh)
        if self._cache is None or len(rows) == self.n_rows:
            self._cache = fresh
        else:
            self._cache.place(torch.tensor(rows, device=self.model.device), fresh)
        if self._seen:
            self._means.begin(rows, [len(request.prompt) for request in taken], self._seen)
        yield from self._draw(rows, logits)

    def _step(self) -> Iterator[Response]:
        """Read the last token of every row, and draw the next."""
        cache = self._cache
        assert cache is not None
        lengths = np.array([self._length(row) for row in range(self.n_rows)], dtype=np.int64)
        # All but the last token of each row are in the cache.
        unused = cache.width + 1 - int(lengths.max())
        if unused > 0:
            cache.drop(unused)
        width = cache.width + 1
        mask = np.arange(width) >= width - np.maximum(lengths, 1)[:, None]
        last = np.array(
            [[written[-1] if r else 0] for r, written in zip(self._requests, self._written, strict=True)]
        )
        logits = self._forward(last, mask, np.maximum(lengths - 1, 0)[:, None], cache)
        active = np.array([row for row, request in enumerate(self._requests) if request is not None])
        indices = np.array([len(self._written[row]) - 1 for row in active.tolist()])
        if self._seen:
            self._means.add(active, indices, self._seen)
        for row in active[self._ended[active]].tolist():
            yield self._finished(row, "length")
        going = active[~self._ended[active]].tolist()
        if going:
            yield from self._draw(going, logits if len(going) == self.n_rows else logits[going])

    def _draw(self, rows: Sequence[int], logits: Tensor) -> Iterator[Response]:
        """Draw the next token of some rows, from their logits."""
        device, most = logits.device, self.chosen.max_new_tokens
        requests = [self._requests[row] for row in rows]
        examples = torch.tensor([request.example for request in requests if request], device=device)
        steps = torch.tensor([len(self._written[row]) for row in rows], device=device)
        drawn = choose(logits, self.chosen.sampling, examples, steps)
        for row, token, near in zip(rows, drawn.token_ids.tolist(), drawn.is_near_tie.tolist(), strict=True):
            if near and self._near[row] is None:
                self._near[row] = len(self._written[row])
            if token in self.chosen.end_tokens:
                yield self._finished(row, "stop")
                continue
            self._written[row].append(token)
            if len(self._written[row]) == most or self._length(row) == longest(self.model):
                self._ended[row] = True
                if not self.chosen.capture.sites:
                    yield self._finished(row, "length")

    def _finished(self, row: int, reason: FinishReason) -> Response:
        request, written = self._requests[row], tuple(self._written[row])
        assert request is not None
        self._requests[row] = None
        vectors = self._means.end(row, len(written)) if self._seen else {}
        return Response(request.example, request.prompt, written, reason, self._near[row], vectors)

    def _shrink(self) -> None:
        """Leave out the rows that nobody needs any more."""
        rows = [row for row, request in enumerate(self._requests) if request is not None]
        if not rows or self._cache is None:
            return
        self._cache.select(torch.tensor(rows, device=self.model.device))
        self._means.select(rows)
        self._requests = [self._requests[row] for row in rows]
        self._written = [self._written[row] for row in rows]
        self._near = [self._near[row] for row in rows]
        self._ended = self._ended[rows]

    def _length(self, row: int) -> int:
        """Tokens of a row, prompt and response."""
        request = self._requests[row]
        return 0 if request is None else len(request.prompt) + len(self._written[row])

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
        given = None if mask.all() else torch.from_numpy(mask.astype(np.int64)).to(device)
        with torch.inference_mode():
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
        if len(request.prompt) >= longest(self.model):
            raise UsageError(
                f"a prompt of {len(request.prompt):,} tokens",
                f"fewer than {longest(self.model):,}, the longest text of the model",
                "shorten instruction or question",
            )


def longest(model: LanguageModel) -> int:
    """Tokens that the model can read at a time."""
    return int(getattr(model.config, "max_position_embeddings", 0) or 2**31)


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
