"""A job's progress, told to the terminal in which the server was started."""

from __future__ import annotations

import sys
import threading
import time

from precompute.jobs.board import JobBoard
from precompute.jobs.record import JobError, JobRecord
from precompute.progress import TerminalBar

SECONDS_BETWEEN_LOOKS = 0.5


class Narrator:
    """Tells of one job until it ends, beside whatever else the server does."""

    def __init__(self, board: JobBoard, record: JobRecord) -> None:
        self._board, self._record = board, record
        self._bar: TerminalBar | None = None
        self._at: tuple[str | None, str, int] = (None, "", 0)
        self._n_shown = self._n_told = 0
        self._said = ""
        threading.Thread(target=self._tell, name="narrator", daemon=True).start()

    def _tell(self) -> None:
        while self._record.is_active:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            try:
                self._record = self._board.find(self._record.id)
            except JobError:
                return
            self._tell_steps()
            self._tell_progress()
        self._close_bar()
        self._tell_end()

    def _tell_steps(self) -> None:
        for done in self._record.done[self._n_told :]:
            self._n_told += 1
            label = f"[{self._n_told:2d}/{len(self._record.steps)}] {done.step:<17s}"
            self._say(f"{label} {done.seconds:7.1f} s {done.n_bytes / 1e6:9.1f} MB")

    def _tell_progress(self) -> None:
        now, at = self._record, (self._record.step, self._record.unit, self._record.n_total)
        if at != self._at or now.n_done < self._n_shown:
            self._close_bar()
            self._at, self._n_shown = at, 0
        if now.step is None and now.reason and now.reason != self._said:
            self._said = now.reason
            self._say(now.reason)
        if now.step is None or not now.n_total:
            return
        if self._bar is None:
            self._bar = TerminalBar(f"[{len(now.done) + 1:2d}/{len(now.steps)}] {now.step:<17s}", now.reason)
            self._bar.start(now.n_total, now.unit)
        self._bar.advance(now.n_done - self._n_shown)
        self._n_shown = now.n_done

    def _tell_end(self) -> None:
        record = self._record
        if record.state == "finished":
            self._say(f"{record.model_type}: everything is computed; open pages show it by themselves")
        else:
            why = f": {record.error}" if record.error else ""
            self._say(f"{record.model_type}: the computation was {record.state}{why}; see the Jobs page")

    def _say(self, line: str) -> None:
        self._close_bar()
        print(line, file=sys.stderr, flush=True)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
