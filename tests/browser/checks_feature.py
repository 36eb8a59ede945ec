"""What must hold on the feature page of any served model type, section by section.

Its values are those of the artifacts, read with Polars, and every choice is kept in the address.
"""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from dashboard import formats
from dashboard.token_view import label
from precompute.reading import Artifacts
from tests.browser.served import Visit


def check_all_of_feature(visit: Visit, artifacts: Artifacts) -> None:
    """Every check below, on a feature that fires on enough rows to have all of it."""
    feature = usual_feature(artifacts)
    for check in CHECKS:
        check(visit, artifacts, feature)


def usual_feature(artifacts: Artifacts) -> int:
    """One in the middle by frequency, among those with all that the sections show."""
    stats = artifacts.table("feature_stats").filter(pl.col("n_nonzero") > 20).sort("n_nonzero", "feature")
    placed = artifacts.table("feature_map").filter(pl.col("cluster") >= 0)["feature"]
    firing = stats.filter(pl.col("feature").is_in(placed.implode()))["feature"]
    return int((firing if len(firing) else stats["feature"])[len(firing) // 2])


def column(visit: Visit, table: str, number: int) -> list[str]:
    """A column of a table, by the table's name and the column's place from 1."""
    cells = visit.page.locator(f"table[aria-label='{table}'] tbody tr > :nth-child({number})")
    cells.first.wait_for(state="attached")
    return cells.all_text_contents()


def check_statistics(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Every statistic, with the explanation that appears on keyboard focus."""
    visit.open(f"/feature/{feature}")
    stats = artifacts.table("feature_stats").filter(feature=feature).row(0, named=True)
    logit = artifacts.table("logit_stats").filter(feature=feature).row(0, named=True)
    assert visit.fact("Active rows") == f"{stats['n_nonzero']:,}"
    assert visit.fact("Examples") == f"{stats['n_examples']:,}"
    tiles = {"Mean (active)": "mean_active", "Median (active)": "median", "Std": "std", "Maximum": "max"}
    for name, key in tiles.items():
        assert visit.fact(name) == formats.decimal(stats[key]), name
    assert visit.fact("Decoder norm") == formats.decimal(stats["decoder_norm"])
    assert visit.fact("Logit kurtosis") == formats.decimal(logit["kurtosis"])
    shown = visit.text(".tiles")
    for value in (stats["q25"], stats["q75"], stats["min"], stats["mean"], logit["skewness"]):
        assert formats.decimal(value) in shown
    assert f"sparsity {formats.decimal(stats['sparsity'], 4)}" in shown
    visit.page.locator(".explains", has_text="Share active").focus()
    visit.page.get_by_text("sparsity = 1 - that share").wait_for()


def check_chips(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Similar and co-active features in the heading; one click leads there."""
    visit.open(f"/feature/{feature}")
    nearest = artifacts.table("neighbors").filter(feature=feature).sort("rank")["neighbor"].to_list()
    together = artifacts.table("coactivations").filter(feature=feature).sort("rank")["other"].to_list()
    chips = visit.page.locator(".related .chip-feature").all_text_contents()
    assert chips == [str(other) for other in [*nearest[:5], *together[:5]]]
    visit.page.locator(".related .feature-chip").first.click()
    visit.page.wait_for_function(f"document.querySelector('#feature-title')?.innerText === '{nearest[0]}'")


def check_histogram(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Its data are the artifact's; a click on a bar shows examples of that range, drawn from the store."""
    visit.open(f"/feature/{feature}?rows=all")
    row = artifacts.table("histograms").filter(feature=feature).row(0, named=True)
    counts = column(visit, "Activation: data of the figure", 3)
    assert [int(n.replace(",", "")) for n in counts] == [row["n_zero"], *row["counts"]]
    visit.open(f"/feature/{feature}")
    bars = visit.page.locator("#histogram-figure .bars path")
    bars.first.wait_for(state="attached")
    peak = int(np.argmax(row["counts"]))
    box = bars.nth(peak).bounding_box()
    assert box is not None
    visit.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.wait_for_function("location.search.includes('range=')")
    about = visit.page.locator(".band-about", has_text="Activations from")
    about.wait_for()
    rows = f"{row['counts'][peak]:,} row"
    assert f": {rows}" in about.inner_text()
    low, high = row["bin_edges"][peak : peak + 2]
    shown = visit.page.locator("#examples article .activation").all_text_contents()
    assert shown
    assert all(low * 0.999 <= float(text.replace(",", "")) <= high * 1.001 for text in shown)
    visit.page.reload()
    visit.page.locator(".band-about", has_text="Activations from").wait_for()
    assert visit.page.locator("#examples article .activation").all_text_contents() == shown


def check_token_search(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Any token's value and rank: those of the most promoted and suppressed ones are in the artifact."""
    visit.open(f"/feature/{feature}")
    table = artifacts.table("influences").filter(feature=feature, rank=0)
    d_vocab = artifacts.array("unembed").shape[1]
    for direction, rank in (("promotes", 1), ("suppresses", d_vocab)):
        found = table.filter(direction=direction).row(0, named=True)
        visit.page.fill("#token", f"#{found['token_id']}")
        visit.page.keyboard.press("Enter")
        visit.page.locator("#token-found td", has_text=formats.signed(found["influence"], 4)).wait_for()
        cells = visit.page.locator("#token-found td").all_text_contents()
        assert cells == [label(found["token"]), formats.signed(found["influence"], 4), f"{rank:,}"]
    visit.page.wait_for_function("location.search.includes('token=%23')")
    assert f"{d_vocab:,}" in visit.text("#token-found th:last-child")


def check_whole_effect(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """The histogram of its effect on the whole vocabulary."""
    visit.open(f"/feature/{feature}")
    row = artifacts.table("logit_stats").filter(feature=feature).row(0, named=True)
    counts = column(visit, "Logit effect: data of the figure", 3)
    assert [int(n.replace(",", "")) for n in counts] == row["counts"]


def check_bands(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Every band, down to near zero and near misses, shows its examples by rank, on one scale."""
    visit.open(f"/feature/{feature}")
    table = artifacts.table("examples")
    for name in table["band"].unique().to_list():
        expected = table.filter(feature=feature, band=name).sort("rank")
        visit.page.locator(f"#band label[for$='-{name}']").click()
        visit.page.wait_for_load_state("networkidle")
        # The band before it may have had as many examples: only their values tell them apart.
        wanted = sorted(formats.decimal(act, 4) for act in expected["activation"])
        visit.page.wait_for_function(
            """wanted => {
              const shown = document.querySelectorAll('#examples article .activation');
              return JSON.stringify(Array.from(shown, (one) => one.textContent).sort()) === wanted;
            }""",
            arg=json.dumps(wanted, separators=(",", ":"), ensure_ascii=False),
        )
    largest = artifacts.table("feature_stats").filter(feature=feature)["max"][0]
    assert f"{formats.decimal(largest)} (maximum)" in visit.text(".scale")


def check_token_readout(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """On keyboard focus a token tells its activation, its position, and what it adds to the next token."""
    visit.open(f"/feature/{feature}")
    top = artifacts.table("examples").filter(feature=feature, band="top", rank=0).row(0, named=True)
    example = artifacts.example(top["example"], feature)
    visit.page.wait_for_load_state("networkidle")
    visit.page.locator("#examples article .focus").first.focus()
    said = visit.page.locator("#token-readout").inner_text()
    assert f"position {top['position']} · activation {top['activation']:.4g}" in said
    following = top["position"] + 1
    if following < len(example.token_ids):
        token = int(example.token_ids[following])
        effect = float(artifacts.array("directions")[feature] @ artifacts.array("unembed")[:, token])
        change = float(said.split(": ")[-1].split(" logits")[0])
        assert abs(change - top["activation"] * effect) <= 0.01 * abs(top["activation"] * effect) + 1e-6
        assert f"next token {label(example.str_tokens[following])}: " in said


def check_context(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """A click widens one example; a choice shows all of them whole; their text is the example's, exactly."""
    visit.open(f"/feature/{feature}?extent=whole")
    top = artifacts.table("examples").filter(feature=feature, band="top", rank=0).row(0, named=True)
    example = artifacts.example(top["example"], feature)
    text = visit.page.locator("#examples article .text").first
    pieces = text.locator("bdi").all_text_contents()
    running = [label(token).replace("␣", " ") for token in example.str_tokens]
    assert "".join(pieces) == "".join(running)
    visit.page.locator("#extent label", has_text="Excerpts").click()
    visit.page.wait_for_function("!location.search.includes('extent')")
    cut = visit.page.locator("#examples article button.cut").first
    if cut.count():
        hidden = visit.page.locator("#examples article:has(button.cut) .rest").first
        assert not hidden.is_visible()
        cut.click()
        assert hidden.is_visible()


def check_second_feature(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """A second feature is laid over, on a scale of its own, and kept in the address."""
    other = artifacts.table("coactivations").filter(feature=feature).sort("rank")["other"][0]
    visit.open(f"/feature/{feature}")
    visit.page.fill("#overlay", str(other))
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_function(f"location.search.includes('overlay={other}')")
    visit.page.locator(".scale-bar.second").wait_for()
    largest = artifacts.table("feature_stats").filter(feature=other)["max"][0]
    assert f"{formats.decimal(largest)} (maximum of feature {other})" in visit.text(".scales")
    article = visit.page.locator("#examples article").first
    top = artifacts.table("examples").filter(feature=feature, band="top", rank=0).row(0, named=True)
    acts = np.nan_to_num(artifacts.example(top["example"], other).acts)
    assert article.locator("bdi.second").count() == int((acts > 0).sum())


def check_conditions(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Only texts with a value of the metadata; one example by its number; a range by hand."""
    own = ("text_index", "text_id", "text", "n_tokens", "duplicate_of")
    corpus = artifacts.table("corpus")
    names = [name for name in corpus.columns if name not in own]
    if names:
        examples = artifacts.table("examples").filter(feature=feature, band="top").sort("rank")
        windows = artifacts.table("windows").select("example", "text_index")
        texts = examples.join(windows, on="example").join(corpus, on="text_index").sort("rank")
        value = texts[names[0]][0]
        visit.open(f"/feature/{feature}?where={names[0]}:{value}")
        shown = visit.page.locator("#examples article").first
        assert shown.locator(".activation").inner_text() == formats.decimal(texts["activation"][0], 4)
        assert str(value) in (shown.locator(".metadata").get_attribute("title") or "")
        assert f"with {names[0]} {value}" in visit.text(".band-about")
    top = artifacts.table("examples").filter(feature=feature, band="top", rank=0)["example"][0]
    visit.open(f"/feature/{feature}")
    visit.page.locator("#examples article a.place").first.click()
    visit.page.wait_for_function("location.search.includes('where=example:')")
    visit.page.locator(".band-about", has_text=f"Example {top:,}").wait_for()
    assert visit.page.locator("#examples article").count() == 1
    visit.page.locator("#band label", has_text="Q1").click()
    visit.page.locator(".band-about", has_text="Quantile band 1").wait_for()
    assert "where=" not in visit.page.url


def check_typical_tokens(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """TF-IDF tokens as a table, and in bold in the examples."""
    visit.open(f"/feature/{feature}?extent=whole&bold=tfidf")
    table = artifacts.table("tfidf").filter(feature=feature).sort("rank")
    assert column(visit, "TF-IDF tokens", 1) == [label(token) for token in table["token"]]
    assert column(visit, "TF-IDF tokens", 3) == [formats.decimal(value) for value in table["tfidf"]]
    top = artifacts.table("examples").filter(feature=feature, band="top", rank=0)["example"][0]
    example, typical = artifacts.example(top, feature), set(table["token_id"])
    bold = visit.page.locator("#examples article").first.locator("bdi.bold").all_text_contents()
    pairs = zip(example.token_ids, example.str_tokens, example.acts, strict=True)
    expected = [label(t).replace("␣", " ") for i, t, act in pairs if i in typical and not np.isnan(act)]
    assert "".join(bold) == "".join(expected)


def check_fires_on(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Tokens, pairs and triples, with the share of their occurrences that fire."""
    visit.open(f"/feature/{feature}")
    table = artifacts.table("token_contexts").filter(feature=feature)
    tokens = artifacts.table("vocabulary").sort("token_id")["token"].to_list()
    for n, name in ((1, "Tokens"), (2, "Pairs"), (3, "Triples")):
        listed = table.filter(n=n).head(10)
        if listed.is_empty():
            continue
        grams = column(visit, f"{name} on which it fires", 1)
        assert grams == ["".join(label(tokens[i]) for i in gram) for gram in listed["ngram"]]
        assert column(visit, f"{name} on which it fires", 2) == [f"{n:,}" for n in listed["count"]]
        shares = column(visit, f"{name} on which it fires", 3)
        assert shares == [formats.share(share) for share in listed["share"]]


def check_kinds_of_text(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Shares of a metadata value among active rows and in the corpus, with lift; a click is a condition."""
    visit.open(f"/feature/{feature}")
    visit.page.locator("#metadata .empty, #metadata .caption, #metadata table").first.wait_for()
    if not visit.page.locator("#metadata table").count():
        return
    name = (visit.page.locator("#metadata table").first.get_attribute("aria-label") or "").split(" by ")[1]
    store = artifacts.row_store()
    texts = artifacts.table("windows").join(artifacts.table("corpus"), on="text_index", maintain_order="left")
    values = texts.sort("example")[name].cast(pl.String)
    fired = values.gather(store.locate(artifacts.feature(feature).rows).example)
    every = values.gather(store.locate(np.arange(store.n_rows)).example)
    counts = fired.drop_nulls().value_counts().sort("count", name, descending=[True, False])
    assert column(visit, f"Shares by {name}", 1) == counts[name].to_list()
    assert column(visit, f"Shares by {name}", 2) == [f"{n:,}" for n in counts["count"]]
    in_corpus = dict(every.drop_nulls().value_counts().iter_rows())
    n_fired, n_rows = len(fired.drop_nulls()), len(every.drop_nulls())
    pairs = [(n / n_fired, in_corpus[value] / n_rows) for value, n in counts.iter_rows()]
    assert column(visit, f"Shares by {name}", 4) == [formats.share(share) for share, _ in pairs]
    assert column(visit, f"Shares by {name}", 7) == [formats.decimal(a / b) for a, b in pairs]
    visit.page.locator("#metadata .sets-where").first.click()
    visit.page.wait_for_function("location.search.includes('where=')")
    visit.page.locator(".band-about", has_text=f"with {name} {counts[name][0]}").wait_for()


def check_relations(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Nearest directions, co-activating features and the cluster."""
    visit.open(f"/feature/{feature}")
    nearest = artifacts.table("neighbors").filter(feature=feature).sort("rank")
    chips = visit.page.locator("#neighbors .chip-feature").all_text_contents()
    assert chips == [str(other) for other in nearest["neighbor"]]
    together = artifacts.table("coactivations").filter(feature=feature).sort("rank")
    assert column(visit, "Co-activating features", 1) == [str(other) for other in together["other"]]
    assert column(visit, "Co-activating features", 4) == [formats.decimal(v) for v in together["pearson"]]
    assert column(visit, "Co-activating features", 5) == [formats.decimal(v) for v in together["lift"]]
    places = artifacts.table("feature_map")
    own = places.filter(feature=feature).row(0, named=True)
    if own["cluster"] >= 0:
        n = places.filter(cluster=own["cluster"]).height
        assert visit.text("#cluster").startswith(formats.plural(n, "feature"))


def check_scatter(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """Two features over the rows on which either fires; the second one is chosen from the table."""
    visit.open(f"/feature/{feature}")
    visit.page.locator("#coactivations .sets-with").last.click()
    other = artifacts.table("coactivations").filter(feature=feature).sort("rank")["other"][-1]
    visit.page.wait_for_function(f"location.search.includes('with={other}')")
    mine, theirs = artifacts.feature(feature), artifacts.feature(other)
    either, both = np.union1d(mine.rows, theirs.rows), np.intersect1d(mine.rows, theirs.rows)
    words = f"n = {len(either):,} rows on which either fires"
    visit.page.locator("#scatter .caption", has_text=words).wait_for()
    sentence = visit.text("#scatter .caption")
    assert f"on {len(both):,} both do" in sentence
    assert f"Jaccard {formats.decimal(len(both) / len(either))}" in sentence
    visit.page.wait_for_selector("#scatter-figure .point, #scatter-figure canvas", state="attached")
    dots = visit.page.locator("#scatter-figure .scatterlayer .point").count()
    assert dots == min(len(either), 5000)


def check_links(visit: Visit, artifacts: Artifacts, feature: int) -> None:
    """A link to a section opens the page there; the code for the same data is at hand; r goes somewhere."""
    visit.open(f"/feature/{feature}#relations")
    visit.page.wait_for_function(
        "() => { const at = document.getElementById('relations').getBoundingClientRect().top;"
        " return at < window.innerHeight && at > -5; }"
    )
    visit.page.get_by_text("Python", exact=True).click()
    assert f"artifacts.feature({feature})" in visit.text("#snippet")
    visit.page.keyboard.press("Escape")
    visit.open(f"/feature/{feature}")
    drawn = visit.page.locator("#random").get_attribute("href")
    visit.page.keyboard.press("r")
    visit.page.wait_for_function(f"location.pathname === '{drawn}'")
    number = int((drawn or "").rsplit("/", 1)[1])
    assert artifacts.table("feature_stats").filter(feature=number)["n_nonzero"][0] > 0


CHECKS = (
    check_statistics,
    check_chips,
    check_histogram,
    check_token_search,
    check_whole_effect,
    check_bands,
    check_token_readout,
    check_context,
    check_second_feature,
    check_conditions,
    check_typical_tokens,
    check_fires_on,
    check_kinds_of_text,
    check_relations,
    check_scatter,
    check_links,
)
