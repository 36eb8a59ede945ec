"""Generation and capture by one process, or by those that torchrun started: shards are dealt out in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from precompute.executors.ranks import Ranks, Team
from precompute.extraction.capture import Vectors
from precompute.extraction.definition import examples_of, read_definition
from precompute.extraction.experiment import Experiment
from precompute.extraction.fitting import fitting_batch, memory_need
from precompute.extraction.generation import Capture, Generation, Request, Response
from precompute.extraction.pipelines import PIPELINES
from precompute.extraction.positions import parse_rules
from precompute.extraction.prompts import chat_ids
from precompute.extraction.reading import TokenText, read_vectors
from precompute.extraction.sampling import Sampling
from precompute.extraction.settings import CaptureSettings
from precompute.extraction.shards import (
    SEPARATOR,
    read_responses,
    shard_borders,
    shard_path,
    write_arrays,
    write_responses,
)
from precompute.extraction.soundness import check_rows
from precompute.extraction.tasks import CaptureTask, GenerateTask, Operations, Task
from precompute.extraction.text_model import TextModel
from precompute.models.threads import suit_threads
from precompute.progress import Progress


class Crew:
    """The processes that work on an experiment."""

    def __init__(
        self,
        experiment: Experiment,
        operations: Operations,
        ranks: Ranks | None = None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.experiment, self.operations, self.ranks = experiment, operations, ranks or Ranks()
        self._warn = warn
        self.team = Team(self.ranks, self._do)

    @cached_property
    def model(self) -> TextModel:
        """The experiment's model, loaded when a first shard needs it."""
        chosen = self.experiment.model
        device = self.ranks.device(self.operations.device)
        loaded = TextModel.load(
            chosen.model, chosen.revision, adapter=chosen.adapter, dtype=chosen.dtype, device=device
        )
        if not loaded.language_model.device.startswith("cuda"):
            suit_threads(loaded.language_model.model)
        check_rows(loaded.language_model)
        return loaded

    def _do(self, task: Task, progress: Progress) -> None:
        if isinstance(task, GenerateTask):
            self._generate(task, progress)
        else:
            self._capture(task, progress)

    def _own(self, n: int) -> list[tuple[int, int, int]]:
        """Number, first and stop of the shards of this rank."""
        shards = [(number, first, stop) for number, (first, stop) in enumerate(shard_borders(n))]
        return list(self.ranks.own(shards))

    def _generate(self, task: GenerateTask, progress: Progress) -> None:
        n = 2 * task.settings.n_examples
        own = self._own(n)
        lacking = [shard for shard in own if not shard_path(task.shards, shard[0]).is_file()]
        progress.start(sum(stop - first for _, first, stop in own), "responses")
        progress.advance(sum(b - a for _, a, b in own) - sum(b - a for _, a, b in lacking))
        if not lacking:
            return
        requests = self._requests(task)
        chosen = self._generation(task)
        longest = max(len(request.prompt) for request in requests) + task.settings.max_new_tokens
        size = self._batch_size(longest, len(chosen.capture.sites) * len(chosen.capture.rules))
        for number, first, stop in lacking:
            responses = self._responses(requests[first:stop], chosen, size, progress)
            # Vectors first: a shard of responses is the sign that all of it is there.
            if task.capture is not None and chosen.capture.sites:
                found = [response.vectors for response in responses]
                _write_vectors(found, task.capture, shard_path(task.captured, number))
            write_responses(responses, shard_path(task.shards, number))

    def _responses(
        self, requests: Sequence[Request], chosen: Generation, size: int, progress: Progress
    ) -> list[Response]:
        found = []
        pipeline = PIPELINES[self.operations.pipeline]
        for response in pipeline(self.model.language_model, requests, chosen, size, self._halved):
            found.append(response)
            progress.advance()
        return sorted(found, key=lambda response: response.example)

    def _requests(self, task: GenerateTask) -> list[Request]:
        definition = read_definition(self.experiment.trait(task.trait))
        examples = examples_of(definition, task.settings.n_examples)
        return [Request(one.number, chat_ids(self.model, *one.texts(definition))) for one in examples]

    def _generation(self, task: GenerateTask) -> Generation:
        chosen = task.settings
        capture = Capture() if task.capture is None else self.resolved(task.capture)
        sampling = Sampling(chosen.temperature, chosen.top_p, chosen.seed)
        return Generation(chosen.max_new_tokens, sampling, self.model.end_tokens, capture)

    def resolved(self, chosen: CaptureSettings) -> Capture:
        """The sites by their names; raises ModelError for one that the model has not."""
        sites = self.model.language_model.sites
        every = tuple(f"blocks.{layer}.hook_resid_post" for layer in range(sites.n_layers))
        names = every if chosen.sites == ("all",) else chosen.sites
        for name in names:
            sites.site(name)
        return Capture(names, parse_rules(chosen.positions))

    def _capture(self, task: CaptureTask, progress: Progress) -> None:
        own = self._own(task.n_examples)
        progress.start(sum(stop - first for _, first, stop in own), "responses")
        for number, first, stop in own:
            if shard_path(task.captured, number).is_file():
                progress.advance(stop - first)
                continue
            written = read_responses(shard_path(task.texts, number))
            pairs = zip(written.prompts, written.responses, strict=True)
            texts = [TokenText(tuple(prompt), tuple(response)) for prompt, response in pairs]
            longest = max(len(text.prompt) + len(text.response) for text in texts)
            capture = self.resolved(task.capture)
            size = 1 if self.operations.pipeline != "batched" else self._batch_size(longest, 0)
            found = read_vectors(self.model.language_model, texts, capture, size, progress.advance)
            _write_vectors(found, task.capture, shard_path(task.captured, number))

    def _batch_size(self, n_tokens: int, n_captured: int) -> int:
        """As asked for, but no more than memory holds; or what fits."""
        model = self.model.language_model
        width = n_captured * model.d_model
        if self.operations.batch_size is None:
            return fitting_batch(model, n_tokens, width)
        most = memory_need(model, n_tokens, width).n_rows
        if self.operations.batch_size > 2 * most:
            self._warn(f"--batch-size {self.operations.batch_size} does not fit in memory; {most} is used")
            return most
        return self.operations.batch_size

    def _halved(self, size: int) -> None:
        self._warn(f"memory ran out; going on with a batch size of {size}")


def _write_vectors(found: Iterable[Vectors], chosen: CaptureSettings, path: Path) -> None:
    """Keep a shard's vectors: one array [n, d] for each site and rule."""
    vectors = list(found)
    arrays: dict[str, NDArray[np.generic]] = {}
    for site in vectors[0]:
        stacked = np.stack([one[site] for one in vectors])
        for r, rule in enumerate(chosen.positions):
            arrays[f"{site}{SEPARATOR}{rule}"] = stacked[:, r].astype(chosen.activations_dtype)
    write_arrays(arrays, path)
