"""Configurations of sweeps, composed by Hydra from groups, a user's own files and the command line."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from precompute.errors import UsageError
from precompute.sweeps.presets import CONF, OWN
from precompute.sweeps.settings import SweepSettings, sweep_settings

PRIMARY = "best_of_k"
COMPOSING = threading.Lock()
"""Hydra keeps its state once for the whole process, and a server composes in several threads."""
GROUPS = tuple(SweepSettings.model_fields)


def compose_settings(arguments: Sequence[str]) -> SweepSettings:
    """The settings that the arguments make; raises UsageError, in one line, for what Hydra does not take."""
    return sweep_settings(composed(arguments))


def composed(arguments: Sequence[str]) -> dict[str, Any]:
    """The composed configuration as it stands, not yet checked."""
    from antlr4.error.Errors import ParseCancellationException
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    searched = [f"hydra.searchpath=[{quoted(f'file://{OWN.absolute()}')}]"] if OWN.is_dir() else []
    try:
        overrides = [_override(argument) for argument in arguments]
        with COMPOSING:
            GlobalHydra.instance().clear()
            with initialize_config_dir(config_dir=str(CONF), version_base="1.3", job_name=PRIMARY):
                made = compose(PRIMARY, [*searched, *overrides])
        found = OmegaConf.to_container(made, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, ParseCancellationException) as error:
        raise UsageError(
            " ".join(str(error).split())[:300],
            "overrides such as +eval.temperature=0.7, eval=quick, data=documentation",
            "see `python -m precompute.sweeps.best_of_k --help`",
        ) from None
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items() if value != {}}


def quoted(value: str) -> str:
    """A text as Hydra's grammar takes any."""
    # Backslashes count as escapes only where a quote, or the end, follows them.
    escaped = re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), value)
    return f"'{escaped}'"


def _override(argument: str) -> str:
    """One spelling: whether a key was there before, which Hydra's `+` is about, is no concern of the user.

    A group is chosen by its name alone, `eval=quick` or `+eval=quick`; anything else is a value.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(argument)
    if parsed.is_sweep_override():
        raise UsageError(f"several values in {argument}", "one", "run the command once for each")
    if parsed.is_delete():
        return argument
    _, _, value = argument.partition("=")
    if parsed.key_or_group in GROUPS and not value.startswith("{"):
        added = "+" if parsed.key_or_group == "eval" else ""
        return f"{added}{parsed.key_or_group}={value}"
    return f"++{parsed.key_or_group}={value}"
