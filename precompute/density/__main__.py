"""The command `python -m precompute.density`: weights of prompts; `pairs`, `prompts`, `merge`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType

from precompute.command_line import run_command
from precompute.density import commands

COMMANDS: Mapping[str, Callable[[list[str]], int]] = MappingProxyType(
    {"pairs": commands.pairs, "prompts": commands.prompts, "merge": commands.merge}
)


def main(argv: list[str]) -> int:
    """Run the named command, or without a name compute weights; returns the exit code."""
    if argv and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    return commands.weigh(argv)


if __name__ == "__main__":
    sys.exit(run_command(main))
