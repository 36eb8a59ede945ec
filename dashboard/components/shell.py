"""What surrounds every page: the header, navigation, light and dark."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.components.browser import other_base, spoken
from dashboard.components.compute import orders
from dashboard.components.menus import button_words, menu_target
from dashboard.components.palette import palette_button
from dashboard.pages import PAGES
from dashboard.queries import Queries

DARK = [
    "#e4e8ee",
    "#c3cad4",
    "#9aa5b4",
    "#717c8b",
    "#4a5360",
    "#323943",
    "#262b33",
    "#1b1f25",
    "#171a20",
    "#14171c",
]
"""Greys of the dark scheme, from text to ground, as Mantine numbers them."""
THEME = {
    "colors": {"dark": DARK},
    "primaryColor": "indigo",
    # White on it is read as easily as text must be.
    "primaryShade": {"light": 7, "dark": 8},
    "defaultRadius": "md",
    "fontFamily": "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif",
    "fontFamilyMonospace": "ui-monospace, 'SF Mono', 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, monospace",
    "respectReducedMotion": True,
}


def shell(queries: Queries) -> dmc.MantineProvider:
    """The frame in which pages appear."""
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="page-title"),
            *orders(),
            html.A("Skip to content", href="#page", className="skip"),
            header(queries),
            html.Div(id="connection", className="notice", role="alert", hidden=True),
            html.Div(id="notice"),
            html.Main(id="page", className="page"),
        ],
        theme=THEME,
        defaultColorScheme="auto",
    )


def header(queries: Queries) -> html.Header:
    """Brand, pages, the command palette, the model type, and the switch of the colour scheme."""
    return html.Header(
        [
            dcc.Link(
                [html.Span(className="brand-mark"), "Lightwell"], href=queries.href("/"), className="brand"
            ),
            html.Nav(id="navigation", className="navigation", **spoken("Pages")),
            html.Div(className="grow"),
            palette_button(),
            jobs_badge(queries),
            switch(queries),
            dmc.ColorSchemeToggle(
                lightIcon=html.Span(className="icon-sun"),
                darkIcon=html.Span(className="icon-moon"),
                variant="subtle",
                color="gray",
                size="md",
                **spoken("Switch between light and dark"),
            ),
        ],
        className="header",
    )


def jobs_badge(queries: Queries) -> dcc.Link:
    """How many jobs run, on every page; leads to them."""
    inner: list[Any] = ["Jobs", html.Span(id="jobs-count")]
    return dcc.Link(inner, href=queries.href("/jobs"), id="jobs-badge", className="jobs-badge")


def switch(queries: Queries) -> Any:
    """The model type that is shown, and where there are others, a menu of them."""
    name, place = queries.model_type.name, queries.place
    if len(place.names) < 2:
        return html.Span(name, className="model-type", title="Model type that is shown")
    sign = menu_target(button_words(name), "model-type", "model-type")
    others = [
        dmc.MenuItem(
            other,
            href=f"{place.base_of(other)}/",
            target="_top",  # Followed as the browser has it, which knows the place that is kept.
            disabled=other == name,
            className="keeps-place",
            **other_base(place.base_of(other)),
        )
        for other in place.names
    ]
    menu = [sign, dmc.MenuDropdown([dmc.MenuLabel("Model type"), *others])]
    return dmc.Menu(menu, position="bottom-end", shadow="md")


def navigation(queries: Queries, path: str) -> list[Any]:
    """Links to the pages that have one, the present one marked."""
    listed = [page for page in PAGES if page.in_navigation]
    return [
        dcc.Link(page.title, href=queries.href(page.path), className="here" if page.path == path else "")
        for page in listed
    ]
