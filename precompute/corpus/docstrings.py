"""The docstrings of one Python file, found by parsing it: the code is never imported or run."""

from __future__ import annotations

import ast
import inspect
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIN_CHARACTERS = 40
"""Shorter docstrings ("See base class.") say too little to be a text."""


@dataclass(frozen=True)
class SourceFile:
    """One Python file to read."""

    package: str
    """The listed package that it belongs to."""
    module: str
    """Its dotted module name."""
    path: Path
    """Where it is on this machine."""


@dataclass(frozen=True)
class Docstring:
    """One cleaned docstring and where it stands."""

    package: str
    """The listed package that it belongs to."""
    module: str
    """Dotted name of the module that holds it."""
    kind: str
    """`module`, `class`, `function` or `method`."""
    name: str
    """Qualified name inside the module; the module's own name for a module."""
    text: str
    """The docstring as `inspect.cleandoc` gives it."""


@dataclass(frozen=True)
class ParsedFile:
    """What one file gave."""

    docstrings: tuple[Docstring, ...]
    """In order of their position in the file."""
    problem: str | None
    """Why the file could not be parsed (templates and Python 2 files exist), or None."""


def parse_file(source: SourceFile) -> ParsedFile:
    """Read one file and return its docstrings of at least `MIN_CHARACTERS` characters."""
    try:
        with tokenize.open(source.path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code
            tree = ast.parse(stream.read())
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        return ParsedFile((), f"{source.module}: {type(error).__name__}: {error}")
    found = (
        Docstring(source.package, source.module, kind, name or source.module, text)
        for kind, name, text in _walk(tree, "", "module")
    )
    return ParsedFile(tuple(entry for entry in found if len(entry.text) >= MIN_CHARACTERS), None)


def _walk(node: ast.AST, name: str, kind: str) -> Iterator[tuple[str, str, str]]:
    """Yield (kind, qualified name, text) of a definition and of those inside it, in file order."""
    docstring = _docstring(node)
    if docstring is not None:
        yield kind, name, inspect.cleandoc(docstring)
    for child in _definitions(node):
        child_name = f"{name}.{child.name}" if name else child.name
        yield from _walk(child, child_name, _kind(child, parent_kind=kind))


def _docstring(node: ast.AST) -> str | None:
    """Return the raw docstring of a module, class or function node."""
    body = getattr(node, "body", None)
    if not body or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Constant):
        return None
    value = body[0].value.value
    return value if isinstance(value, str) else None


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _definitions(node: ast.AST) -> Iterator[Definition]:
    """Yield the definitions directly inside a node, also those under `if`, `try` and `with`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield child
        elif isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _definitions(child)


def _kind(node: Definition, parent_kind: str) -> str:
    """Name the kind of a definition: a function directly inside a class is a method."""
    if isinstance(node, ast.ClassDef):
        return "class"
    return "method" if parent_kind == "class" else "function"
