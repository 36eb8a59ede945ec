"""The overview: what is served, how good the SAE is, how often features fire, what is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dash import Dash, Input, dcc, html

from dashboard import figures, formats
from dashboard.address import Address
from dashboard.components.browser import in_browser
from dashboard.components.elements import link, table
from dashboard.components.facts import Fact, listed, tiles
from dashboard.components.graphs import graph
from dashboard.components.panels import empty, filled, panel
from dashboard.frequency_figure import frequency_distribution
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.questions import summaries
from dashboard.questions.frequency import FrequencyBand, bands, dead_path, dense_path, distribution
from dashboard.questions.sources import source_digest
from dashboard.tables import optional
from precompute.config import ImportedType, ModelType
from precompute.pipeline.plan import StepStatus

UP_TO_DATE = ("fresh", "not applicable")
QUALITY_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "recovered": ("CE recovered", "(CE_zero − CE_SAE) / (CE_zero − CE_model)"),
        "delta_ce": ("ΔCE", "nats per token that the SAE costs the model"),
        "l0": ("L0", "features active on a row, on average"),
        "fvu": ("FVU", "variance unexplained: Σ‖x−x̂‖² / Σ‖x−x̄‖²"),
        "cosine": ("Cosine", "of activation and reconstruction, on average"),
        "dead_share": ("Dead features", "active on none of the evaluated rows"),
        "dense_share": ("Dense features", "active on more than a tenth of the evaluated rows"),
        "ce_model": ("CE, model", "nats per token"),
        "ce_sae": ("CE, SAE", "nats per token, with reconstructed activations"),
        "ce_zero": ("CE, zeros", "nats per token, with activations set to zero"),
        "ce_mean": ("CE, means", "nats per token, with activations set to their mean"),
        "n_rows": ("Evaluated", "rows"),
        "n_predictions": ("Predictions", "next tokens, of which CE is the mean"),
        "n_examples": ("Examples", "that the rows are from"),
        "held_out": ("Held out", "whether these texts were kept apart from those used"),
    }
)
"""Keys of `sae_quality.json` as people read them, in their order."""
SHARES = ("recovered", "dead_share", "dense_share", "fvu")


def layout(queries: Queries, _asked: Address) -> html.Div:
    """The whole page."""
    return html.Div(
        [
            heading(queries),
            html.Div(
                [
                    html.Div([subject_panel(queries), quality_panel(queries)], className="column"),
                    html.Div([frequency_panel(queries), steps_panel(queries)], className="column"),
                ],
                className="overview-columns",
            ),
        ]
    )


def heading(queries: Queries) -> html.Div:
    """Name and size at a glance."""
    sizes = filled(queries, "activations", lambda: tiles(size_facts(queries)))
    return html.Div([html.H1(queries.model_type.name), sizes], className="page-head")


def size_facts(queries: Queries) -> list[Fact]:
    """How much there is of everything."""
    store, corpus = queries.store(), summaries.corpus(queries)
    return [
        Fact("Features", formats.count(store.d_sae), "latents", "d_sae: width of the SAE"),
        _width(store.d_in),
        Fact("Texts", formats.count(corpus.n_texts), "in the corpus"),
        Fact("Examples", formats.count(corpus.n_examples), f"of at most {corpus.n_ctx} tokens"),
        _rows(store.n_rows, corpus.pooled),
        Fact(
            "Non-zeros",
            formats.count(store.n_nonzero),
            f"{formats.decimal(store.n_nonzero / max(store.n_rows, 1))} per row",
            "Activations that are not zero; per row: L0 on this corpus",
        ),
    ]


def _width(d_in: int) -> Fact:
    about = "d_in: width of what the SAE reads"
    if not d_in:  # An imported store may have been kept without.
        return Fact("Activations", formats.ABSENT, "what the SAE has read is not known", about)
    return Fact("Activations", formats.count(d_in), "numbers per row", about)


def _rows(n_rows: int, are_pooled: bool) -> Fact:
    if are_pooled:
        return Fact("Rows", formats.count(n_rows), "whole examples", "Each is a set of tokens")
    return Fact("Rows", formats.count(n_rows), "token positions", "Special positions are no rows")


def subject_panel(queries: Queries) -> Any:
    """Model, SAE and corpus by name and fingerprint."""
    chosen = queries.model_type
    facts = (
        imported_facts(queries, chosen) if isinstance(chosen, ImportedType) else model_facts(queries, chosen)
    )
    facts.append(Fact("Data directory", html.Span(str(queries.artifacts.directory), className="path")))
    corpus = filled(queries, "corpus", lambda: listed(corpus_facts(queries)))
    return panel("Subject", [listed(facts), html.H3("Corpus", className="sub"), corpus], anchor="subject")


def imported_facts(queries: Queries, chosen: ImportedType) -> list[Fact]:
    """Where the activations were imported from, and what is known of them besides."""
    named = [
        ("SAE", chosen.sae, "directions are not known"),
        ("Tokenizer", chosen.tokenizer, "tokens are shown as ids"),
    ]
    others = [
        Fact(name, _place(place), "", place) if place else Fact(name, "none named", without)
        for name, place, without in named
    ]
    return [
        Fact("Store", _place(chosen.store), "imported; there is no model", chosen.store),
        _fingerprint(source_digest(queries, "activations", "store"), "activations, tokens and metadata"),
        *others,
        Fact("Storage", chosen.storage, f"activations as {_acts_dtype(queries)}"),
    ]


def _acts_dtype(queries: Queries) -> str:
    return optional(lambda: queries.store().acts_dtype) or "the store has them"


def model_facts(queries: Queries, chosen: ModelType) -> list[Fact]:
    """Model and SAE by name and fingerprint."""
    revision = f", revision {chosen.revision}" if chosen.revision else ""
    return [
        Fact("Model", _place(chosen.model), f"{chosen.dtype}{revision}", chosen.model),
        _fingerprint(source_digest(queries, "activations", "model"), "weights, tokenizer, adapter and dtype"),
        *([Fact("Adapter", _place(chosen.adapter), "LoRA", chosen.adapter)] if chosen.adapter else []),
        Fact("SAE", _place(chosen.sae), "", chosen.sae),
        _fingerprint(source_digest(queries, "activations", "sae"), "weights and settings of the SAE"),
        Fact(
            "Capture site",
            summaries.hook_name(queries) or formats.ABSENT,
            "",
            "TransformerLens name of where activations are read",
        ),
        Fact("Storage", chosen.storage, f"activations as {chosen.acts_dtype}"),
    ]


def _fingerprint(digest: str | None, of: str) -> Fact:
    """A digest, its beginning in sight and the whole on demand."""
    digest = digest and digest.rpartition("-")[2]  # Artifacts put their step's name before it.
    about = f"Digest of the {of}: {digest}" if digest else "Known once the activations are computed"
    shown = html.Span(digest[:16] if digest else formats.ABSENT, className="mono dim", title=about)
    return Fact("Fingerprint", shown, "" if digest else "not computed", about)


def corpus_facts(queries: Queries) -> list[Fact]:
    """Where the texts come from, and how they are cut."""
    corpus = summaries.corpus(queries)
    kept_apart = "kept apart, for the SAE's quality" if corpus.held_out else "not kept apart from those used"
    held = Fact(
        "Held out",
        f"{formats.count(corpus.n_held_out_examples)} examples",
        f"{formats.count(corpus.n_held_out_rows)} rows, {kept_apart}",
    )
    return [
        Fact("Source", corpus.source),
        Fact("Texts", formats.count(corpus.n_texts), f"used, of {formats.count(corpus.n_texts_in_corpus)}"),
        Fact("Context", f"{corpus.n_ctx}", "tokens at most" + (", BOS first" if corpus.prepend_bos else "")),
        *([held] if corpus.n_held_out_examples else []),
        _fingerprint(queries.tables.fingerprint("corpus"), "corpus: its texts, and how they are cut"),
        Fact("Metadata", ", ".join(corpus.metadata_columns) or "none"),
    ]


def quality_panel(queries: Queries) -> Any:
    """What the SAE keeps of the model."""
    content = filled(queries, "sae_quality", lambda: listed(quality_facts(summaries.quality(queries))))
    return panel(
        "SAE quality",
        content,
        explanation="Measured on held-out texts; special positions are left as they are.",
        anchor="quality",
    )


def quality_facts(record: Mapping[str, Any]) -> list[Fact]:
    """The measures that are there, known ones by their names."""
    known = [key for key in QUALITY_NAMES if key in record]
    others = [
        key for key in record if key not in QUALITY_NAMES and isinstance(record[key], int | float | str)
    ]
    return [_quality_fact(key, record[key]) for key in [*known, *others]]


def _quality_fact(key: str, value: Any) -> Fact:
    name, detail = QUALITY_NAMES.get(key, (key.replace("_", " "), ""))
    if isinstance(value, bool):
        return Fact(name, "yes" if value else "no", detail)
    if isinstance(value, str):
        return Fact(name, value, detail)
    if isinstance(value, int) or value is None:
        return Fact(name, formats.count(value), detail)
    return Fact(name, formats.share(value) if key in SHARES else formats.decimal(value, 4), detail)


def frequency_panel(queries: Queries) -> Any:
    """How often features fire, with links to the ends of the distribution."""
    return panel(
        "How often features fire",
        filled(queries, "feature_stats", lambda: frequency_content(queries)),
        explanation="Each feature counts once, by the share of all rows on which its activation is not zero.",
        anchor="frequencies",
    )


def frequency_content(queries: Queries) -> list[Any]:
    """The figure, its ends with links, and its bars as a table of links."""
    found = distribution(queries)
    n_dead, shown = found.histogram.n_zero, bands(found)
    ends = html.P(
        [
            dcc.Link(
                f"{formats.plural(n_dead, 'feature')} never fire{'s' if n_dead == 1 else ''}",
                href=queries.href(dead_path()),
                id="dead-link",
            ),
            f" on this corpus ({formats.share(n_dead / max(found.n_features, 1))}, in grey). ",
            dcc.Link(
                f"{formats.plural(found.n_dense, 'feature')}",
                href=queries.href(dense_path(found.dense_share)),
                id="dense-link",
            ),
            f" fire{'s' if found.n_dense == 1 else ''} on more than {formats.short_share(found.dense_share)} "
            "of all rows (dense, in pink). Click a bar for its features.",
        ],
        className="caption",
    )
    if n_dead == found.n_features:
        return [empty("No feature fires on this corpus"), ends]
    figure = frequency_distribution(shown)
    words = figures.summary(found.histogram, "features", name=lambda edge: formats.share(10**edge))
    return [graph("frequency-figure", figure, words), ends, frequency_table(queries, shown)]


def frequency_table(queries: Queries, shown: Sequence[FrequencyBand]) -> html.Details:
    """The figure's numbers, each a link to the features that it counts."""
    rows = [
        [
            "never" if band.high == 0 else f"{formats.share(band.low)} to {formats.share(band.high)}",
            link(formats.count(band.n_features), queries.href(band.path)) if band.n_features else "0",
        ]
        for band in shown
    ]
    listed = table(["Share of rows active", "Features"], rows, "How often features fire")
    scrolled = html.Div(listed, className="table-scroll", tabIndex=0)
    return html.Details([html.Summary("Data"), scrolled], className="figure-data", id="frequency-data")


