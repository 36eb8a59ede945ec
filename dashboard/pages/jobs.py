"""The page of jobs: what runs, what has ended and how, what can be computed, and what takes space."""

from __future__ import annotations

import shutil
from typing import Any

from dash import Dash, dcc, html

from dashboard import formats, job_words
from dashboard.address import Address, with_parameters
from dashboard.asks import Ask
from dashboard.components.compute import control
from dashboard.components.facts import Fact, listed
from dashboard.components.panels import empty, panel
from dashboard.jobs import Jobs
from dashboard.pages.page import Page
from dashboard.queries import Queries
from dashboard.token_view import visible
from precompute.errors import LightwellError
from precompute.jobs.record import RESUMABLE, JobRecord
from precompute.jobs.space import LEFTOVERS, dependants_of, leftover_bytes
from precompute.pipeline.plan import StepStatus
from precompute.pipeline.runner import UP_TO_DATE

ENDED_SHOWN = 30
LOG_BYTES = 60_000
"""Of a log's end, that are shown."""


def layout(queries: Queries, asked: Address) -> html.Div:
    """The whole page; `job` in the address shows one of them with its log."""
    jobs = queries.jobs
    if jobs is None:
        return html.Div([html.H1("Jobs"), empty("These pages are shown by no server, so there are no jobs")])
    chosen = asked.parameters.get("job")
    parts = [*([job_panel(jobs, chosen)] if chosen is not None else []), *live_panels(queries, jobs)]
    live: dict[str, Any] = {"data-live": "yes"}
    heading = html.Div(html.H1("Jobs"), className="page-head")
    return html.Div(
        [heading, html.Div(parts, id="jobs-live", className="jobs-live", **live)], className="jobs-page"
    )


def live_panels(queries: Queries, jobs: Jobs) -> list[Any]:
    """What changes as jobs go on."""
    records = jobs.board.records()
    active = [record for record in reversed(records) if record.is_active]
    ended = [record for record in records if not record.is_active]
    return [
        active_panel(queries, active),
        types_panel(jobs),
        ended_panel(queries, ended),
        space_panel(queries, jobs),
    ]


def active_panel(queries: Queries, active: list[JobRecord]) -> Any:
    """Jobs that run or wait."""
    if not active:
        content: Any = empty("Nothing is being computed")
    else:
        content = [_active_job(queries, record, active) for record in active]
    return panel("Running and waiting", content, anchor="jobs-active")


def _active_job(queries: Queries, record: JobRecord, active: list[JobRecord]) -> html.Div:
    n_ahead = sum(other.state == "queued" and other.id < record.id for other in active)
    share = job_words.share(record) if record.state == "running" else None
    value: dict[str, Any] = {} if share is None else {"value": f"{share:.3f}"}
    cancelling = record.cancel_request.exists()
    told: dict[str, Any] = {"data-job": record.id}
    head = html.Div(
        [
            html.Span(job_words.title(record), className="job-title"),
            html.Span(record.state, className=f"state {record.state}"),
            html.Span(job_words.at_work(record, n_ahead)),
            html.Button(
                "Cancelling…" if cancelling else "Cancel", className="job-cancel", disabled=cancelling, **told
            ),
        ],
        className="job-head",
    )
    bar = html.Progress(max="1", className="job-bar", **value)
    return html.Div(
        [
            head,
            *([bar] if record.state == "running" else []),
            html.Div(job_words.progress(record) or "\u00a0", className="job-about"),
            html.Div([_about(record), " · ", _log_link(queries, record)], className="job-about"),
        ],
        className="job",
        id=f"job-{record.id}",
    )


def _about(record: JobRecord) -> str:
    owner = record.owner
    where = f" · process {owner.pid} on {owner.host}" if owner and record.state == "running" else ""
    begun = record.started or record.submitted
    done = f" · {len(record.done)} of {formats.plural(len(record.steps), 'step')} done"
    return f"{job_words.ORIGINS[record.origin]} · since {job_words.clock(begun)}{done}{where}"


def _log_link(queries: Queries, record: JobRecord) -> dcc.Link:
    href = queries.href(with_parameters("/jobs", {"job": record.id}))
    return dcc.Link("log", href=href, title="What it has printed, and all that is known of it")


