"""What must hold on the page of traits: what is shown equals what the files, the SAE and the model say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dashboard import formats
from dashboard.address import with_parameters
from dashboard.components.trait_panels import WORDS, short_site
from dashboard.questions.traits import BINS, NEAREST, SHOWN
from precompute.extraction.results import TraitResult, open_trait
from precompute.reading import Artifacts
from tests.browser.checks_axe import grave_violations
from tests.browser.served import Visit

SLOW = 120_000
"""Milliseconds in which the model is loaded and answers."""
DRAWN = """name => Array.from(document.querySelectorAll(`#${name} .js-plotly-plot`)[0]?._fullData ?? [])
  .map((one) => ({name: one.name, x: Array.from(one.x), y: Array.from(one.y), width: one.width,
                  above: Array.from(one.error_y?.array ?? []),
                  below: Array.from(one.error_y?.arrayminus ?? [])}))"""


def path_of(directory: Path, **chosen: str) -> str:
    """The address of a trait below `experiments/`, with further choices."""
    return with_parameters("/traits", {"trait": f"{directory.parent.name}/{directory.name}", **chosen})


def summaries(directory: Path) -> dict[str, Any]:
    """What the files say of every method's vectors."""
    named = [(method, directory / "vectors" / f"{method}.json") for method in WORDS]
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in named if path.is_file()}


def opened(visit: Visit, directory: Path, **chosen: str) -> None:
    """Open a trait and wait until its figures are drawn."""
    visit.open(path_of(directory, **chosen))
    for name in ("trait-separation", "trait-projections"):
        visit.page.wait_for_function(f"document.querySelector('#{name} .js-plotly-plot')?._fullData")


def traces(visit: Visit, name: str) -> list[dict[str, Any]]:
    """What a figure draws."""
    found: list[dict[str, Any]] = visit.page.evaluate(DRAWN, name)
    return found


def check_separation(visit: Visit, directory: Path, site: str) -> None:
    """AUC by layer and method, with intervals and random directions, as the files have them."""
    opened(visit, directory, method="probe", site=site)
    of_methods = summaries(directory)
    here = of_methods["probe"]["sites"][site]
    assert visit.fact("Held-out AUC") == formats.decimal(here["auc"])
    assert visit.fact("Random directions") == formats.decimal(here["random_auc"]["mean"])
    assert visit.fact("Effect size") == formats.decimal(here["effect_size"])
    drawn = {trace["name"]: trace for trace in traces(visit, "trait-separation")}
    assert len(drawn) == 1 + len(of_methods)
    for method, summary in of_methods.items():
        trace, sites = drawn[WORDS[method]], summary["sites"].values()
        spans = [one["auc_interval"] or [one["auc"]] * 2 for one in sites]
        assert trace["y"] == [one["auc"] for one in sites]
        pairs = list(zip(sites, spans, strict=True))
        assert trace["above"] == [max(0.0, high - one["auc"]) for one, (_, high) in pairs]
        assert trace["below"] == [max(0.0, one["auc"] - low) for one, (low, _) in pairs]
    first = next(iter(of_methods.values()))["sites"].values()
    assert drawn["random directions, 95 %"]["y"] == [one["random_auc"]["high"] for one in first]


def check_projections(visit: Visit, directory: Path, site: str) -> None:
    """The histograms of both sides are those of the held-out projections, in the same bins."""
    opened(visit, directory, method="mean_diff", site=site)
    table = pl.read_parquet(directory / "vectors" / "projections.parquet").filter(
        pl.col("method") == "mean_diff", pl.col("site") == site, pl.col("is_held_out")
    )
    values = table["projection"].to_numpy().astype(np.float64)
    reach = (float(values.min()), float(values.max()))
    for trace, side in zip(traces(visit, "trait-projections"), (True, False), strict=True):
        counts, edges = np.histogram(values[(table["is_positive"] == side).to_numpy()], BINS, reach)
        assert trace["y"] == counts.tolist()
        np.testing.assert_allclose(trace["x"], (edges[:-1] + edges[1:]) / 2, rtol=1e-4, atol=1e-4)


def check_features(visit: Visit, artifacts: Artifacts, directory: Path, site: str) -> None:
    """The closest features are those of the decoder directions; a link leads to one, and from it back."""
    opened(visit, directory, method="probe", site=site)
    vector = open_trait(directory).direction("probe", site).astype(np.float64)
    directions = np.asarray(artifacts.array("directions"), dtype=np.float64)
    cosines = directions @ vector / np.linalg.norm(directions, axis=1)
    best = np.argsort(-np.abs(cosines), kind="stable")[:NEAREST]
    rows = visit.page.locator("[aria-label='Features closest to the trait vector'] tbody tr")
    assert rows.count() == len(best)
    for row, feature in zip(rows.all(), best.tolist(), strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0].split()[0] == str(feature)
        assert abs(float(cells[2]) - cosines[feature]) < 1e-3
    rows.first.locator("a").click()
    visit.page.wait_for_url(f"**/feature/{best[0]}**")
    aligned = visit.page.locator("[aria-label='Traits aligned with this feature'] tbody tr")
    aligned.first.wait_for()
    told = [row.locator("td").all_inner_texts() for row in aligned.all()]
    (probe,) = [cells for cells in told if cells[:2] == [directory.name, "probe"]]
    assert probe[2] == formats.signed(float(cosines[best[0]]))
    aligned.nth(told.index(probe)).locator("a").click()
    visit.page.wait_for_url("**/traits?**method=probe**")
    visit.page.wait_for_selector("#trait-separation")


