"""The house: imports point one way, no pickle, no path of a machine, modules that say what they are for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "npy", "durable"),
    ("settings", "config", "artifacts", "command_line", "progress", "executors"),
    ("stores", "corpus", "models"),
    ("pipeline", "geometry"),
    (
        *("features", "reading", "labels", "demo", "jobs", "embeddings", "density", "extraction", "sweeps"),
        "export",
    ),
    ("unified",),
)
"""Rooms of precompute from the ground up; a module imports from its own floor or a lower one."""
MODULES = sorted((ROOT / "precompute").rglob("*.py")) + sorted((ROOT / "dashboard").rglob("*.py"))
LEGACY = ROOT / "precompute" / "models" / "legacy.py"
"""The one place that reads pickled weights, tensors alone, where the user allows it."""
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "data", "info"}


def floor_of(module: str) -> int | None:
    parts = module.split(".")
    if parts[0] != "precompute" or len(parts) == 1:
        return None
    return next(number for number, floor in enumerate(LAYERS) if parts[1] in floor)


def imported(path: Path) -> set[str]:
    """Modules of ours that a module imports, at its top or inside functions, except for types only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] in ("precompute", "dashboard")}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    own = name_of(path)
    floor = floor_of(own)
    for name in imported(path):
        if own.startswith("precompute"):
            assert not name.startswith("dashboard"), f"{own} imports {name}"
        other = floor_of(name)
        if floor is not None and other is not None:
            assert other <= floor, f"{own} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_pickled(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    imports = re.findall(r"^\s*(?:import|from) (?:pickle|joblib|dill|cloudpickle)\b.*", text, flags=re.M)
    assert imports == []
    assert "allow_pickle=True" not in text
    calls = re.findall(r"torch\.(?:load|save)\(.*", text)
    assert calls == [] or path == LEGACY
    assert all("weights_only=True" in call for call in calls)


def test_no_file_names_a_path_or_a_host_of_one_machine() -> None:
    suffixes = {".py", ".md", ".toml", ".sh", ".txt", ".json", ".css", ".js"}
    home = re.compile(r"(/home/\w|/root/|/Users/\w|/work/)")
    places = [p for p in ROOT.rglob("*") if p.suffix in suffixes and p.is_file()]
    kept = [
        p
        for p in places
        if not any(part.startswith(".") or part == "data" for part in p.relative_to(ROOT).parts)
    ]
    assert kept
    mine = Path(__file__)
    found = [p for p in kept if p != mine and home.search(p.read_text(encoding="utf-8"))]
    assert found == []