def types_panel(jobs: Jobs) -> Any:
    """How much of each model type is computed, and a button for the rest."""
    rows = [_type_row(jobs, name) for name in jobs.names]
    head = _head("Model type", "Up to date", "On disk", "")
    table = html.Table([head, html.Tbody(rows)], className="plain-table jobs-table")
    return panel("Model types", html.Div(table, className="table-wide", tabIndex=0), anchor="jobs-types")


def _type_row(jobs: Jobs, name: str) -> html.Tr:
    try:
        known = jobs.states(name).all().values()
    except LightwellError as error:
        return html.Tr([html.Th(name, scope="row"), html.Td(str(error), colSpan=3, className="job-error")])
    n_fresh = sum(status.state in UP_TO_DATE for status in known)
    done = bool(known) and n_fresh == len(known)
    state = f"{n_fresh} of {len(known)} steps" if known else "its model or SAE cannot be read"
    action = "everything is up to date" if done else control(Ask(name), "Compute all")
    size = formats.size(sum(status.n_bytes for status in known))
    cells = [html.Td(state), html.Td(size, className="num"), html.Td(action, className="wrap")]
    return html.Tr([html.Th(name, scope="row", className="mono"), *cells], id=f"type-{name}")


def ended_panel(queries: Queries, ended: list[JobRecord]) -> Any:
    """Jobs that have ended, and how."""
    if not ended:
        return panel("Ended", empty("No job has ended yet"), anchor="jobs-ended")
    head = _head("Ended", "What", "How", "Took", "Size", "")
    body = html.Tbody([_ended_row(queries, record) for record in ended[:ENDED_SHOWN]])
    table = html.Table([head, body], className="plain-table jobs-table")
    return panel("Ended", html.Div(table, className="table-wide", tabIndex=0), anchor="jobs-ended")


def _ended_row(queries: Queries, record: JobRecord) -> html.Tr:
    took = None if record.started is None or record.ended is None else record.ended - record.started
    told: dict[str, Any] = {"data-job": record.id}
    again = "Resume" if record.state == "interrupted" else "Retry"
    retry = [html.Button(again, className="job-retry", **told)] if record.state in RESUMABLE else []
    what = [html.Div(job_words.title(record)), html.Div(_done(record), className="job-about")]
    how: list[Any] = [html.Span(record.state, className=f"state {record.state}")]
    if record.error:
        how.append(html.Div(f"{record.error}.", className="job-error"))
    return html.Tr(
        [
            html.Td(job_words.clock(record.ended), className="mono"),
            html.Td(what, className="wrap"),
            html.Td(how, className="wrap"),
            html.Td(formats.duration(took), className="num"),
            html.Td(formats.size(record.n_bytes) if record.done else formats.ABSENT, className="num"),
            html.Td(html.Div([*retry, _log_link(queries, record)], className="job-actions")),
        ],
        id=f"ended-{record.id}",
    )


def _done(record: JobRecord) -> str:
    computed = f"{len(record.done)} of {formats.plural(len(record.steps), 'step')} computed"
    return f"{computed}, {job_words.ORIGINS[record.origin]}"


def job_panel(jobs: Jobs, name: str) -> Any:
    """One job with all that is known of it; raises JobError where there is none."""
    record = jobs.board.find(name)
    facts = [
        Fact("State", html.Span(record.state, className=f"state {record.state}")),
        Fact("Asked for", job_words.title(record), job_words.ORIGINS[record.origin]),
        Fact("Submitted", job_words.clock(record.submitted)),
        Fact("Began", job_words.clock(record.started)),
        Fact("Ended", job_words.clock(record.ended)),
        *([Fact("Why", record.error)] if record.error else []),
        Fact("Computed", _steps_done(record)),
    ]
    log = html.Pre(_log(record), className="job-log", tabIndex=0)
    return panel(f"Job {record.id}", [listed(facts), log], anchor="job-chosen")


def _steps_done(record: JobRecord) -> str:
    done = [
        f"{d.step} ({formats.duration(d.seconds)}, {formats.size(d.n_bytes)})" if d.n_bytes else d.step
        for d in record.done
    ]
    left = len(record.steps) - len(record.done)
    rest = f"{formats.plural(left, 'step')} left" if left > 0 else ""
    return ", ".join([*done, *([rest] if rest else [])]) or "nothing"


