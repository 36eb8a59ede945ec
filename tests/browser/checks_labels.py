"""What must hold of labels on any served model type: kept, seen by other tabs, never overwritten in silence.

The checks write labels; serve a data directory that may be written to.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl

from precompute.labels.content import Content
from precompute.reading import Artifacts
from tests.browser.served import Visit

HARD = "<b>bold</b> &lt; =1+1 \u202e שלום"


@contextmanager
def another_person(visit: Visit) -> Iterator[Visit]:
    """A tab of another browser."""
    context = visit.page.context.browser.new_context(viewport={"width": 1280, "height": 800})
    other = Visit(context.new_page(), visit.base)
    yield other
    context.close()
    assert other.wrongs == []


def firing_features(artifacts: Artifacts, n: int) -> list[int]:
    """The most frequent features that have no label yet."""
    stats = artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0)
    ordered = stats.sort("n_nonzero", "feature", descending=[True, False])["feature"].to_list()
    said = artifacts.labels().current()
    return [feature for feature in ordered if feature not in said][:n]


def field(visit: Visit, name: str):  # type: ignore[no-untyped-def]
    """A field of the editor, by the name that is read aloud."""
    return visit.page.get_by_role("textbox", name=name, exact=True).first


def be(visit: Visit, name: str) -> None:
    """Write under a name."""
    author = field(visit, "Your name, kept with what you write")
    author.fill(name)
    author.press("Enter")


def say(visit: Visit, name: str, text: str) -> None:
    """Fill a field and leave it, which saves it."""
    found = field(visit, name)
    found.fill(text)
    found.press("Tab")


def wait_until_said(visit: Visit, artifacts: Artifacts, feature: int, content: Content) -> None:
    """Wait until the store holds exactly this."""
    for _ in range(100):
        entry = artifacts.labels().entry(feature)
        if (entry.content if entry else Content()) == content:
            return
        visit.page.wait_for_timeout(50)
    raise AssertionError(f"{content} was not kept; there is {entry.content if entry else None}")


def check_editing(visit: Visit, artifacts: Artifacts) -> None:
    """Every field is kept to the character, survives a reload, and each step can be undone."""
    (feature,) = firing_features(artifacts, 1)
    visit.open(f"/feature/{feature}")
    be(visit, "ann")
    say(visit, "Label", HARD)
    wait_until_said(visit, artifacts, feature, Content(HARD))
    say(visit, "Category", "syntax")
    wait_until_said(visit, artifacts, feature, Content(HARD, "syntax"))
    say(visit, "Confidence in percent", "85")
    say(visit, "Notes", "first\nsecond")
    whole = Content(HARD, "syntax", 85, "first\nsecond")
    wait_until_said(visit, artifacts, feature, whole)
    visit.page.reload()
    visit.page.wait_for_selector("#label-editor")
    assert field(visit, "Label").input_value() == HARD
    assert field(visit, "Notes").input_value() == "first\nsecond"
    assert field(visit, "Your name, kept with what you write").input_value() == "ann"
    assert [change.author for change in artifacts.labels().history(feature)] == ["ann"] * 4
    visit.page.get_by_role("button", name="Undo").click()
    wait_until_said(visit, artifacts, feature, Content(HARD, "syntax", 85))
    visit.page.wait_for_function("document.querySelector('.label-notes textarea').value === ''")
    visit.page.get_by_text("History (5)").click()
    visit.page.get_by_role("button", name="Take back").last.click()
    wait_until_said(visit, artifacts, feature, Content("", "syntax", 85))


def check_two_people(visit: Visit, artifacts: Artifacts) -> None:
    """Another tab sees an edit by itself; where both wrote the same field, one of them chooses."""
    (feature,) = firing_features(artifacts, 1)
    with another_person(visit) as other:
        for tab, name in ((visit, "ann"), (other, "bo")):
            tab.open(f"/feature/{feature}")
            be(tab, name)
        say(visit, "Label", "one")
        other.page.wait_for_function("document.querySelector('.label-text input').value === 'one'")
        field(other, "Label").fill("bo's")
        say(visit, "Label", "ann's")
        say(visit, "Category", "kind")
        wait_until_said(visit, artifacts, feature, Content("ann's", "kind"))
        other.page.get_by_text("ann's").first.wait_for(state="attached")
        assert field(other, "Label").input_value() == "bo's", "text that was typed is never replaced"
        field(other, "Label").press("Tab")
        other.page.wait_for_selector(".label-clash")
        assert "“ann's”" in other.text(".label-clash")
        assert "“bo's”" in other.text(".label-clash")
        wait_until_said(other, artifacts, feature, Content("ann's", "kind"))
        other.page.get_by_role("button", name="Use yours").click()
        wait_until_said(other, artifacts, feature, Content("bo's", "kind"))
        other.page.wait_for_selector(".label-clash", state="detached")
        visit.page.wait_for_function("""document.querySelector('.label-text input').value === "bo's" """)
        assert field(other, "Category").input_value() == "kind"


def check_table_and_list(visit: Visit, artifacts: Artifacts) -> None:
    """The table finds a label and a note; the list has everything that is said, and nothing else."""
    first, second = firing_features(artifacts, 2)
    store = artifacts.labels()
    store.write(first, Content("Quagga label", "animals", 70), "cy", None)
    store.write(second, Content(notes="see the okapi"), "cy", None)
    for search, feature in (("quagga", first), ("okapi", second)):
        visit.open(f"/features?search={search}")
        row = visit.page.locator(".ag-pinned-left-cols-container .ag-row a.feature-link")
        row.first.wait_for()
        assert row.all_inner_texts() == [str(feature)]
    visit.open("/labels?sort=feature:asc")
    said = [c.feature for c in store.current().values() if not c.content.is_empty]
    visit.page.wait_for_function(
        f"document.querySelector('#labels-count').innerText.startsWith('{len(said)} ')"
    )
    visit.page.wait_for_selector(".ag-row a.feature-link")
    rows = visit.page.locator("#labels-grid .ag-pinned-left-cols-container .ag-row a.feature-link")
    assert rows.all_inner_texts() == [str(feature) for feature in said]
    stats = artifacts.table("feature_stats")
    firing = set(stats.filter(pl.col("n_nonzero") > 0)["feature"])
    labelled = [c.feature for c in store.current().values() if c.content.label and c.feature in firing]
    assert visit.fact("Labelled") == f"{len(labelled):,}"
    visit.page.fill("#labels-search", "okapi")
    visit.page.wait_for_function("location.search.includes('search=okapi')")
    visit.page.wait_for_function("document.querySelectorAll('#labels-grid a.feature-link').length === 1")
    assert visit.page.url.endswith("/labels?sort=feature:asc&search=okapi")


def check_queue(visit: Visit, artifacts: Artifacts) -> None:
    """“Next” passes the unlabelled features in the order of the queue."""
    stats = artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 0)
    labelled = [f for f, change in artifacts.labels().current().items() if change.content.label]
    order = stats.filter(~pl.col("feature").is_in(labelled)).sort("max", "feature", descending=[True, False])[
        "feature"
    ]
    visit.open("/labels?queue=max")
    listed = visit.page.locator(".queue-list a").all_inner_texts()
    assert listed == [str(feature) for feature in order[: len(listed)]]
    visit.page.locator("#queue-start").click()
    for number in (0, 1):
        title = f"document.querySelector('#feature-title')?.innerText === '{order[number]}'"
        visit.page.wait_for_function(title)
        assert f"{len(order) - number:,} without a label" in visit.text(".label-foot")
        if number == 0:  # The second one is left without a label, and passed over all the same.
            say(visit, "Label", "seen")
            wait_until_said(visit, artifacts, order[0], Content("seen"))
            visit.page.locator("#next-unlabelled").click()
    visit.page.locator("h1").click()
    visit.page.keyboard.press("n")
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{order[2]}'")
    assert visit.page.url.endswith(f"/feature/{order[2]}?queue=max")


def check_sets(visit: Visit, artifacts: Artifacts) -> None:
    """A set is made from a view, by numbers and on a feature's page; it filters the table."""
    sets = artifacts.feature_sets()
    visit.open("/features?sort=feature:asc&feature=lessThan:4")
    visit.page.wait_for_selector(".ag-row a.feature-link")
    visit.page.locator("#sets-button").click()
    field(visit, "Name of a set").fill("few")
    visit.page.locator("#set-from-view").click()
    visit.page.get_by_text("Made “few”: 4 features.").wait_for()
    assert sets.current()["few"].features == (0, 1, 2, 3)
    visit.open("/feature/7")
    names = visit.page.get_by_role("textbox", name="Sets: type a name and press Enter")
    names.fill("few")
    names.press("Enter")
    visit.page.wait_for_timeout(600)
    assert sets.current()["few"].features == (0, 1, 2, 3, 7)
    visit.open("/labels")
    field(visit, "Set name").fill("few")
    field(visit, "Features of the set").fill("7, 9-11")
    visit.page.locator("#new-set").click()
    visit.page.get_by_text("3 new in “few”, now 8 features.").wait_for()
    name = visit.page.get_by_role("textbox", name="Name of the set few")
    name.fill("some <b>")
    name.press("Enter")
    visit.page.get_by_text("Renamed to “some <b>”.").wait_for()
    visit.page.get_by_role("button", name="Remove the set some <b>").click()
    visit.page.get_by_role("button", name="Restore the set").first.click()
    visit.page.get_by_text("Brought back.").wait_for()
    row = visit.page.locator(
        "#sets tr", has=visit.page.get_by_role("textbox", name="Name of the set some <b>")
    )
    row.get_by_role("link").click()
    visit.page.wait_for_selector("#grid .ag-row a.feature-link")
    visit.page.wait_for_function("document.querySelector('#grid-count').innerText.startsWith('8 of')")
    assert "some <b>" in visit.text("#filters")
    visit.page.reload()
    visit.page.wait_for_function("document.querySelector('#grid-count')?.innerText.startsWith('8 of')")
    sets.remove("some <b>", "ann")