def steps_panel(queries: Queries) -> Any:
    """What is computed, what is stale, and how large it is."""
    content = filled(queries, "", lambda: steps_content(queries, queries.statuses()))
    return panel("Computed", content, anchor="steps")


def steps_content(queries: Queries, statuses: tuple[StepStatus, ...]) -> list[Any]:
    """One sentence on all steps, and a line for each."""
    waiting = [status for status in statuses if status.state not in UP_TO_DATE]
    total = formats.size(sum(status.n_bytes for status in statuses))
    note = (
        empty(f"{formats.plural(len(waiting), 'step')} of {len(statuses)} not up to date", queries.command())
        if waiting
        else html.P(f"All {len(statuses)} steps are up to date; {total} on disk.", className="caption")
    )
    return [note, steps_table(statuses)]


def steps_table(statuses: tuple[StepStatus, ...]) -> html.Div:
    """One line a step."""
    head = html.Tr(
        [
            html.Th(name, scope="col", className="num" if name in ("Size", "Time") else "")
            for name in ("Step", "State", "Size", "Time", "Fingerprint", "What it holds")
        ]
    )
    table = html.Table(
        [html.Thead(head), html.Tbody([_step_row(s) for s in statuses])], className="plain-table steps"
    )
    return html.Div(table, className="table-wide", tabIndex=0)


