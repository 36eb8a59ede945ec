"""The command `python -m precompute.sweeps.best_of_k`: a sweep, or a plot of several; also under torchrun."""

from __future__ import annotations

import sys
from pathlib import Path

from precompute.command_line import run_command
from precompute.errors import LightwellError
from precompute.executors.ranks import Ranks
from precompute.pipeline.preflight import check_writable
from precompute.progress import Silent, TerminalBar
from precompute.sweeps.composing import compose_settings, composed
from precompute.sweeps.plan import SweepPlan
from precompute.sweeps.settings import SweepSettings

PROG = "python -m precompute.sweeps.best_of_k"


def help_text() -> str:
    """The usage, with every key and its default."""
    lines = [
        f"usage: {PROG} [+eval=NAME] [+eval.KEY=VALUE ...] [data=NAME] [machine=NAME]",
        f"       {PROG} plot RESULTS.json [...] [--output FILE]",
        "",
        "How much of an activation's variance the best of K explanations recovers. Configured through Hydra:",
        "presets of eval (quick, standard, cool, all), of data (held_out, documentation, file), of machine",
        "(auto, cpu), and your own in ./conf/eval/NAME.yaml. --cfg prints the configuration. Under torchrun,",
        "the processes share the work.",
        "",
    ]
    for group, settings in SweepSettings.model_validate({}):
        shown = {**vars(settings), **({"checkpoint_path": "the demo's"} if group == "eval" else {})}
        lines += [f"{group}.{name} = {_shown(value)}" for name, value in shown.items()]
    return "\n".join(lines)


def _shown(value: object) -> str:
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(list(value)) if isinstance(value, tuple) else str(value)


def main(argv: list[str]) -> int:
    """Run a sweep, or plot results; returns the exit code."""
    if argv and argv[0] == "plot":
        from precompute.sweeps.plot import main as plot

        return plot(argv[1:])
    if "--help" in argv or "-h" in argv:
        print(help_text())
        return 0
    if "--cfg" in argv:
        import yaml

        print(yaml.safe_dump(composed([a for a in argv if a not in ("--cfg", "job")])), end="")
        return 0
    return sweep(compose_settings(argv))


def sweep(settings: SweepSettings) -> int:
    """Bring a sweep's results up to date, and say what came out."""
    from precompute.sweeps.run import compute

    ranks = Ranks.of_environment()
    plan = SweepPlan.of(settings)
    check_writable(plan.output_dir)
    ranks.open()
    bar = TerminalBar("sweep") if ranks.leads else None
    try:
        result, done = compute(plan, ranks, progress=bar or Silent())
    finally:
        if bar is not None:
            bar.close()
        ranks.close()
    if ranks.leads:
        print(f"{done.n_extracted:,} activations extracted, {done.n_written:,} explanations written"
              f"{f', {done.n_rebuilt} damaged shards rebuilt' if done.n_rebuilt else ''}"
              f"{' (by this process)' if ranks.world_size > 1 else ''}")  # fmt: skip
        print(describe(result.path, result.record))
    return 0


def describe(path: Path, record: dict[str, object]) -> str:
    """What came out, in a few lines."""
    lines = [f"{path}: {record['n_rows']:,} activations of {record['n_texts']:,} texts; oracle selection"]
    results = record["results"]
    assert isinstance(results, list)
    for entry in results:
        parts = [f"K = {entry['k']:>3d}"]
        for name in ("variance_recovery", "r_squared"):
            score = entry[name]
            if score["estimate"] is None:
                parts.append(f"{name} not defined")
                continue
            ends = score["bca"] or score["percentile"]
            interval = f" [{ends[0]:.4f}, {ends[1]:.4f}]" if ends else ""
            parts.append(f"{name} {score['estimate']:.4f}{interval}")
        lines.append("  ".join(parts))
    return "\n".join(lines)


def quiet_follower(argv: list[str]) -> int:
    """As `main`; where several processes fail alike, only the leading one says why."""
    try:
        return main(argv)
    except LightwellError as error:
        if Ranks.of_environment().leads:
            raise
        return error.exit_code


if __name__ == "__main__":
    sys.exit(run_command(quiet_follower))