def check_exchange(visit: Visit, artifacts: Artifacts) -> None:
    """Files go out as they are; a merge shows conflicts, waits for every choice, and is taken back whole."""
    first, second, third = firing_features(artifacts, 3)
    store = artifacts.labels()
    for feature in (first, second):
        store.write(feature, Content("=ours"), "ann", None)
    before = store.current()
    visit.open("/labels")
    raw = visit.page.request.get(visit.base + "/labels.csv").text().removeprefix("\ufeff")
    cells = {int(row["feature"]): row["label"] for row in csv.DictReader(io.StringIO(raw, newline=""))}
    assert cells[first] == "'=ours"
    head = json.loads(visit.page.request.get(visit.base + "/labels.json").text())
    theirs = [
        {"feature": f, "label": f"theirs {f}", "author": "bo", "time": "2025-01-01T00:00:00Z"}
        for f in (first, second, third)
    ]
    with visit.page.expect_file_chooser() as chooser:
        visit.page.get_by_role("button", name="Import a file").click()
    sent = json.dumps({**head, "changes": theirs}).encode()
    chooser.value.set_files({"name": "bo.json", "mimeType": "application/json", "buffer": sent})
    visit.page.get_by_text("bo.json: 1 new here, 2 in conflict with yours.").wait_for()
    visit.page.locator("#import-go").click()
    visit.page.get_by_text("2 conflicts are not decided.").wait_for()
    assert store.current() == before
    conflict = visit.page.locator(".import-conflict", has_text=f"Feature {first}").first
    conflict.get_by_text("Take theirs").click()
    visit.page.locator("#import-rest").get_by_text("Keep ours").click()
    visit.page.locator("#import-go").click()
    visit.page.get_by_text("Taken in: 3 features").wait_for()
    labels = {f: store.entry(f).content.label for f in (first, second, third)}  # type: ignore[union-attr]
    assert labels == {first: f"theirs {first}", second: "=ours", third: f"theirs {third}"}
    visit.page.get_by_role("button", name="Take the import back").click()
    visit.page.get_by_text("Taken back: 3 features").wait_for()
    after = {f: c.content for f, c in store.current().items() if not c.content.is_empty}
    assert after == {f: c.content for f, c in before.items() if not c.content.is_empty}


def check_palette(visit: Visit, artifacts: Artifacts) -> None:
    """A label is a way to its feature."""
    (feature,) = firing_features(artifacts, 1)
    artifacts.labels().write(feature, Content("Thylacine"), "ann", None)
    visit.open("/")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("thylacine")
    visit.page.get_by_role("option", name="Thylacine").wait_for()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{feature}'")


CHECKS = (
    check_editing,
    check_two_people,
    check_table_and_list,
    check_queue,
    check_sets,
    check_exchange,
    check_palette,
)
"""All of the above."""


def check_all_of_labels(visit: Visit, artifacts: Artifacts) -> None:
    """One after another."""
    for check in CHECKS:
        check(visit, artifacts)
