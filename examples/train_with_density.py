"""A short GRPO run that draws its prompts by density weight: `python examples/train_with_density.py --help`.

The reward can be checked by eye: the share of a completion's words that occur in it once. The weights come
from `python -m precompute.density` (--use-precomputed-embeddings), or are worked out before the first step.
Under torchrun every rank draws the same stream, and the trainer deals it out.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.command_line import CommandParser, run_command
from precompute.config import load_config
from precompute.density.commands import DEFAULT_SOURCE, DENSITY_DIRECTORY, PROMPTS_FILE, model_source
from precompute.density.prompts import read_prompts
from precompute.density.results import open_density
from precompute.errors import UsageError
from precompute.models.language_model import load_tokenizer, resolve_model_directory
from precompute.pipeline.subjects import data_directory

LOG_FILE = "training_log.json"


def parser() -> CommandParser:
    """The options of the trainer."""
    options = CommandParser(prog="python examples/train_with_density.py", description=__doc__)
    add = options.add_argument
    add("--model", default=DEFAULT_SOURCE, metavar="NAME|PATH", help="a name in [density.sources] or a path")
    add("--max-steps", type=int, default=20, metavar="N", help="optimiser steps")
    add("--learning-rate", type=float, default=1e-5, metavar="R", help="learning rate")
    add(
        "--beta", type=float, default=0.04, metavar="B", help="weight of the KL penalty to the starting model"
    )
    add(
        "--out-dir",
        type=Path,
        default=Path("outputs/train_with_density"),
        metavar="DIR",
        help="model and log",
    )
    add("--use-precomputed-embeddings", action="store_true", help="use the weights of --embeddings-dir")
    add(
        "--embeddings-dir",
        type=Path,
        metavar="DIR",
        help=f"default: DATA/{DENSITY_DIRECTORY}/{DEFAULT_SOURCE}",
    )
    add(
        "--prompts",
        type=Path,
        metavar="FILE",
        help=f"without them: the prompts (default: DATA/{PROMPTS_FILE})",
    )
    add("--data-dir", type=Path, metavar="DIR", help="data directory (default: LIGHTWELL_DATA, or data)")
    add("--config", type=Path, metavar="FILE", help="TOML file with [density.sources] of your own")
    add("--batch-size", type=int, default=16, metavar="N", help="completions of a step on each rank")
    add("--num-generations", type=int, default=4, metavar="N", help="completions of one prompt")
    add("--max-completion-length", type=int, default=32, metavar="N", help="tokens of a completion at most")
    add("--seed", type=int, default=0, metavar="N", help="seed of draws and completions")
    add("--device", choices=("auto", "cpu"), default="auto", help="where the model runs")
    return options


def distinct_words(completions: list[str], **_: Any) -> list[float]:
    """The reward: the share of a completion's words that occur in it once; 0 for one without words."""
    counts = [Counter(text.split()) for text in completions]
    return [sum(n == 1 for n in count.values()) / max(1, count.total()) for count in counts]


def draw_prompts(arguments: argparse.Namespace, model: Path) -> tuple[list[str], Any]:
    """The prompts, and the sampler that draws among them: on every rank the whole stream."""
    from precompute.density import DensitySampler

    data = data_directory(arguments.data_dir)
    if arguments.use_precomputed_embeddings:
        directory = arguments.embeddings_dir or data / DENSITY_DIRECTORY / DEFAULT_SOURCE
        prompts = open_density(directory).prompts()
        return prompts, DensitySampler(directory, _n_draws(arguments), arguments.seed)
    prompts = list(read_prompts(arguments.prompts or data / PROMPTS_FILE))
    from precompute.embeddings.encoder import TextEncoder

    encoder = TextEncoder.load(model, device=arguments.device)
    return prompts, DensitySampler.from_texts(prompts, encoder, _n_draws(arguments), arguments.seed)


