"""The page of one token of the vocabulary."""

from __future__ import annotations

from functools import partial
from typing import Any

from dash import Dash, Input, Output, State, dcc, html

from dashboard.address import Address
from dashboard.components import token_panels
from dashboard.components.browser import in_browser
from dashboard.components.panels import absent, filled
from dashboard.components.server_grid import answer_requests
from dashboard.grid import rows_asked
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions.tokens import effect_table, known_token
from dashboard.sorted_rows import NO_ROWS, block, ordered, sorts_of_request, sorts_of_text
from precompute.errors import LightwellError


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page of the token that the address names."""
    try:
        token_id = known_token(queries, asked.parts[1])
    except LightwellError as error:
        if queries.absence(error, "corpus") is None:
            raise
        return html.Div([html.H1("Token"), absent(queries, "corpus", error)])
    page = token_panels.page_number(asked.parameters.get("page", "1"))
    sorts = sorts_of_text(asked.parameters.get("sort"), token_panels.EFFECT_COLUMNS)
    left = [
        token_panels.pushes_panel(queries, token_id),
        token_panels.effects_panel(queries, token_id, sorts),
    ]
    right = [token_panels.fires_panel(queries, token_id), token_panels.texts_panel(queries, token_id, page)]
    return html.Div(
        [
            dcc.Store(id="token-number", data=token_id),
            token_panels.heading(queries, token_id),
            html.Div(
                [html.Div(left, className="column"), html.Div(right, className="column")],
                className="feature-columns",
            ),
        ]
    )


def answer(queries: Queries, request: object, number: object) -> tuple[Any, str]:
    """A block of the features by their effect on a token; a sentence where there is none."""
    try:
        sorts = sorts_of_request(request, token_panels.EFFECT_COLUMNS)
        table = effect_table(queries, known_token(queries, number))
        return block(ordered(table, sorts, "feature"), rows_asked(request)), ""
    except LightwellError as error:
        return NO_ROWS, str(error)


def register(app: Dash, queries: Queries) -> None:
    """Other texts, and the features in another order; both go into the address."""

    number = State("token-number", "data")
    answer_requests(app, "effects-grid", "effects-note", partial(answer, queries), number)

    @app.callback(
        Output("token-texts", "children"),
        Input("texts-page", "value"),
        number,
        prevent_initial_call=True,
    )
    def texts(page: object, number: object) -> Any:
        token_id, wanted = known_token(queries, number), token_panels.page_number(page)
        return filled(queries, "token_features", lambda: token_panels.text_list(queries, token_id, wanted))

    in_browser(app, "rememberTexts", Input("texts-page", "value"))
    in_browser(app, "rememberEffects", Input("effects-grid", "getRowsRequest"))


def titled(asked: Address) -> str:
    """The title names the token by its id, which is short and never odd."""
    return f"Token {asked.parts[1][:9]}"


PAGE = Page(
    "/token/<id>",
    "Token",
    "One token: the features that push it up or down, those that fire on it, and where it stands.",
    layout,
    register,
    in_navigation=False,
    titled=titled,
    parameters=frozenset({"page", "sort"}),
    example="/token/3",
)
