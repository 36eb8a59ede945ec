"""What must hold of what the feature page computes when it is asked for, on any served model type."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from dashboard import formats
from dashboard.address import feature_path
from precompute.reading import Artifacts
from tests.browser.checks_feature import column, usual_feature
from tests.browser.served import Visit


def check_all_of_on_demand(visit: Visit, artifacts: Artifacts) -> None:
    """Every check below, on a feature that fires on enough rows."""
    feature = usual_feature(artifacts)
    for check in CHECKS:
        check(visit, artifacts, feature)


def check_bins(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Bins of one's own are those of NumPy over all values, survive a reload, and lead to their examples."""
    acts = artifacts.feature(feature).acts.astype(np.float64)
    n_rows, middle = artifacts.row_store().n_rows, float(np.median(acts))
    visit.open(feature_path(feature))
    fill(visit, "#histogram-bins", "37")
    fill(visit, "#histogram-range", f"0:{middle!r}")
    visit.page.wait_for_function("location.search.includes('bins=37') && location.search.includes('over=0:')")
    counts = np.histogram(acts, 37, (0, middle))[0]
    above = int((acts > middle).sum())
    words = f"{counts.sum():,} rows on which it fires in 37 bins from 0 to {formats.decimal(middle)}"
    caption = visit.page.locator("#activations .caption", has_text=words)
    caption.wait_for()
    assert f"Outside this range: {formats.plural(above, 'row')} above." in caption.inner_text()
    assert shown_counts(visit)[1:] == counts.tolist()
    visit.page.locator("#histogram-rows label", has_text="All").click()
    visit.page.locator("#activations .caption", has_text="silent rows besides").wait_for()
    values = np.concatenate([acts, np.zeros(n_rows - len(acts))])
    assert shown_counts(visit) == np.histogram(values, 37, (0, middle))[0].tolist()
    visit.page.reload()
    visit.page.locator("#activations .caption", has_text="silent rows besides").wait_for()
    assert visit.page.input_value("#histogram-bins") == "37"
    visit.open(feature_path(feature, bins="37", over=f"0:{middle!r}"))
    peak = int(np.argmax(counts))
    bars = visit.page.locator("#histogram-figure .bars path")
    bars.first.wait_for(state="attached")
    box = bars.nth(peak).bounding_box()
    assert box is not None
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    about = visit.page.locator(".band-about", has_text="Activations from")
    about.wait_for()
    assert f": {formats.plural(int(counts[peak]), 'row')}" in about.inner_text()


def fill(visit: Visit, field: str, text: str) -> None:
    visit.page.fill(field, text)
    visit.page.keyboard.press("Enter")


def shown_counts(visit: Visit) -> list[int]:
    return [int(n.replace(",", "")) for n in column(visit, "Activation: data of the figure", 3)]


def check_odd_bins(visit: Visit, _artifacts: Artifacts, feature: int) -> None:
    """What cannot be divided so gets a sentence in the figure's place; the fields stay, to correct it."""
    visit.open(feature_path(feature))
    fill(visit, "#histogram-bins", "1")
    visit.page.locator("#activations .empty", has_text="expected a whole number from 2 to 500").wait_for()
    fill(visit, "#histogram-bins", "20")
    visit.page.locator("#activations .caption", has_text="in 20 bins").wait_for()


def check_counted_over_all_rows(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Features on the same rows, counted anew: their numbers are those of the two features' rows."""
    visit.open(feature_path(feature))
    visit.page.locator("#together label", has_text="Rows").last.click()
    caption = visit.page.locator("#coactivations .caption", has_text="Counted now over all")
    caption.wait_for()
    mine, n_rows = artifacts.feature(feature), artifacts.row_store().n_rows
    assert f"{n_rows:,} rows" in caption.inner_text()
    others = [int(text) for text in column(visit, "Co-activating features", 1)]
    columns = [column(visit, "Co-activating features", place) for place in (2, 3, 4, 5)]
    listed = list(zip(*columns, strict=True))
    assert [int(row[0].replace(",", "")) for row in listed] == sorted(
        (int(row[0].replace(",", "")) for row in listed), reverse=True
    )
    for other, row in list(zip(others, listed, strict=True))[:5]:
        theirs = artifacts.feature(other)
        both = np.intersect1d(mine.rows, theirs.rows)
        x, y = (dense(found.rows, found.acts, n_rows) for found in (mine, theirs))
        either, chance = len(mine.rows) + len(theirs.rows) - len(both), len(mine.rows) * len(theirs.rows)
        pearson = np.corrcoef(x, y)[0, 1] if x.std() and y.std() else None
        expected = (len(both) / either, pearson, len(both) * n_rows / chance)
        assert row == (f"{len(both):,}", *(formats.decimal(value) for value in expected))
    visit.page.wait_for_function("location.search.includes('together=rows')")
    visit.page.reload()
    visit.page.locator("#coactivations .caption", has_text="Counted now over all").wait_for()
    assert [int(text) for text in column(visit, "Co-activating features", 1)] == others
    visit.page.locator("#together label", has_text="As computed").click()
    visit.page.wait_for_function("!location.search.includes('together')")


def dense(rows: np.ndarray, acts: np.ndarray, n_rows: int) -> np.ndarray:
    """One feature's activations over all rows, zeros included."""
    values = np.zeros(n_rows)
    values[rows] = acts
    return values


def check_effects_as_a_file(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """The whole vector with ranks."""
    visit.open(feature_path(feature))
    with visit.page.expect_download() as waiting:
        visit.page.locator("#logits a", has_text="CSV").click()
    text = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    effects = artifacts.array("directions")[feature] @ artifacts.array("unembed")
    np.testing.assert_allclose([float(row["logits_per_unit"]) for row in rows], effects, rtol=1e-4, atol=1e-6)
    assert rows[int(np.argmax(effects))]["rank"] == "1"
    assert rows[int(np.argmin(effects))]["rank"] == f"{len(effects)}"


CHECKS = (check_bins, check_odd_bins, check_counted_over_all_rows, check_effects_as_a_file)
