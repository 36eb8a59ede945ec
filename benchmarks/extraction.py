"""How fast responses are written and captured: `python -m benchmarks.extraction`.

The same prompts by the three pipelines, and by batches of several sizes, each in a process of its own, so
that its peak memory is its own. Prints a table in Markdown with what a GPU of a given price would cost, the
line memory = model + batch x per sequence, and writes a plot as SVG.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from precompute.command_line import CommandParser, positive, run_command
from precompute.embeddings.model_directory import DEFAULT_MODEL

BASE = DEFAULT_MODEL.with_name("language_model")
WIDTH, HEIGHT, LEFT, TOP = 640, 300, 60, 30


@dataclass(frozen=True)
class Measured:
    """One configuration."""

    pipeline: str
    batch_size: int
    seconds: float
    cpu: float
    """Seconds of processor time: what other work on the machine changes least."""
    n_tokens: int
    """Of all responses."""
    peak: float
    """MB beyond the process without a model."""
    model: float
    """MB of the loaded model."""
    digest: str
    """Of all token ids."""

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.n_tokens / self.seconds

    @property
    def name(self) -> str:
        """As the table has it."""
        return self.pipeline if self.pipeline != "batched" else f"batched, {self.batch_size}"


class Peak:
    """The largest resident memory of this process, or the largest allocation on its GPU, in MB."""

    def __init__(self, device: str) -> None:
        self._is_gpu, self.peak, self._done = device.startswith("cuda"), 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def now(self) -> float:
        """Memory at this moment."""
        import psutil
        import torch

        if self._is_gpu:
            return float(torch.cuda.memory_allocated() / 1e6)
        return float(psutil.Process().memory_info().rss / 1e6)

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Peak:
        self.peak = self.now()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import torch

        self._done.set()
        self._thread.join()
        if self._is_gpu:
            self.peak = torch.cuda.max_memory_allocated() / 1e6


def measure(arguments: Any, pipeline: str, batch_size: int) -> Measured:
    """Write and capture in this process."""
    import torch

    from precompute.artifacts.digests import text_digest
    from precompute.extraction.definition import TraitDefinition, examples_of
    from precompute.extraction.experiment import DEMO_TRAITS
    from precompute.extraction.generation import Capture, Generation, Request
    from precompute.extraction.pipelines import PIPELINES
    from precompute.extraction.positions import parse_rules
    from precompute.extraction.prompts import chat_ids
    from precompute.extraction.sampling import Sampling
    from precompute.extraction.text_model import TextModel
    from precompute.models.threads import suit_threads

    content = json.loads((DEMO_TRAITS / "io_errors.json").read_text(encoding="utf-8"))
    definition = TraitDefinition.model_validate(content)
    if arguments.device == "cuda":
        torch.zeros(1, device="cuda")
    before = Peak(arguments.device).now()
    model = TextModel.load(str(arguments.model), dtype=arguments.dtype, device=arguments.device)
    if arguments.device == "cpu":
        suit_threads(model.language_model.model)
    loaded = Peak(arguments.device).now() - before
    examples = examples_of(definition, arguments.examples // 2)
    requests = [Request(one.number, chat_ids(model, *one.texts(definition))) for one in examples]
    layers = model.language_model.sites.n_layers
    capture = Capture(
        tuple(f"blocks.{n}.hook_resid_post" for n in range(layers)), parse_rules(["response[:]"])
    )
    sampling = Sampling(arguments.temperature, arguments.top_p, 0)
    chosen = Generation(arguments.max_new_tokens, sampling, model.end_tokens, capture)
    run = PIPELINES[pipeline]  # type: ignore[index]
    list(run(model.language_model, requests[:2], Generation(4, capture=capture), batch_size, lambda _: None))
    with Peak(arguments.device) as peak:
        began, cpu = time.perf_counter(), time.process_time()
        found = list(run(model.language_model, requests, chosen, batch_size, lambda _: None))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    found.sort(key=lambda response: response.example)
    ids = json.dumps([response.token_ids for response in found])
    n_tokens = sum(len(response.token_ids) for response in found)
    return Measured(
        pipeline, batch_size, seconds, cpu, n_tokens, peak.peak - before, loaded, text_digest(ids)
    )


def apart(argv: list[str], pipeline: str, batch_size: int) -> Measured:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.extraction", *argv, "--only", f"{pipeline}:{batch_size}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Measured(**json.loads(output.splitlines()[-1]))


def memory_line(found: list[Measured]) -> tuple[float, float]:
    """Least squares of the batched runs: MB without a sequence, and MB a sequence."""
    batched = [one for one in found if one.pipeline == "batched"]
    slope, intercept = np.polyfit([one.batch_size for one in batched], [one.peak for one in batched], 1)
    return float(intercept), float(slope)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def told(found: list[Measured], price: float) -> list[str]:
    """The table, and what follows from it."""
    serial = found[0]
    headings = (
        *("Pipeline", "Seconds", "CPU seconds", "Tokens/s", "Speed-up", "by CPU"),
        *("Peak memory, MB", "Price"),
    )
    rows = [_row((*headings, "Same token ids")), _row(["---"] * 9)]
    for one in found:
        cells = (
            one.name,
            f"{one.seconds:.1f}",
            f"{one.cpu:.1f}",
            f"{one.rate:,.0f}",
            f"{serial.seconds / one.seconds:.1f}",
            f"{serial.cpu / one.cpu:.1f}",
            f"{one.peak:,.0f}",
            f"{one.seconds / 3600 * price:.5f}",
            "yes" if one.digest == serial.digest else "no (near ties)",
        )
        rows.append(_row(cells))
    base, slope = memory_line(found)
    best = min(found, key=lambda one: one.seconds)
    million = 1e6 / best.rate / 3600 * price
    return [
        *rows,
        "",
        f"Memory = {base:,.0f} MB + batch · {slope:,.2f} MB (the model itself takes {serial.model:,.0f} MB).",
        f"At {price:g} an hour a million tokens cost {million:.4f} with {best.name}, "
        f"{1e6 / serial.rate / 3600 * price:.4f} with {serial.name}.",
    ]


def plot(found: list[Measured]) -> str:
    """Speed-up over serial, as bars."""
    serial = found[0]
    ratios = [serial.seconds / one.seconds for one in found]
    most, step = max(ratios), (WIDTH - LEFT - 20) / len(found)
    bars = []
    for place, (one, ratio) in enumerate(zip(found, ratios, strict=True)):
        height = (HEIGHT - TOP - 60) * ratio / most
        x, y = LEFT + place * step, HEIGHT - 60 - height
        middle = x + step * 0.35
        bars += [
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{step * 0.7:.1f}" height="{height:.1f}" fill="#14a37f"/>',
            f'<text x="{middle:.1f}" y="{y - 6:.1f}" text-anchor="middle">{ratio:.1f} x</text>',
            f'<text x="{middle:.1f}" y="{HEIGHT - 42}" text-anchor="middle">{one.name}</text>',
            f'<text x="{middle:.1f}" y="{HEIGHT - 26}" text-anchor="middle">{one.rate:,.0f} tok/s</text>',
        ]
    title = (
        f'<text x="{LEFT}" y="18" font-weight="bold">Speed-up over one prompt at a time in two passes</text>'
    )
    style = 'font-family="sans-serif" font-size="12"'
    body = "\n".join([title, *bars])
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" {style}>'
    return f"{head}\n{ground}\n{body}\n</svg>\n"


def parser() -> CommandParser:
    options = CommandParser(prog="python -m benchmarks.extraction", description=__doc__)
    add = options.add_argument
    add("--model", type=Path, default=BASE, metavar="DIR", help="default: the demo's")
    add("--dtype", default="float32", choices=("float32", "float16", "bfloat16"))
    add("--device", default="cpu", choices=("cpu", "cuda"))
    add("--examples", type=positive, default=200, metavar="N", help="prompts (default: 200)")
    add("--max-new-tokens", type=positive, default=64, metavar="N")
    add("--temperature", type=float, default=0.7)
    add("--top-p", type=float, default=0.9)
    add("--batch-sizes", default="1,4,8,16", metavar="N,N", help="default: 1,4,8,16")
    add("--gpu-price", type=float, default=2.0, metavar="P", help="of an hour, in any currency (default: 2)")
    add("--plot", type=Path, metavar="FILE", help="where to write the plot, as SVG")
    add("--only", metavar="PIPELINE:N", help="one configuration, in this process, as JSON")
    return options


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    if arguments.only:
        pipeline, _, size = arguments.only.partition(":")
        print(json.dumps(asdict(measure(arguments, pipeline, int(size)))))
        return 0
    wanted = [
        ("serial", 1),
        ("combined", 1),
        *(("batched", int(n)) for n in arguments.batch_sizes.split(",")),
    ]
    found = []
    for pipeline, size in wanted:
        found.append(apart(argv, pipeline, size))
        print(f"{found[-1].name}: {found[-1].seconds:.1f} s", file=sys.stderr)
    print("\n".join(told(found, arguments.gpu_price)))
    if arguments.plot:
        arguments.plot.write_text(plot(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
