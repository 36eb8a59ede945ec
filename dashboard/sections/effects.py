"""Section: the tokens whose logits the feature moves most, and a search for any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import Dash, Input, Output, State, html

from dashboard import figures, formats
from dashboard.address import Address
from dashboard.components.browser import in_browser
from dashboard.components.choices import field
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, filled
from dashboard.components.tokens import token_table
from dashboard.queries import Queries
from dashboard.questions.token_effects import d_vocab, find_tokens, search_of
from dashboard.records import Effect
from dashboard.sections.section import Filling, Section


def layout(queries: Queries, feature: int, asked: Address) -> Filling:
    """The strongest tokens each way; what is searched for comes later."""
    found = queries.effects(feature)
    words = "Promoted and suppressed tokens as bars; the numbers are in the tables below."
    tables = [_way(queries, "Promoted", found.promoted), _way(queries, "Suppressed", found.suppressed)]
    search = field(
        "token", "Any token", "its text, or #number", value=asked.parameters.get("token"), width=260
    )
    hint = filled(queries, "directions", lambda: found_tokens(queries, feature, ""))
    content = [
        graph("effects-figure", figures.token_bars(found.promoted, found.suppressed), words),
        html.Div(tables, className="ways"),
        html.Div([search, html.Div(hint, id="token-found")], className="token-search"),
    ]
    return Filling(content)


def _way(queries: Queries, name: str, effects: Sequence[Effect]) -> html.Div:
    tokens = {effect.token_id: effect.token for effect in effects}
    numbers = [formats.signed(effect.influence, 4) for effect in effects]
    return token_table(queries, tokens, [numbers], [name, "Logits per unit"], f"{name} tokens")


def found_tokens(queries: Queries, feature: int, search: str) -> Any:
    """Value and rank of the tokens that a search finds."""
    if not search:
        return html.P(f"Value and rank of any of the {d_vocab(queries):,} tokens.", className="caption")
    found = find_tokens(queries, feature, search)
    if not found.shown:
        return empty("No token of the vocabulary holds that; spaces count, and ␣ stands for one")
    effects = [formats.signed(token.effect, 4) for token in found.shown]
    ranks = [f"{token.rank:,}" for token in found.shown]
    headings = ["Token", "Logits per unit", f"Rank of {found.d_vocab:,}"]
    tokens = {token.token_id: token.token for token in found.shown}
    table = token_table(queries, tokens, [effects, ranks], headings, "Tokens found")
    if found.n_found == len(found.shown):
        return table
    more = f"{found.n_found:,} tokens hold it; shown are exact matches first, then the strongest effects."
    return [table, html.P(more, className="caption")]


def register(app: Dash, queries: Queries) -> None:
    """The search, which waits for the page to be drawn."""

    @app.callback(Output("token-found", "children"), Input("token", "value"), State("feature-number", "data"))
    def search(value: object, number: object) -> Any:
        feature = queries.known_feature(number)
        return filled(queries, "directions", lambda: found_tokens(queries, feature, search_of(value)))

    in_browser(app, "remember_token", Input("token", "value"))


SECTION = Section(
    anchor="effects",
    title="Direct logit effect",
    place="left",
    steps=("influences", "directions"),
    explanation="What one unit of activation adds to each token's logit by the direct path: s · (W_dec[f] "
    "⊙ gain) · W_U, with s the mean inverse scale of the final norm. Rank 1 is the token that is promoted "
    "most.",
    layout=layout,
    register=register,
    short="Tokens",
    parameters=("token",),
)
