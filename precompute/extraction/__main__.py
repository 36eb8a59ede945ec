"""The command `python -m precompute.extraction generate|capture|vectors|run`."""

from __future__ import annotations

import sys

from precompute.command_line import run_command
from precompute.errors import UsageError
from precompute.extraction.commands import COMMANDS, SUMMARIES


def main(argv: list[str]) -> int:
    """Run the named command; returns the exit code."""
    known = ", ".join(COMMANDS)
    if not argv or argv[0] in ("-h", "--help"):
        print("\n".join(["python -m precompute.extraction COMMAND --experiment NAME …", ""]))
        print("\n".join(f"  {name:<10s}{summary}" for name, summary in SUMMARIES.items()))
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        raise UsageError(f"command {argv[0]!r}", f"one of {known}", "see --help")
    return COMMANDS[argv[0]](argv[1:])


if __name__ == "__main__":
    sys.exit(run_command(main))