def _log(record: JobRecord) -> str:
    try:
        with record.log.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - LOG_BYTES))
            text = log.read().decode("utf-8", "replace")
    except OSError:
        return "It has left no log: what runs in a terminal prints there."
    lines = text.replace("\r", "\n").splitlines()
    shown = "\n".join(visible(line, keep_spaces=True) for line in lines if line.strip())
    return shown or "It has printed nothing yet."


def space_panel(queries: Queries, jobs: Jobs) -> Any:
    """What takes how much space of the model type that is shown, and what reads it."""
    name = queries.model_type.name
    known = [status for status in jobs.states(name).all().values() if status.n_bytes]
    usage = shutil.disk_usage(jobs.board.data_dir) if jobs.board.data_dir.exists() else None
    free = f"{formats.size(usage.free)} of {formats.size(usage.total)} free on its disk. " if usage else ""
    total = formats.size(sum(status.n_bytes for status in known))
    caption = f"{free}{name} takes {total}. What is freed can be computed again."
    rows = [_space_row(name, status) for status in sorted(known, key=lambda status: -status.n_bytes)]
    left = leftover_bytes(jobs.subject(name))
    if left:
        rows.insert(0, _leftover_row(name, left))
    head = _head("Artifact", "Size", "Took", "What depends on it", "")
    table = html.Table([head, html.Tbody(rows)], className="plain-table jobs-table")
    content = (
        html.Div(table, className="table-wide", tabIndex=0) if rows else empty("Nothing is computed yet")
    )
    return panel(
        f"Disk space of {name}", [html.P(caption, className="caption"), content], anchor="jobs-space"
    )


def _space_row(name: str, status: StepStatus) -> html.Tr:
    found = dependants_of(status.step)
    direct = ", ".join(found.direct)
    words = f"read by {direct}" if direct else "no other step reads it"
    if found.others:
        words += f"; through these by {', '.join(found.others)}"
    kept = " What was computed from it stays, but cannot be computed anew without it." if direct else ""
    took = f" Computing it took {formats.duration(status.seconds)}." if status.seconds else ""
    warning = f"Remove {status.step} of {name} ({formats.size(status.n_bytes)})?{kept}{took}"
    return html.Tr(
        [
            html.Th(status.step, scope="row", className="mono"),
            html.Td(formats.size(status.n_bytes), className="num"),
            html.Td(formats.duration(status.seconds), className="num"),
            html.Td(words, className="wrap dim"),
            html.Td(html.Div(_free(f"{name}/{status.step}", warning, status.step), className="job-actions")),
        ],
        id=f"space-{status.step}",
    )


def _leftover_row(name: str, n_bytes: int) -> html.Tr:
    words = "what interrupted runs have left; from it they would go on where they stopped"
    warning = f"Remove {formats.size(n_bytes)} from which interrupted runs of {name} would go on?"
    cells = [
        html.Th(LEFTOVERS, scope="row", className="mono"),
        html.Td(formats.size(n_bytes), className="num"),
        html.Td(formats.ABSENT, className="num"),
        html.Td(words, className="wrap dim"),
    ]
    free = html.Td(html.Div(_free(f"{name}/{LEFTOVERS}", warning, LEFTOVERS), className="job-actions"))
    return html.Tr([*cells, free], id=f"space-{LEFTOVERS}")


def _free(what: str, warning: str, name: str) -> html.Button:
    told: dict[str, Any] = {"data-what": what, "data-warning": warning, "aria-label": f"Free {name}"}
    return html.Button("Free", className="job-free", **told)


def _head(*names: str) -> html.Thead:
    numbers = ("Size", "Took", "On disk")
    return html.Thead(
        html.Tr([html.Th(name, scope="col", className="num" if name in numbers else "") for name in names])
    )


def register(_app: Dash, _queries: Queries) -> None:
    """Its buttons are those of every page."""


PAGE = Page(
    "/jobs",
    "Jobs",
    "What is being computed, what was and how it ended, what can be computed, and what takes space.",
    layout,
    register,
    in_navigation=False,
)
