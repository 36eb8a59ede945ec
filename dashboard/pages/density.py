"""Density weights of prompts: how they are spread, what the sampler draws, what other settings would do."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
import polars as pl
from dash import Dash, Input, Output, State, dcc, html

from dashboard import formats
from dashboard.address import Address
from dashboard.asks import Ask
from dashboard.components import density_panels, statement_map
from dashboard.components.browser import in_browser, spoken
from dashboard.components.embedding_states import outdated_weights
from dashboard.components.panels import empty
from dashboard.downloads import serve_tables
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions import density
from dashboard.questions.density import CHOICES, settings_of
from precompute.errors import ArtifactMissingError, CorruptArtifactError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page, with the settings that its address names."""
    try:
        run = density.opened(queries, asked.parameters.get("source"))
    except (ArtifactMissingError, CorruptArtifactError) as error:
        sentence, _, command = str(error).partition("; run: ")
        return html.Div(
            [
                html.H1("Density"),
                statement_map.tabs(queries, "/density"),
                empty(sentence, command or None, Ask("density:base")),
            ]
        )
    chosen = settings_of(run, asked.parameters)
    found = density.weighed(queries, run, chosen)
    source = dmc.Select(
        id="density-source",
        data=[{"value": name, "label": name} for name in density.names(queries)],
        value=run.name,
        allowDeselect=False,
        size="xs",
        w=150,
        **spoken("Model source"),
    )
    said = html.Span(density_panels.changed(found), id="density-said", className="dim", role="status")
    standard = {"exponent": run.settings.exponent, "cap": run.settings.cap, "mix": run.settings.mix}
    stores = [
        dcc.Store(id="density-run", data=run.name),
        dcc.Store(id="density-standard", data=standard),
    ]
    export = density_panels.export_menu(queries)
    head = html.Div(
        [html.H1("Density"), statement_map.tabs(queries, "/density"), said, source, export, *stores],
        className="grid-bar map-head",
    )
    return html.Div(
        [
            head,
            html.P(density_panels.about(run), className="caption set-facts"),
            html.Div(id="density-states"),
            density_panels.sliders(chosen),
            html.Div(density_panels.results(found), id="density-results"),
        ]
    )


def exported(queries: Queries, asked: Address) -> tuple[pl.DataFrame, str]:
    """The weights of an address as a table, and a name for the file."""
    run = density.opened(queries, asked.parameters.get("source"))
    table = density.exported(density.weighed(queries, run, settings_of(run, asked.parameters)))
    return table, f"{run.name}-density-weights"


def register(app: Dash, queries: Queries) -> None:
    """The sliders' effect at once; all of it goes into the address."""
    moved = [Input(f"density-{name}", "value") for name in CHOICES]

    @app.callback(
        Output("density-results", "children"),
        Output("density-said", "children"),
        *(Output(f"density-{name}-value", "children") for name in CHOICES),
        *moved,
        State("density-run", "data"),
        prevent_initial_call=True,
    )
    def weigh(*given: object) -> Any:
        run = density.opened(queries, given[-1])
        chosen = settings_of(run, dict(zip(CHOICES, given[:-1], strict=True)))
        found = density.weighed(queries, run, chosen)
        shown = (formats.decimal(value) for value in (chosen.exponent, chosen.cap, chosen.mix))
        return density_panels.results(found), density_panels.changed(found), *shown

    @app.callback(Output("density-states", "children"), Input("density-run", "data"))
    def freshness(source: object) -> Any:
        return outdated_weights(queries, density.opened(queries, source).name)

    in_browser(app, "rememberDensity", *moved, State("density-standard", "data"))
    in_browser(app, "chooseDensity", Input("density-source", "value"), State("density-run", "data"))
    in_browser(
        app,
        "resetDensity",
        Input("density-reset", "n_clicks"),
        State("density-standard", "data"),
        to=[Output(f"density-{name}", "value") for name in CHOICES],
    )
    serve_tables(app.server, "/density", lambda asked: exported(queries, asked))


PAGE = Page(
    "/density",
    "Density",
    "Density weights of prompts: how they are spread, what the sampler draws, what other settings would do.",
    layout,
    register,
    in_navigation=False,
    parameters=frozenset({"source", *CHOICES}),
)
