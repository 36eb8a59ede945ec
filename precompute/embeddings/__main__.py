"""The command: `python -m precompute.embeddings [import|search|map|demo] …`."""

from __future__ import annotations

import sys

from precompute.command_line import run_command


def main(argv: list[str]) -> int:
    """Run the command that the first argument names; without one, compute. Returns the exit code."""
    from precompute.embeddings.commands import COMMANDS, compute

    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    return compute(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
