"""What must hold of features side by side and of matches in other SAEs, over any artifacts."""

from __future__ import annotations

import numpy as np
import polars as pl

from dashboard import formats
from dashboard.token_view import label
from precompute.reading import Artifacts
from tests.browser.served import Visit


def together(artifacts: Artifacts, n: int = 3) -> list[int]:
    """A feature of usual frequency, and those that fire on the same rows most."""
    pairs = artifacts.table("coactivations")
    stats = artifacts.table("feature_stats").filter(
        pl.col("feature").is_in(pairs["feature"].unique().implode())
    )
    usual = stats.sort("n_nonzero", "feature")["feature"][stats.height // 2]
    others = pairs.filter(pl.col("feature") == usual).sort("rank")["other"][: n - 1].to_list()
    return [int(usual), *map(int, others)]


def _cells(visit: Visit, table: str, row: int) -> list[str]:
    cells = visit.page.locator(f"table[aria-label='{table}'] tbody tr").nth(row).locator("td")
    return [text.strip() for text in cells.all_inner_texts()]


def check_statistics(visit: Visit, artifacts: Artifacts, features: list[int]) -> None:
    """Every number is that of the artifact."""
    stats = artifacts.table("feature_stats").sort("feature")
    shown = [_cells(visit, "Statistics side by side", row) for row in range(3)]
    assert ["Active rows", *(f"{stats['n_nonzero'][f]:,}" for f in features)] in shown
    shares = next(cells for cells in shown if cells[0] == "Share active")
    assert shares[1:] == [formats.share(stats["frac_active"][f]) for f in features]


def check_overlap(visit: Visit, artifacts: Artifacts, features: list[int]) -> None:
    """Rows shared by each two; the measure goes into the address and survives a reload."""
    rows = [set(artifacts.feature(feature).rows.tolist()) for feature in features]
    jaccard = [[len(a & b) / len(a | b) for b in rows] for a in rows]
    for place, feature in enumerate(features):
        expected = [formats.decimal(value) for value in jaccard[place]]
        expected[place] = formats.ABSENT
        assert _cells(visit, "Jaccard of each two features", place) == [str(feature), *expected]
    visit.page.locator("#measure label", has_text="Rows").click()
    visit.page.wait_for_function("location.search.includes('measure=both')")
    visit.page.reload()
    visit.page.wait_for_selector("table[aria-label='Rows of each two features']")
    assert _cells(visit, "Rows of each two features", 0)[1:] == [f"{len(rows[0] & b):,}" for b in rows]


def check_tokens(visit: Visit, artifacts: Artifacts, features: list[int]) -> None:
    """Lists stand side by side; shared tokens have the effects of the directions."""
    promoted = artifacts.table("influences").filter(direction="promotes", rank=0)
    tops = [promoted.filter(feature=feature)["token"][0] for feature in features]
    shown = visit.page.locator("table[aria-label='Promoted tokens side by side'] tbody tr").first
    assert shown.locator(".token-chip").all_text_contents() == [label(token) for token in tops]
    effects = np.asarray(artifacts.array("directions")[features]) @ artifacts.array("unembed")
    name = "Opposed: one pushes up, another down"
    written = [formats.signed(float(effect)) for effect in effects.T.ravel()]
    known = {tuple(written[i : i + len(features)]) for i in range(0, len(written), len(features))}
    for row in range(visit.page.locator(f"table[aria-label='{name}'] tbody tr").count()):
        assert tuple(_cells(visit, name, row)[1:]) in known


def check_shared_examples(visit: Visit, artifacts: Artifacts, features: list[int]) -> None:
    """Each example says how strongly each feature fires in it, and colours the chosen ones."""
    number = int(visit.text("#shared-examples .place").split()[1].replace(",", ""))
    chips = visit.page.locator("#shared-examples article").first.locator(".maximum").all_inner_texts()
    expected = []
    for feature in features:
        top = float(np.nanmax(artifacts.example(number, feature).acts))
        expected += [f"{feature} {formats.decimal(top)}"] if top > 0 else []
    assert chips == expected
    visit.page.click("#colour")
    visit.page.get_by_role("option", name=str(features[1]), exact=True).click()
    visit.page.wait_for_function(f"location.search.includes('colour={features[1]}')")
    visit.page.locator("#shared-examples .scale", has_text=f"feature {features[1]}").first.wait_for()


def check_choosing(visit: Visit, artifacts: Artifacts, features: list[int]) -> None:
    """A feature is taken out by a click, and added by its number; Back undoes it."""
    a, b = features[:2]
    visit.open(f"/compare?features={a},{b}")
    visit.page.locator("#compared-features .filter-off").first.click()
    visit.page.get_by_text("Name another feature above").wait_for()
    assert visit.page.url.endswith(f"/compare?features={b}")
    visit.page.fill("#compare-add", str(a))
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#shared-examples")
    assert visit.page.url.endswith(f"/compare?features={b},{a}")
    visit.page.go_back()
    visit.page.get_by_text("Name another feature above").wait_for()
    d_sae = artifacts.row_store().d_sae
    visit.open(f"/compare?features={a},{d_sae}")
    assert "expected" in visit.text("#page")


def check_matches(visit: Visit, others: dict[str, Artifacts], mine: Artifacts, feature: int) -> None:
    """The nearest feature of each other model type, with its cosine; a click leads there."""
    visit.open(f"/feature/{feature}")
    own = np.asarray(mine.array("directions")[feature], dtype=np.float64)
    for place, (name, theirs) in enumerate(others.items()):
        rows = np.asarray(theirs.array("directions"), dtype=np.float64)
        cosines = rows @ own / (np.linalg.norm(rows, axis=1) * np.linalg.norm(own))
        best = int(np.argmax(cosines))
        visit.page.wait_for_selector("#matches-found .match")
        group = visit.page.locator("#matches-found > div").nth(place)
        assert group.locator("h3").inner_text().startswith(name)
        assert group.locator(".match-feature").first.inner_text() == str(best)
        assert group.locator(".match-cosine").first.inner_text() == f"{cosines[best]:.3f}"


def check_all_of_comparing(visit: Visit, artifacts: Artifacts) -> None:
    """All of the above but the matches, which need another model type."""
    features = together(artifacts)
    visit.open(f"/compare?features={','.join(map(str, features))}")
    check_statistics(visit, artifacts, features)
    check_tokens(visit, artifacts, features)
    check_shared_examples(visit, artifacts, features)
    check_overlap(visit, artifacts, features)
    check_choosing(visit, artifacts, features)
