"""What every command shares: options written either way, one line for an error, and an exit code."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from precompute.errors import LightwellError, UsageError
from precompute.executors.ranks import Ranks

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 + SIGINT."""
NOT_WRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM})
"""System errors that are the user's to remedy: no space, or no right to write there."""

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
"""Bytes, by the letter before B."""


def hyphenated(argv: Sequence[str]) -> list[str]:
    """The arguments with `--some_option` (or `--some_option=value`) written `--some-option`; values stay."""
    return [_hyphenated_option(argument) for argument in argv]


def _hyphenated_option(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


class CommandParser(argparse.ArgumentParser):
    """An argument parser that takes underscores for hyphens, and raises UsageError rather than exit."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As in argparse, with underscores in option names read as hyphens."""
        return super().parse_known_args(hyphenated(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with what argparse found wrong."""
        raise UsageError(message, "the options of this command", f"see `{self.prog} --help`")


def positive(text: str) -> int:
    """The type of an option that takes a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def n_bytes(text: str) -> int:
    """The type of an option that takes a size, such as 500MB, 2GB or a number of bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgt]?)b?", text.lower())
    size = int(float(found[1]) * UNITS[found[2]]) if found else 0
    if size < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 500MB or 2GB")
    return size


def run_command(main: Callable[[list[str]], int], argv: Sequence[str] | None = None) -> int:
    """Run a command's `main`; an error becomes one line on standard error and its exit code.

    Use as `sys.exit(run_command(main))`. Errors that are not LightwellError keep their traceback, since
    they are ours to mend.
    """
    return Ranks.of_environment().end(_run(main, list(sys.argv[1:] if argv is None else argv)))


def _run(main: Callable[[list[str]], int], argv: list[str]) -> int:
    try:
        return main(argv)
    except KeyboardInterrupt:
        return _tell("interrupted", INTERRUPTED)
    except LightwellError as error:
        return _tell(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        place = error.filename or "the output"
        expected = "a directory with space that can be written"
        return _tell(f"{place}: {error.strerror}; expected {expected}; free space or choose another", 2)


def _tell(message: str, exit_code: int) -> int:
    """Say why the command ends, in one line, written at once: several processes may share the terminal."""
    sys.stderr.write(f"lightwell: {' '.join(message.split())}\n")
    return exit_code
