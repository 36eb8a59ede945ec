"""The place of a Compute button, which assets/job_controls.js draws, with the job at work and its end."""

from __future__ import annotations

import re
from typing import Any

from dash import dcc, html

from dashboard.asks import Ask

COMMAND = re.compile(
    r"python -m precompute\.unified --model-type (?P<name>\S+)"
    r"(?: --only (?P<steps>\S+))?(?P<verify> --verify)?"
)
ORDERS = (
    "compute-order",
    "compute-progress",
    "compute-answer",
    "job-order",
    "job-answer",
    "refill",
    "refilled",
)
"""Stores through which buttons speak with the server."""


def control(ask: Ask, label: str = "Compute", whole_page: bool = False) -> html.Output:
    """A button that has it computed, with the expected cost; then how far it is, and Cancel.

    What was computed is drawn in the part of the page around it, or all over the page. An element of a kind
    that no page uses otherwise, so that what the script draws in it stays apart.
    """
    told: dict[str, Any] = {"data-ask": ask.key, "data-label": label}
    if whole_page:
        told["data-fills"] = "page"
    return html.Output(className="compute", **told)


def ask_of_command(command: str, step: str | None = None) -> Ask | None:
    """What a command that an error names would compute; None where that is not known.

    `--verify` repairs nothing by itself: what is to be computed then is the step that was missed.
    """
    found = COMMAND.match(command)
    if found is None or (found["verify"] and not step):
        return None
    if found["verify"]:
        return Ask(found["name"], (str(step),), verify=True)
    return Ask(found["name"], tuple(found["steps"].split(",")) if found["steps"] else ())


def orders() -> list[dcc.Store]:
    """What the buttons of all pages need once."""
    return [dcc.Store(id=name) for name in ORDERS]