def check_differences(visit: Visit, directory: Path, site: str) -> None:
    """Features whose mean activation differs: largest first, each a link, within its interval."""
    opened(visit, directory, site=site)
    rows = visit.page.locator("[aria-label='Features whose mean activation differs most'] tbody tr")
    rows.first.wait_for(timeout=SLOW)
    told = [row.locator("td").all_inner_texts() for row in rows.all()]
    apart = [float(cells[3].replace(",", "")) for cells in told]
    assert [abs(one) for one in apart] == sorted((abs(one) for one in apart), reverse=True)
    for cells, difference in zip(told, apart, strict=True):
        low, high = (float(end.replace(",", "")) for end in cells[4].split(" to "))
        assert low <= difference <= high
    href = rows.first.locator("a").get_attribute("href") or ""
    assert href.endswith(f"/feature/{told[0][0].split()[0]}")


def check_responses(visit: Visit, directory: Path, site: str) -> None:
    """Responses of both sides in turn, every token with its projection: their mean is what was captured."""
    opened(visit, directory, method="mean_diff", site=site)
    shown = visit.page.locator(".trait-response")
    shown.first.wait_for(timeout=SLOW)
    found = expected_responses(open_trait(directory), site)
    assert shown.count() == len(found)
    for one, (side, n_tokens, mean) in zip(shown.all(), found, strict=True):
        head, titles = (
            one.locator(".dim").first.inner_text(),
            [token.get_attribute("title") or "" for token in one.locator("bdi.toward, bdi.away").all()],
        )
        assert head.startswith(f"{side} · mean projection ")
        assert len(titles) == n_tokens
        values = [float(title.rpartition(" ")[2]) for title in titles]
        np.testing.assert_allclose(np.mean(values), mean, rtol=2e-3, atol=2e-3)


def expected_responses(trait: TraitResult, site: str) -> list[tuple[str, int, float]]:
    """Side, number of tokens and projection of those that are shown, from what was captured."""
    table = trait.responses.filter(pl.col("kept") & (pl.col("token_ids").list.len() > 0))
    captured = trait.projections.filter(pl.col("method") == "mean_diff", pl.col("site") == site)
    found = []
    for number in range(SHOWN):
        for polarity, side in (("pos", "positive"), ("neg", "negative")):
            row = table.filter(pl.col("polarity") == polarity).row(number, named=True)
            value = captured.filter(pl.col("example") == row["example"])["projection"].item()
            found.append((side, len(row["token_ids"]), float(value)))
    return found


def check_steering(visit: Visit, directory: Path, site: str) -> None:
    """With a strength of 0 both texts are the same; with another they part; the form stays in the address."""
    opened(visit, directory, site=site, text="return the value", strength="0", length="12")
    for strength, is_same in (("0", True), ("20", False)):
        visit.page.fill("#trait-strength", strength)
        visit.page.click("#trait-write")
        kept = "location.search.includes('strength=20')" if strength == "20" else "true"
        visit.page.wait_for_function(kept)
        texts = visit.page.locator("#trait-written .effect-written .text")
        texts.nth(1).wait_for(timeout=SLOW)
        visit.page.wait_for_selector("#trait-write:not([data-loading])", timeout=SLOW)
        titles = visit.page.locator("#trait-written .effect-written .dim").all_inner_texts()
        assert titles[:2] == ["As it is", "With the vector"]
        plain, steered = texts.all_inner_texts()
        assert (plain == steered) == is_same
    visit.page.fill("#trait-strength", "many")
    visit.page.click("#trait-write")
    visit.page.locator("#trait-written", has_text="a number from -20 to 20").wait_for()


def check_choosing(visit: Visit, directory: Path, site: str) -> None:
    """Method and site are links; the address keeps them, and a reload shows them."""
    opened(visit, directory, method="probe", site=site)
    page = visit.page
    other = next(one for one in open_trait(directory).sites if one != site)
    page.get_by_role("navigation", name="Site").get_by_text(short_site(other), exact=True).click()
    page.wait_for_function(f"decodeURIComponent(location.search).includes('site={other}')")
    page.get_by_role("navigation", name="Method").get_by_text("ICA", exact=True).click()
    page.wait_for_function("location.search.includes('method=ica')")
    expected = summaries(directory)["ica"]["sites"][other]
    chosen = "() => Array.from(document.querySelectorAll('.trait-choices .here'), (a) => a.innerText)"
    for _ in ("chosen", "reloaded"):
        page.wait_for_function(f"({chosen})().slice(1).join() === 'ICA,{short_site(other)}'")
        assert visit.fact("Effect size") == formats.decimal(expected["effect_size"])
        page.reload()


def check_for_all(visit: Visit, directory: Path, site: str, scheme: str) -> None:
    """Axe finds nothing serious once the model has answered."""
    visit.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    opened(visit, directory, site=site, text="return the value")
    visit.page.locator(".trait-response").first.wait_for(timeout=SLOW)
    visit.page.locator("[aria-label='Features whose mean activation differs most']").wait_for(timeout=SLOW)
    visit.page.click("#trait-write")
    visit.page.locator("#trait-written .text").nth(1).wait_for(timeout=SLOW)
    assert grave_violations(visit) == []
