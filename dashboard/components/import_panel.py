"""Taking in a file of labels: what it would change, conflicts side by side, and the button that does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update
from flask import Response, jsonify, request

from dashboard.address import feature_path
from dashboard.components.browser import spoken
from dashboard.components.panels import panel
from dashboard.downloads import Attachment, attached
from dashboard.labelling.editing import read_author
from dashboard.labelling.import_desk import ImportDesk, Waiting, read_side
from dashboard.labelling.text import FIELD_NAMES, field, shown, signed
from dashboard.queries import Queries
from precompute.errors import LightwellError
from precompute.labels.content import Content
from precompute.labels.exchange import as_json
from precompute.labels.merge import Case, Kind, Merged, Side
from precompute.labels.spreadsheet import as_csv

PATH = "/labels/import"
CONFLICTS_SHOWN = 100
KIND_WORDS: Mapping[Kind, str] = {
    "added": "new here",
    "updated": "later versions of yours",
    "same": "equal to yours",
    "known": "known already",
    "conflict": "in conflict with yours",
}
"""What a file's features may be, in the order in which they are told."""
SIDES = [{"value": "mine", "label": "Keep ours"}, {"value": "theirs", "label": "Take theirs"}]
EXPLANATION = (
    "Lightwell's own JSON carries every change with its author and time, so that two histories are joined; a "
    "CSV needs a column feature and some of label, category, confidence, notes. Nothing is written before "
    "every conflict is decided, and one button takes the whole import back."
)


def import_panel(queries: Queries) -> Any:
    """Export, and a field for a file."""
    exports = html.Div(
        [
            html.A("Export CSV", href=queries.href("/labels.csv"), className="small-button", target="_top"),
            html.A("Export JSON", href=queries.href("/labels.json"), className="small-button", target="_top"),
        ],
        className="label-exports",
    )
    choose = html.Button("Import a file…", id="import-choose", className="small-button", type="button")
    parts = [
        html.Div([exports, choose], className="label-files"),
        dcc.Store(id="import-file"),
        dcc.Store(id="import-done"),
        html.Div(id="import-review", role="status"),
    ]
    return panel("Export and import", parts, explanation=EXPLANATION, anchor="exchange")


def review(queries: Queries, waiting: Waiting, cases: tuple[Case, ...]) -> html.Div:
    """What a file would change, and its conflicts."""
    open_ones = [case for case in cases if case.kind == "conflict"]
    counted = Counter(case.kind for case in cases)
    parts = [f"{counted[k]:,} {words}" for k, words in KIND_WORDS.items() if counted[k]]
    summary = f"{shown(waiting.name, 60)}: {', '.join(parts) or 'no label'}."
    rows = [_conflict(queries, case) for case in open_ones[:CONFLICTS_SHOWN]]
    left_out = len(open_ones) - len(rows)
    return html.Div(
        [
            html.P(summary, className="import-summary"),
            *rows,
            _rest(len(open_ones), left_out),
            html.Div(
                [
                    html.Button("Take in", id="import-go", className="small-button strong", n_clicks=0),
                    html.Button("Leave it", id="import-leave", className="small-button", n_clicks=0),
                ],
                className="clash-choices",
            ),
        ]
    )


def _rest(n_open: int, n_left_out: int) -> html.Div:
    """The choice for every conflict that has none of its own."""
    words = f"{n_left_out:,} more, and those" if n_left_out else "Those"
    control = dmc.SegmentedControl(
        id="import-rest",
        data=[{"value": "", "label": "Decide each"}, *SIDES],
        value="",
        size="xs",
        **spoken("Conflicts without a choice of their own"),
    )
    style = {} if n_open else {"display": "none"}
    return html.Div([html.Span(f"{words} without a choice:"), control], className="import-rest", style=style)


def _conflict(queries: Queries, case: Case) -> html.Div:
    """Two texts of one feature, side by side."""
    mine = case.mine.content if case.mine else Content()
    names = mine.differing(case.theirs.content)
    cells: list[Any] = [html.Span(), html.Span("ours", className="dim"), html.Span("theirs", className="dim")]
    for name in names:
        cells += [html.B(FIELD_NAMES[name]), _text(mine, name), _text(case.theirs.content, name)]
    cells += [html.Span(), *(html.Span(signed(c), className="dim") for c in (case.mine, case.theirs) if c)]
    choice = dmc.SegmentedControl(
        id={"type": "import-choice", "feature": case.feature},
        data=[{"value": "", "label": "?"}, *SIDES],
        value="",
        size="xs",
        **spoken(f"Feature {case.feature}: whose label stands"),
    )
    link = dcc.Link(f"Feature {case.feature}", href=queries.href(feature_path(case.feature)))
    head = html.Div([link, choice], className="import-head")
    return html.Div([head, html.Div(cells, className="clash-field")], className="import-conflict")


