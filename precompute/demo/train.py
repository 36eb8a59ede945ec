"""Reproduce the demo's weights: `python -m precompute.demo.train --out DIR [STAGE ...]`."""

from __future__ import annotations

import argparse

import torch

from precompute.demo.machine_options import add_machine_options, begin
from precompute.demo.stages import STAGES, Options, run_stages


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    command = argparse.ArgumentParser(prog="python -m precompute.demo.train", description=__doc__)
    command.add_argument("stages", nargs="*", metavar="STAGE", help=f"{', '.join(STAGES)}; default: all")
    add_machine_options(command)
    command.add_argument("--tokens", type=int, default=11_796_480, help="language model training tokens")
    command.add_argument("--activation-rows", type=int, default=5_000_000, help="activations for the SAEs")
    command.add_argument("--full-rows", type=int, default=12_000_000, help="training rows of the Full SAE")
    command.add_argument("--ultra-rows", type=int, default=9_420_800, help="training rows of the Ultra SAE")
    command.add_argument("--device", default="auto", help="the language model's: auto, cpu or cuda")
    command.add_argument("--compile", action="store_true", help="use torch.compile (needs a C++ compiler)")
    return command


def main(arguments: list[str] | None = None) -> None:
    """Run the asked stages in order."""
    import numba

    command = parser()
    parsed = command.parse_args(arguments)
    unknown = sorted(set(parsed.stages) - set(STAGES))
    if unknown:
        command.error(f"unknown stage {', '.join(unknown)}; choose from {', '.join(STAGES)}")
    begin(parsed)
    numba.set_num_threads(min(parsed.threads, numba.get_num_threads()))
    parsed.out.mkdir(parents=True, exist_ok=True)
    settings = vars(parsed)
    if parsed.device == "auto":
        settings["device"] = "cuda" if torch.cuda.is_available() else "cpu"
    options = Options(**{name: settings[name] for name in Options.__dataclass_fields__})
    run_stages(parsed.out, parsed.stages, options)


if __name__ == "__main__":
    main()
