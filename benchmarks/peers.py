"""Side by side with what people use: `python -m benchmarks.peers DIR --peers-python PEERS/bin/python`.

One model, one SAE and one set of tokens, made in DIR; then, one after another, each in a process of its own:
the bare forward pass and encoding of those tokens, Lightwell's whole SAE job, SAEDashboard's JSON for
Neuronpedia (with --html its page, too) and delphi's cache of latents. Then one feature's activations, read
from Lightwell's stores and from a dense Zarr array. benchmarks/README.md says how the peers' environment is
made; without --peers-python they are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peer_runs import programs
from benchmarks.peer_runs.material import Shape, make
from benchmarks.peer_runs.programs import Line
from precompute.command_line import CommandParser, positive, run_command

FLOORS = tuple(programs.FLOORS.values())
DELPHI, SAE_DASHBOARD = "delphi, cache of latents", "SAEDashboard, JSON"
HTML = "SAEDashboard, HTML"
PEERS = (DELPHI, SAE_DASHBOARD, HTML)
DENSE_FEATURES = 8
"""Features that are read from the dense array."""
HEADER = (
    f"{'':46} {'seconds':>8} {'its work':>9} {'CPU s':>7} {'resident':>9} {'anonymous':>10} "
    f"{'non-zeros':>12} {'output':>8}"
)


def parser() -> CommandParser:
    """The command line."""
    made = CommandParser(prog="python -m benchmarks.peers", description=__doc__)
    made.add_argument("dir", type=Path, help="where everything is written")
    made.add_argument("--peers-python", type=Path, metavar="PATH", help="Python of the peers' environment")
    made.add_argument("--tokens", type=positive, default=Shape.n_tokens, help="in examples of 128")
    made.add_argument(
        "--layer", type=int, choices=range(Shape.n_layers), default=Shape.layer, help="of the SAE"
    )
    made.add_argument("--workers", type=positive, default=2, help="of Lightwell")
    made.add_argument("--rounds", type=positive, default=1, help="of bare passes and Lightwell, in turns")
    made.add_argument("--batch", type=positive, default=8, help="examples of a batch of the bare passes")
    made.add_argument("--delphi-batch", type=positive, default=32, help="examples of a batch of delphi's")
    made.add_argument("--features-at-a-time", type=positive, default=256, help="of SAEDashboard")
    made.add_argument("--html", action="store_true", help="also SAEDashboard's page of all features")
    made.add_argument("--read-features", type=positive, default=200, help="random features that are read")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return made


def runs(chosen: argparse.Namespace) -> Iterator[Line]:
    """Every program in turn; what is cheap as many times as asked, since a shared machine is not itself."""
    root, python = chosen.dir, chosen.peers_python
    for _ in range(chosen.rounds):
        yield programs.floor(root, chosen.batch, all_layers=False)
        yield programs.floor(root, chosen.batch, all_layers=True)
        yield programs.everything(root, chosen.workers)
    for step in (programs.MAP, programs.QUALITY):
        yield programs.apart(root, step, chosen.workers)
    if python is None:
        return
    at_a_time = chosen.features_at_a_time
    yield programs.peer(root, python, DELPHI, "delphi_cache.py", chosen.delphi_batch)
    yield programs.peer(root, python, SAE_DASHBOARD, "neuronpedia_json.py", at_a_time)
    if chosen.html:
        yield programs.peer(root, python, HTML, "vis_html.py", at_a_time)


def ratios(lines: list[Line]) -> dict[str, float]:
    """Lightwell against the bare passes, as whole commands and by their work alone; the peers against it.

    Of the least times.
    """
    whole = {name: min(one.seconds for one in lines if one.name == name) for name in {o.name for o in lines}}
    work = {
        name: min(one.work_seconds or one.seconds for one in lines if one.name == name)
        for name in (programs.EVERYTHING, *FLOORS)
    }
    ours = programs.EVERYTHING
    against = {f"Lightwell / {name}": whole[ours] / whole[name] for name in FLOORS}
    against |= {f"Lightwell / {name}, their work": work[ours] / work[name] for name in FLOORS}
    return against | {f"{name} / Lightwell": whole[name] / whole[ours] for name in PEERS if name in whole}


def measure(chosen: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything, said as it is measured; returns the figures."""
    versions = programs.peer_versions(chosen.peers_python) if chosen.peers_python else {}
    shape = Shape(n_tokens=chosen.tokens // Shape.n_ctx * Shape.n_ctx, layer=chosen.layer)
    make(chosen.dir, shape)
    examples = f"{shape.n_tokens:,} tokens in {shape.n_examples:,} examples"
    say(f"{examples}, {shape.d_sae:,} features at {shape.hook_name}")
    say("peers: " + (", ".join(map(" ".join, versions.items())) or "left out, for want of --peers-python"))
    say(HEADER)
    lines = []
    for found in runs(chosen):
        lines.append(found)
        say(row(found))
    against, taken = ratios(lines), programs.step_seconds(chosen.dir)
    say("\n".join(f"{name}: {times:.2f} times" for name, times in against.items()))
    say("steps of the last: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in taken.items()))
    reads = programs.reading(chosen.dir, chosen.read_features, DENSE_FEATURES)
    for read in reads:
        times = f"p50 {read['p50_ms']:.3f} ms, p95 {read['p95_ms']:.3f} ms"
        say(f"one of {read['n_features']} features from {read['store']}: {times}; {read['store_mb']:.0f} MB")
    runs_made = [asdict(found) for found in lines]
    made = {"shape": asdict(shape), "peers": versions, "runs": runs_made}
    return {**made, "ratios": against, "steps": taken, "reading": reads}


def row(found: Line) -> str:
    """One line of the table."""
    work = "" if found.work_seconds is None else f"{found.work_seconds:.1f}"
    nonzero = "" if found.n_nonzero is None else f"{found.n_nonzero:,}"
    output = "" if found.output_mb is None else f"{found.output_mb:.0f} MB"
    memory = f"{found.resident_mb:6.0f} MB {found.anonymous_mb:7.0f} MB"
    times = f"{found.seconds:8.1f} {work:>9} {found.cpu_seconds:7.1f}"
    return f"{found.name:46} {times} {memory} {nonzero:>12} {output:>8}"


def main(argv: list[str]) -> int:
    chosen = parser().parse_args(argv)
    figures = measure(chosen, lambda text: print(text, flush=True))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