def _n_draws(arguments: argparse.Namespace) -> int:
    """Prompts of the whole run, on all ranks together."""
    n_ranks = int(os.environ.get("WORLD_SIZE", "1"))
    return max(1, arguments.max_steps * arguments.batch_size * n_ranks // arguments.num_generations)


def check(arguments: argparse.Namespace) -> None:
    """Refuse options of which the trainer could make nothing."""
    if arguments.num_generations < 2 or arguments.batch_size % arguments.num_generations:
        raise UsageError(
            f"--batch-size {arguments.batch_size} with --num-generations {arguments.num_generations}",
            "a batch that is a multiple of at least 2 generations",
            "give others",
        )
    if arguments.max_steps < 1:
        raise UsageError(f"--max-steps {arguments.max_steps}", "at least 1", "give another")


def make_trainer(arguments: argparse.Namespace, model: Path, prompts: list[str], sampler: Any) -> Any:
    """TRL's GRPO trainer, with the density sampler in the place of its shuffle."""
    from datasets import Dataset
    from torch.utils.data import Sampler
    from transformers.utils import logging
    from trl import GRPOConfig, GRPOTrainer

    class RepeatedDraws(Sampler[int]):
        """Each draw as often in a row as a prompt has completions; batches as often as they are used."""

        def __init__(self, n_prompts: int, n_uses: int) -> None:
            self.n_prompts, self.n_uses = n_prompts, n_uses

        def __len__(self) -> int:
            return len(sampler) // self.n_prompts * self.n_prompts * arguments.num_generations * self.n_uses

        def set_epoch(self, epoch: int) -> None:
            """Draw anew in each epoch."""
            sampler.set_epoch(epoch)

        def __iter__(self) -> Iterator[int]:
            draws = iter(sampler)
            while len(batch := list(islice(draws, self.n_prompts))) == self.n_prompts:
                for _ in range(self.n_uses):
                    yield from (row for row in batch for _ in range(arguments.num_generations))

    class DensityTrainer(GRPOTrainer):  # type: ignore[misc]
        """GRPO on prompts drawn by density weight."""

        def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:  # noqa: ARG002 - as it is called
            n_prompts = self.args.generation_batch_size // self.num_generations
            return RepeatedDraws(n_prompts, self.num_iterations * self.args.steps_per_generation)

    logging.disable_progress_bar()
    tokenizer = load_tokenizer(str(model))
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = GRPOConfig(
        output_dir=str(arguments.out_dir),
        max_steps=arguments.max_steps,
        learning_rate=arguments.learning_rate,
        beta=arguments.beta,
        per_device_train_batch_size=arguments.batch_size,
        num_generations=arguments.num_generations,
        max_completion_length=arguments.max_completion_length,
        seed=arguments.seed,
        use_cpu=arguments.device == "cpu",
        bf16=False,
        activation_checkpointing=False,
        model_init_kwargs={"dtype": "float32"},
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    return DensityTrainer(
        model=str(model),
        reward_funcs=distinct_words,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=tokenizer,
    )


def watch_first_step(trainer: Any) -> Any:
    """A record of when the first step begins."""
    from transformers import TrainerCallback

    class FirstStep(TrainerCallback):  # type: ignore[misc]
        """Remembers when the first step began."""

        began: float | None = None

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            """Take the time, once."""
            self.began = self.began or time.monotonic()

    first = FirstStep()
    trainer.add_callback(first)
    return first


def main(argv: list[str]) -> int:
    """Train, and write model and log."""
    arguments = parser().parse_args(argv)
    check(arguments)
    try:
        from trl import GRPOTrainer  # noqa: F401 - so that its absence is said at once
    except ImportError:
        raise UsageError("no package trl", "it, for GRPO", "run `pip install -e '.[train]'`") from None
    model = resolve_model_directory(model_source(load_config(arguments.config), arguments.model)[1])
    began = time.monotonic()
    prompts, sampler = draw_prompts(arguments, model)
    weighed = time.monotonic()
    trainer = make_trainer(arguments, model, prompts, sampler)
    # The trainer collects garbage before its first step; what is loaded by now need not be looked at.
    gc.freeze()
    loaded, first = time.monotonic(), watch_first_step(trainer)
    trainer.train()
    trainer.save_model(str(arguments.out_dir))
    if trainer.is_world_process_zero():
        log = {
            "seconds_to_weights": round(weighed - began, 3),
            "seconds_to_first_step": round(first.began - loaded, 3),
            "steps": [entry for entry in trainer.state.log_history if "reward" in entry],
        }
        (arguments.out_dir / LOG_FILE).write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")
        tell(log, arguments.out_dir)
    return 0


def tell(log: dict[str, Any], out: Path) -> None:
    """Say what became of reward and KL."""
    print(
        f"{len(log['steps'])} steps; weights ready in {log['seconds_to_weights']:.2f} s, "
        f"first step {log['seconds_to_first_step']:.2f} s after loading"
    )
    for name in ("reward", "kl"):
        values = [float(entry[name]) for entry in log["steps"] if name in entry]
        if values:
            third = max(1, len(values) // 3)
            before, after = sum(values[:third]) / third, sum(values[-third:]) / third
            print(f"{name}: {before:.4f} in the first third of the steps, {after:.4f} in the last")
    print(out)


if __name__ == "__main__":
    sys.exit(run_command(main))