def _step_row(status: StepStatus) -> html.Tr:
    state = html.Span(status.state, className=f"state {status.state.replace(' ', '-')}")
    why = html.Div(status.reason, className="reason") if status.reason else None
    return html.Tr(
        [
            html.Th(status.step, scope="row", className="mono"),
            html.Td(state),
            html.Td(formats.size(status.n_bytes) if status.n_bytes else formats.ABSENT, className="num"),
            html.Td(formats.duration(status.seconds), className="num"),
            html.Td(
                (status.fingerprint or formats.ABSENT)[:10], className="mono dim", title=status.fingerprint
            ),
            html.Td([status.summary, why], className="wrap"),
        ],
        id=f"step-{status.step}",
    )


def _place(path: str) -> html.Span:
    """The end of a path, which is what tells it from others; the whole is in the tooltip."""
    parts = Path(path).parts
    return html.Span("/".join(parts[-2:]) if Path(path).is_absolute() else path, className="path", title=path)


def register(app: Dash, _queries: Queries) -> None:
    """A bar of the figure opens the table of its features."""
    in_browser(app, "openBand", Input("frequency-figure", "clickData"))


PAGE = Page(
    "/",
    "Overview",
    "What is served, how good it is, and what is computed.",
    layout,
    register,
    parameters=frozenset(),
)
