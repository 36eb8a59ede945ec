"""Named views of the feature table, kept beside the artifacts so that every browser sees them."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from dashboard import columns, grid
from dashboard.address import AddressError, parse, shortened, with_parameters
from precompute.artifacts.locks import ArtifactLock
from precompute.durable import settle
from precompute.errors import UsageError

FILE = "saved_views.json"
LONGEST_NAME = 60
MOST_VIEWS = 200


@dataclass(frozen=True)
class SavedView:
    """One view under its name."""

    name: str
    query: str
    """The parameters of its address, without the question mark; empty for all features."""

    @property
    def path(self) -> str:
        """Its address below the model type's."""
        return f"/features?{self.query}" if self.query else "/features"


class SavedViews:
    """The views of one model type. Each question reads the file; a change replaces it whole, under a lock."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = ArtifactLock(directory, "saved_views")

    def listed(self) -> tuple[SavedView, ...]:
        """All views by name; raises UsageError where the file cannot be understood."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return tuple(SavedView(str(view["name"]), str(view["query"])) for view in found["views"])
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"saved views that cannot be read ({type(error).__name__})",
                f"a list of views in {self._path}",
                "correct that file or move it away",
            ) from error

    def save(self, name: object, search: object) -> tuple[SavedView, ...]:
        """Keep the view of an address under a name, in place of one that has it; raises AddressError."""
        view = SavedView(_checked_name(name), canonical(search))
        with self._lock:
            others = [other for other in self.listed() if other.name != view.name]
            if len(others) >= MOST_VIEWS:
                raise AddressError("one more saved view", f"at most {MOST_VIEWS}", "remove one first")
            return self._write([*others, view])

    def remove(self, name: object) -> tuple[SavedView, ...]:
        """Forget a view; one that is not there is none to forget."""
        with self._lock:
            return self._write([view for view in self.listed() if view.name != name])

    def _write(self, views: list[SavedView]) -> tuple[SavedView, ...]:
        ordered = sorted(views, key=lambda view: (view.name.casefold(), view.name))
        text = json.dumps({"views": [asdict(view) for view in ordered]}, ensure_ascii=False, indent=1)
        handle, staged = tempfile.mkstemp(prefix=".tmp-", dir=self._path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        settle(Path(staged), self._path)
        return tuple(ordered)


def _checked_name(name: object) -> str:
    given = name.strip() if isinstance(name, str) else ""
    if not given or len(given) > LONGEST_NAME or not given.isprintable():
        raise AddressError(
            f"a view named {shortened(name)}", f"1 to {LONGEST_NAME} printable characters", "choose a name"
        )
    return given


def canonical(search: object) -> str:
    """The parameters of an address of the feature table, checked and written in one way."""
    asked = parse("/features", search)
    shown = columns.chosen(asked.parameters.get(columns.COLUMNS_PARAMETER))
    view = grid.parameters_of_view(grid.view_of_address(asked))
    _, _, query = with_parameters("", {**view, **columns.columns_parameter(shown)}).partition("?")
    return query
