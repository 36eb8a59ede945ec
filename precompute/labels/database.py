"""The file that labels are kept in: one SQLite database for a data directory, private, never half-written."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from precompute.errors import LabelError

LABELS_FILE = "labels.sqlite"
FORMAT_VERSION = 1
SECONDS_TO_WAIT = 20.0
"""For another process that is writing."""
SCHEMA = """
CREATE TABLE change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    uid TEXT NOT NULL UNIQUE,
    sae TEXT NOT NULL,
    feature INTEGER NOT NULL,
    label TEXT NOT NULL,
    category TEXT NOT NULL,
    confidence INTEGER,
    notes TEXT NOT NULL,
    author TEXT NOT NULL,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    undoes TEXT,
    batch INTEGER NOT NULL,
    actor TEXT NOT NULL
);
CREATE INDEX change_of_feature ON change (sae, feature, number);
CREATE INDEX change_in_order ON change (sae, number);
CREATE TABLE set_change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sae TEXT NOT NULL,
    name TEXT NOT NULL,
    features TEXT,
    author TEXT NOT NULL,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    undoes INTEGER,
    other TEXT
);
CREATE INDEX set_change_of_name ON set_change (sae, name, number);
CREATE INDEX set_change_in_order ON set_change (sae, number);
CREATE TRIGGER change_stays BEFORE UPDATE ON change BEGIN SELECT RAISE(ABORT, 'history only grows'); END;
CREATE TRIGGER change_is_kept BEFORE DELETE ON change BEGIN SELECT RAISE(ABORT, 'history only grows'); END;
CREATE TRIGGER set_change_stays BEFORE UPDATE ON set_change
    BEGIN SELECT RAISE(ABORT, 'history only grows'); END;
CREATE TRIGGER set_change_is_kept BEFORE DELETE ON set_change
    BEGIN SELECT RAISE(ABORT, 'history only grows'); END;
"""
"""What is said now is the last change of each feature, and of each set's name; a set's features are a JSON
list, or NULL where it was removed."""


class Database:
    """One data directory's labels. Threads share its connection; processes share the file.

    Nothing is created before something is written. Raises LabelError for a file that cannot be used.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LABELS_FILE
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, ...] = ()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection, for one question; None where nothing has been written yet."""
        with self._lock, self._told():
            yield self._current() if self.path.exists() else None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection inside one transaction: all of it is kept, or nothing."""
        with self._lock, self._told():
            if not self.path.exists():
                self._create()
            connection = self._current()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            _settle(connection)

    def _current(self) -> sqlite3.Connection:
        """The open connection; a file that was replaced is opened anew, and so is one after a fork."""
        stat = self.path.stat()
        identity = (os.getpid(), stat.st_dev, stat.st_ino)
        if self._connection is None or identity != self._opened:
            self._connection, self._opened = self._open(), identity
        return self._connection

    def _open(self) -> sqlite3.Connection:
        # Where the directory cannot be written to, nobody writes, and SQLite need not look for writers.
        options = "mode=rw" if os.access(self.path.parent, os.W_OK) else "mode=ro&immutable=1"
        connection = _connect(f"{self.path.resolve().as_uri()}?{options}")
        weakref.finalize(self, connection.close)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != FORMAT_VERSION:
            raise LabelError(
                f"{self.path} of format {version}",
                f"format {FORMAT_VERSION}",
                "use the version that wrote it",
            )
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _create(self) -> None:
        """Make the file beside its place, whole and private, and give it its name if nobody did before."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".tmp-{LABELS_FILE}-")
        os.close(handle)
        staging = Path(name)
        try:
            connection = _connect(staging.resolve().as_uri())
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN;{SCHEMA}PRAGMA user_version = {FORMAT_VERSION};COMMIT;")
            connection.close()
            self.path.hardlink_to(staging)
        except FileExistsError:
            pass
        finally:
            staging.unlink()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LabelError(
                f"{self.path} that cannot be used ({error})",
                "a database of labels in a directory that can be written",
                "put a copy of it back, or move it away to begin anew",
            ) from error


def _settle(connection: sqlite3.Connection) -> None:
    """Move what was written from the log into the file, so that a copy of that one file is whole.

    Where another process is at work, it is left to the next write.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * SECONDS_TO_WAIT)}")


def _connect(uri: str) -> sqlite3.Connection:
    # Transactions are begun by hand: the module's own begin later than the reads that they depend on.
    return sqlite3.connect(
        uri, uri=True, timeout=SECONDS_TO_WAIT, isolation_level=None, check_same_thread=False
    )
