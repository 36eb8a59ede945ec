"""The command `python -m precompute.labels export|import`: labels of a model type's SAE out and in."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from precompute.command_line import CommandParser, run_command
from precompute.errors import LabelError, LightwellError, UsageError
from precompute.labels.exchange import as_json
from precompute.labels.merge import Case, Decision, Side
from precompute.labels.offers import read_offers
from precompute.labels.spreadsheet import as_csv
from precompute.labels.store import LabelStore
from precompute.reading import Artifacts, open_artifacts

ENDINGS = ("csv", "json")
NAMED = 10
"""Features that a message names."""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    whole = CommandParser(prog="python -m precompute.labels", description="Labels of features, out and in.")
    commands = whole.add_subparsers(dest="command", required=True)
    out = commands.add_parser("export", help="write every label (.csv) or the whole history (.json)")
    taking = commands.add_parser("import", help="take in a file of either kind: all of it, or nothing")
    for command in (out, taking):
        command.add_argument("file", type=Path, metavar="FILE", help="its name ends with .csv or .json")
        command.add_argument("--model-type", required=True, metavar="NAME", help="full, ultra, or your own")
        command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with your model types")
        command.add_argument("--data-dir", type=Path, metavar="DIR", help="data directory")
    taking.add_argument("--author", metavar="NAME", help="who takes it in (default: your login name)")
    taking.add_argument("--keep", choices=("mine", "theirs"), help="which text stands in every conflict")
    return whole


def main(argv: list[str]) -> int:
    """Do what the arguments ask for."""
    given = parser().parse_args(argv)
    artifacts = open_artifacts(given.model_type, given.data_dir, given.config)
    if given.command == "export":
        return export(artifacts.labels(), given.file)
    return take_in(artifacts, given.file, given.author or getpass.getuser(), given.keep)


def export(store: LabelStore, path: Path) -> int:
    """Write labels to a file, by what its name ends with."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise UsageError(f"a file named {path.name!a}", "an ending .csv or .json", "give it one of the two")
    current = store.current()
    text = as_json(store.sae, store.changes()) if ending == "json" else as_csv(store.sae, current.values())
    # Spreadsheets take a file for UTF-8 by this mark.
    path.write_bytes(text.encode("utf-8-sig" if ending == "csv" else "utf-8"))
    n = sum(not change.content.is_empty for change in current.values())
    print(f"{path}: what is said of {n:,} features")
    return 0


def take_in(artifacts: Artifacts, path: Path, author: str, keep: Side | None) -> int:
    """Take in a file; raises LabelError for open conflicts, and then nothing is written."""
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"no file {path}", "a file of labels", "correct the path") from None
    store = artifacts.labels()
    offers = read_offers(raw, store.sae, author, _d_sae(artifacts))
    decisions = _decisions(store.judge(offers), keep)
    merged = store.merge(offers, decisions, author)
    if merged.undecided:
        raise _open(merged.undecided)
    print(f"{path}: {len(merged.changes):,} changes to {len({c.feature for c in merged.changes}):,} features")
    return 0


def _d_sae(artifacts: Artifacts) -> int | None:
    try:
        return artifacts.row_store().d_sae
    except LightwellError:  # Nothing is computed yet; then any number is taken.
        return None


def _decisions(cases: tuple[Case, ...], keep: Side | None) -> dict[int, Decision]:
    if keep is None:
        return {}
    conflicts = [(case, case.mine) for case in cases if case.kind == "conflict"]
    return {c.feature: Decision(keep, mine.uid, c.theirs.content) for c, mine in conflicts if mine}


def _open(undecided: tuple[Case, ...]) -> LabelError:
    named = ", ".join(str(case.feature) for case in undecided[:NAMED])
    more = ", …" if len(undecided) > NAMED else ""
    return LabelError(
        f"{len(undecided):,} conflicts (features {named}{more}); nothing was written",
        "a decision for each",
        "add --keep mine or --keep theirs, or import on the Labels page, where each is decided by itself",
    )


if __name__ == "__main__":
    sys.exit(run_command(main))
