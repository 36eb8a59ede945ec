"""The dashboard as a person starts it: a command whose printed address is opened."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDRESS = re.compile(r"http://\S+?:\d+/\w+")


@contextmanager
def started(command: Sequence[str], cwd: Path = ROOT) -> Iterator[str]:
    """Start a command that serves; gives the address that it prints, and stops it with Ctrl-C's signal."""
    options = {"stdout": subprocess.PIPE, "text": True, "start_new_session": True, "cwd": cwd}
    with subprocess.Popen(command, **options) as process:
        assert process.stdout is not None
        address = next((found[0] for line in process.stdout if (found := ADDRESS.search(line))), None)
        assert address is not None, f"no address was printed; exit code {process.wait()}"
        try:
            yield address
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=20)
