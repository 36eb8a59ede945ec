"""The process of one job: `python -m precompute.jobs RECORD`; started by a server, never by hand."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from precompute.jobs.board import GONE_PARENT
from precompute.jobs.kinds import open_work
from precompute.jobs.processes import SECONDS_TO_STOP, end_children
from precompute.jobs.record import JobRecord, read_record
from precompute.jobs.recorder import Recorder, in_words, recorded
from precompute.progress import Cancelled

STOPPED = 143
"""Exit code of a job that was told to stop, as shells have it: 128 + SIGTERM."""
NICENESS = 5
"""Pages are answered first."""


def main(argv: list[str]) -> int:
    """Compute what the record asks for; returns 0, or says in the record why not."""
    record = read_record(Path(argv[0]))
    if record is None:
        print(f"lightwell: {argv[0]} is no record of a job", file=sys.stderr)
        return 2
    os.nice(NICENESS)
    recorder = Recorder(record, lines=True)
    recorder.begin()
    _stop_when_told(recorder)
    try:
        recorded(recorder, lambda: compute(record, recorder))
    except (Cancelled, KeyboardInterrupt):
        return STOPPED
    except BaseException as error:  # noqa: BLE001 - the record has it in words, the log as it is
        traceback.print_exc()
        print(in_words(error), file=sys.stderr)
        return 1
    finally:
        end_children()
    return 0


def compute(record: JobRecord, recorder: Recorder) -> None:
    """Bring the steps that are asked for up to date, and what they read."""
    open_work(record.model_type, record.data_dir, record.config, record.features).run(record, recorder)


def _stop_when_told(recorder: Recorder) -> None:
    """Stop soon after a signal, or after the process that started this one has ended."""

    def told(_number: int, _frame: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if recorder.stopping is None:
            recorder.stopping = "cancelled" if recorder.record.cancel_request.exists() else "interrupted"
        recorder.told.set()
        raise Cancelled

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    for watch in (_watch_parent, _leave_in_time):
        threading.Thread(target=watch, args=(recorder,), daemon=True).start()


def _watch_parent(recorder: Recorder) -> None:
    """The parent keeps the other end of standard input open for as long as it lives."""
    while os.read(0, 1024):
        pass
    recorder.stop("interrupted", GONE_PARENT)


def _leave_in_time(recorder: Recorder) -> None:
    """End although a step is deep in compiled code, where no signal is heard.

    What is published is whole at any moment.
    """
    recorder.told.wait()
    time.sleep(SECONDS_TO_STOP / 2)
    recorder.end_stopped()
    end_children()
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
