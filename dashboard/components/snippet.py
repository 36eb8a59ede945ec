"""Python that reads what a feature's page shows."""

from __future__ import annotations

import shlex

from dashboard.queries import Queries
from dashboard.tables import optional


def snippet(queries: Queries, feature: int) -> str:
    """Code that runs as it is pasted; a line stands there only where its artifact does."""
    lines = [
        "from precompute import open_artifacts",
        "",
        f"artifacts = open_artifacts({queries.model_type.name!r}{_options(queries)})",
        f"activations = artifacts.feature({feature})  # .rows, .acts",
    ]
    if _knows(queries, "feature_stats", feature):
        lines.append(f"statistics = {_rows('feature_stats', feature)}")
    if _knows(queries, "examples", feature):
        lines.append(f'examples = {_rows("examples", feature)}  # .sort("band", "rank")')
        lines.append(
            f'text = artifacts.example(examples["example"][0], feature={feature})  # .str_tokens, .acts'
        )
    if _knows(queries, "influences", feature):
        lines.append(f"tokens = {_rows('influences', feature)}")
        directions, unembed = 'artifacts.array("directions")', 'artifacts.array("unembed")'
        lines.append(f"effects = {directions}[{feature}] @ {unembed}  # on every token")
    return "\n".join(lines)


def _rows(table: str, feature: int) -> str:
    return f'artifacts.scan("{table}").filter(feature={feature}).collect()'


def _knows(queries: Queries, step: str, feature: int) -> bool:
    """Whether a table has anything of a feature."""
    found = optional(lambda: queries.rows_of(step, feature))
    return found is not None and found.height > 0


def _options(queries: Queries) -> str:
    """The arguments that open the same artifacts, as the server was given them."""
    words = shlex.split(queries.options)
    pairs = zip(words[::2], words[1::2], strict=False)
    return "".join(f", {name[2:].replace('-', '_')}={value!r}" for name, value in pairs)
