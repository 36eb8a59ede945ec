"""What is to be computed for a prompts file and a model: vectors, neighbour graph, weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from precompute.artifacts.digests import DigestCache
from precompute.artifacts.manifest import fingerprint
from precompute.artifacts.shelf import Shelf
from precompute.density.encoding import VECTORS_FILE, EncoderRecord, encode_prompts, read_groups, take_prompts
from precompute.density.neighbors import SearchSettings, write_graph
from precompute.density.prompts import check_prompts, read_prompts
from precompute.density.results import DensityResult, open_density, write_weights
from precompute.density.stages import EMBEDDINGS, GRAPH, STAGES, WEIGHTS
from precompute.density.weights import WeightSettings
from precompute.embeddings.encoder import EncoderOptions
from precompute.embeddings.identity import encoder_identity
from precompute.embeddings.model_directory import EmbedderFiles
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.stages import Reporter, Wanted, bring_up_to_date, status_of
from precompute.progress import Progress


@dataclass(frozen=True)
class Source:
    """The model that gives prompts their vectors."""

    name: str
    """As it is known: of the configuration, the hub id, or the directory without its path."""
    files: EmbedderFiles
    options: EncoderOptions


@dataclass(frozen=True)
class Resources:
    """What the work may use; nothing of it changes a result."""

    device: str = "auto"
    batch_size: int | None = None
    """Texts that go through the model together; None is what suits the device."""
    workers: int = 1
    """Threads of the search."""


def _ignore(_n_prompts: int, _d: int) -> None:
    """Warn nobody."""


def embeddings_of(
    prompts: Path,
    source: Source,
    resources: Resources,
    cache: DigestCache,
    warn_of_size: Callable[[int, int], None] = _ignore,
) -> Wanted:
    """The vectors of the prompts of a file. Raises CorpusError where there is no such file.

    `warn_of_size` is told the number of prompts and the width of vectors that are as wide as a vocabulary.
    """
    check_prompts(prompts)
    identity = encoder_identity(source.files, source.options, cache)

    def run(out: Path, progress: Progress) -> None:
        from precompute.embeddings.loading import load_encoder

        groups = take_prompts(read_prompts(prompts), out)
        encoder = load_encoder(source.files, source.options, resources.device)
        if encoder.pooling == "logits":
            warn_of_size(len(groups.numbers), encoder.d)
        mark = fingerprint("encoder", 1, {}, identity)
        EncoderRecord(source.name, mark, encoder.d_vocab, encoder.d_model).write(out)
        encode_prompts(groups, encoder, resources.batch_size, out, progress)

    return Wanted(EMBEDDINGS, run, sources={"prompts": cache.digest(prompts), "encoder": identity})


def weights_from(
    shelf: Shelf, embeddings: Wanted, search: SearchSettings, chosen: WeightSettings, workers: int
) -> Wanted:
    """The weights of prompts whose vectors are `embeddings`, by way of their neighbour graph."""

    def search_neighbors(out: Path, progress: Progress) -> None:
        vectors = shelf.current(EMBEDDINGS.name)
        write_graph(
            vectors / VECTORS_FILE,
            read_groups(vectors).firsts,
            search,
            out,
            workers=workers,
            progress=progress,
        )

    def weigh(out: Path, _progress: Progress) -> None:
        write_weights(shelf.current(EMBEDDINGS.name), shelf.current(GRAPH.name), chosen, out)

    settings = {"k": search.k, "exact_operations": search.exact_operations}
    graph = Wanted(GRAPH, search_neighbors, settings=settings, inputs=(embeddings,))
    return Wanted(WEIGHTS, weigh, settings=chosen.model_dump(mode="json"), inputs=(graph,))


def compute(shelf: Shelf, weights: Wanted, reporter: Reporter, force: bool = False) -> DensityResult:
    """Bring everything up to date, remove what it replaces, and open it."""
    shelf.directory.mkdir(parents=True, exist_ok=True)
    bring_up_to_date(shelf, weights, reporter, force)
    shelf.collect_garbage([stage.name for stage in STAGES])
    return open_density(shelf.directory)


def statuses(shelf: Shelf, weights: Wanted) -> tuple[StepStatus, ...]:
    """The state of every stage, in order."""
    before = (status for read in weights.inputs for status in statuses(shelf, read))
    return (*before, status_of(shelf, weights))
