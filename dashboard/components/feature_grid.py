"""The grid of the feature table: how AG Grid is told about columns, rows, sorts and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dash_ag_grid as dag
import polars as pl

from dashboard import grid
from dashboard.columns import COLUMNS, Column
from dashboard.components.server_grid import COLUMN_DEFAULTS, OPTIONS, described

FORMATTERS: Mapping[str, str] = MappingProxyType(
    {"count": "lightwellCount", "decimal": "lightwellDecimal", "share": "lightwellShare"}
)
RENDERERS: Mapping[str, str] = MappingProxyType(
    {
        "feature": "FeatureCell",
        "related": "FeatureCell",
        "tokens": "TokensCell",
        "cluster": "TextCell",
        "text": "TextCell",
    }
)
SHARE_FILTER: Mapping[str, Any] = MappingProxyType(
    {
        "allowedCharPattern": r"[\d.,\-eE+ %]",
        "numberParser": {"function": "lightwellReadShare(params)"},
        "numberFormatter": {"function": "lightwellWriteShare(params)"},
    }
)
"""Shares are typed as they are shown, in percent; addresses keep them as fractions of 1."""


def feature_grid(
    table: pl.DataFrame, view: grid.View, shown: Sequence[str], name: str = "grid", choosing: bool = True
) -> dag.AgGrid:
    """The grid, which asks for blocks of rows as one scrolls; `shown` are the names of its columns.

    `choosing` says whether rows can be chosen.
    """
    there = [column for column in COLUMNS if column.name in table.columns]
    return dag.AgGrid(
        id=name,
        rowModelType="infinite",
        columnDefs=[column_definition(column, view, column.name in shown) for column in there],
        defaultColDef=COLUMN_DEFAULTS | {"sortable": True, "floatingFilter": True, "suppressMovable": True},
        filterModel=grid.filter_model(view),
        getRowId="params.data.feature.toString()",
        dashGridOptions={**OPTIONS, **(CHOICE if choosing else {})},
        className="feature-grid",
        style={"height": None, "width": "100%"},
    )


CHOICE: Mapping[str, Any] = MappingProxyType(
    {
        "rowSelection": {
            "mode": "multiRow",
            "checkboxes": True,
            "headerCheckbox": False,
            "enableClickSelection": False,
        },
        "selectionColumnDef": {"pinned": "left", "width": 38, "resizable": False},
    }
)
"""How rows are chosen."""


def column_definition(column: Column, view: grid.View, is_shown: bool = True) -> dict[str, Any]:
    """AG Grid's definition of a column, sorted as the view says."""
    share = SHARE_FILTER if column.kind == "share" else {}
    definition: dict[str, Any] = {
        **described(column, view.sorts),
        "filter": "agTextColumnFilter" if column.is_text else "agNumberColumnFilter",
        "filterParams": {"maxNumConditions": 1, "debounceMs": 250, **share},
        "minWidth": 80,
        "hide": not is_shown,
    }
    if column.is_text:
        definition |= {"flex": column.width // 50, "minWidth": min(column.width, 150)}
    if column.kind in FORMATTERS:
        call = f"{FORMATTERS[column.kind]}(params.value)"
        definition |= {"valueFormatter": {"function": call}, "type": "rightAligned"}
    if column.kind in RENDERERS:
        definition["cellRenderer"] = RENDERERS[column.kind]
    if column.name == "feature":
        definition |= {"pinned": "left", "lockPinned": True}
    return definition