def _text(content: Content, name: str) -> html.Span:
    text = field(content, name)
    return html.Span(text if len(text) <= 400 else text[:399] + "…") if text else html.Span("–")


def result(merged: Merged) -> list[Any]:
    """What an import did, and a way to take it back."""
    if not merged.changes:
        return [html.P("Nothing new in it: nothing was written.", className="import-summary")]
    n = len({change.feature for change in merged.changes})
    words = f"Taken in: {n:,} {'feature' if n == 1 else 'features'}, {len(merged.changes):,} changes."
    undo = html.Button("Take the import back", id="import-undo", className="small-button", n_clicks=0)
    return [html.P(words, className="import-summary"), undo]


def received(queries: Queries, desk: ImportDesk, raw: bytes, name: str, author: str) -> Response:
    """The token of a file that was sent, or why it cannot be taken."""
    try:
        token = desk.put(unquote(name)[:200] or "file", raw, read_author(unquote(author), queries.labels))
        return jsonify(token=token)
    except LightwellError as error:
        return jsonify(problem=f"{error}.")


def go(
    queries: Queries,
    desk: ImportDesk,
    token: object,
    asked: tuple[Mapping[int, Side], Side | None],
    actor: str,
) -> Any:
    """Take a file in as it was decided; what is still open is shown again."""
    merged = desk.take_in(token, *asked, actor)
    if merged.undecided:
        shown_again = review(queries, *desk.look(token))
        n = len(merged.undecided)
        told = html.P(
            f"{n:,} {'conflict is' if n == 1 else 'conflicts are'} not decided.", className="warned"
        )
        return [told, shown_again], no_update
    desk.forget(token)
    return result(merged), merged.changes[0].batch if merged.changes else None


def taken_back(queries: Queries, batch: object, author: object) -> list[Any]:
    """Undo an import as a whole."""
    number = batch if isinstance(batch, int) and not isinstance(batch, bool) else -1
    undone = queries.labels.store.undo_batch(number, read_author(author, queries.labels))
    return [html.P(f"Taken back: {len(undone):,} features are as before.", className="import-summary")]


def exported(queries: Queries, ending: str) -> Response:
    """All labels as a file."""

    def made() -> Attachment:
        store, name = queries.labels.store, f"{queries.model_type.name}-labels.{ending}"
        if ending == "json":
            return Attachment(name, as_json(store.sae, store.changes()), "application/json")
        # Spreadsheets take a file for UTF-8 by this mark.
        text = "\ufeff" + as_csv(store.sae, store.current().values())
        return Attachment(name, text, "text/csv; charset=utf-8")

    return attached(made)


def register(app: Dash, queries: Queries) -> None:
    """Files out, files in, decisions, and the way back."""
    desk = ImportDesk(queries)
    app.server.add_url_rule("/labels.csv", "labels.csv", lambda: exported(queries, "csv"))
    app.server.add_url_rule("/labels.json", "labels.json", lambda: exported(queries, "json"))

    def send() -> Response:
        headers = request.headers
        name, author = headers.get("X-File-Name", ""), headers.get("X-Author", "")
        return received(queries, desk, request.get_data(), name, author)

    app.server.add_url_rule(PATH, "labels.import", send, methods=["POST"])

    @app.callback(
        Output("import-review", "children"),
        Input("import-file", "data"),
        prevent_initial_call=True,
    )
    def look(token: object) -> Any:
        return review(queries, *desk.look(token))

    @app.callback(
        Output("import-review", "children", allow_duplicate=True),
        Output("import-done", "data"),
        Input("import-go", "n_clicks"),
        State("import-rest", "value"),
        State({"type": "import-choice", "feature": ALL}, "value"),
        State("import-file", "data"),
        State("label-author", "value"),
        prevent_initial_call=True,
    )
    def take(clicks: object, rest: object, sides: list[object], token: object, author: object) -> Any:
        if not clicks:
            return no_update, no_update
        features = [queries.known_feature(state["id"]["feature"]) for state in ctx.states_list[1]]
        pairs = zip(features, map(read_side, sides), strict=True)
        chosen: dict[int, Side] = {feature: side for feature, side in pairs if side}
        return go(queries, desk, token, (chosen, read_side(rest)), read_author(author, queries.labels))

    @app.callback(
        Output("import-review", "children", allow_duplicate=True),
        Input("import-leave", "n_clicks"),
        State("import-file", "data"),
        prevent_initial_call=True,
    )
    def leave(clicks: object, token: object) -> Any:
        if not clicks:
            return no_update
        desk.forget(token)
        return "Nothing was taken in."

    @app.callback(
        Output("import-review", "children", allow_duplicate=True),
        Input("import-undo", "n_clicks"),
        State("import-done", "data"),
        State("label-author", "value"),
        prevent_initial_call=True,
    )
    def undo(clicks: object, batch: object, author: object) -> Any:
        return taken_back(queries, batch, author) if clicks else no_update
