"""What must hold where a page asks the model: what is shown equals what Python and the store say."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import polars as pl

from dashboard import formats
from dashboard.questions.passages import LONGEST_TEXT
from precompute.reading import Artifacts
from tests.browser.served import Visit

SLOW = 120_000
"""Milliseconds in which the model is loaded and answers."""
HARD = "<s> <br> &lt; <b>bold</b> \u202eabc"


def drawn(visit: Visit, path: str) -> None:
    """Open a prompt and wait for what the model says."""
    visit.open(path)
    visit.page.wait_for_selector("#prompt-tokens .token", timeout=SLOW)
    visit.page.wait_for_selector("#prompt-token-panel", timeout=SLOW)


def parameters(visit: Visit) -> dict[str, list[str]]:
    """What the address keeps."""
    return parse_qs(urlsplit(visit.page.url).query, keep_blank_values=True)


def stored_features(artifacts: Artifacts, example: int, place: int) -> list[tuple[int, float]]:
    """Features of a row of an example and their activations, strongest first."""
    store = artifacts.row_store()
    features, acts = store.row(store.example_rows(example).start + place)
    order = np.lexsort((np.asarray(features), -np.asarray(acts, dtype=float)))
    return [(int(features[i]), float(acts[i])) for i in order]


def check_example(visit: Visit, artifacts: Artifacts, example: int = 5) -> None:
    """The strongest features of each token are those of the store, in its order."""
    drawn(visit, f"/prompt?example={example}")
    rows = visit.page.locator("#prompt-rows .prompt-row")
    assert rows.count() == len(artifacts.row_store().example_rows(example))
    for place in (0, 3):
        chips = rows.nth(place).locator(".strength-chip")
        expected = stored_features(artifacts, example, place)[: chips.count()]
        found = [(int(c.get_attribute("data-feature") or -1), c.inner_text()) for c in chips.all()]
        assert [feature for feature, _ in found] == [feature for feature, _ in expected]
        for (_, text), (feature, act) in zip(found, expected, strict=True):
            assert abs(float(text.removeprefix(str(feature)).split()[0]) / act - 1) < 2e-3
    assert chips.count() > 0


def check_choosing(visit: Visit) -> None:
    """A token, a next token and a pin are chosen, kept in the address, and there again after a reload."""
    drawn(visit, f"/prompt?text={quote('return the value of a list')}")
    tokens = visit.page.locator("#prompt-tokens .token")
    last = tokens.count() - 1
    assert "here" in (tokens.nth(last).get_attribute("class") or "")
    visit.page.wait_for_selector("#prompt-next-tokens .next-token:nth-child(3)")
    of_last = visit.page.inner_text("#prompt-token")
    tokens.nth(1).click()
    visit.page.wait_for_function("location.search.includes('token=1')")
    # Until then the list is that of the token before.
    visit.page.wait_for_function(
        "said => document.querySelector('#prompt-token').innerText !== said"
        " && document.querySelector('#prompt-next-tokens .next-token:nth-child(3)')",
        arg=of_last,
    )
    visit.page.locator("#prompt-next-tokens .next-token").nth(2).click()
    visit.page.wait_for_selector("#prompt-next-tokens .next-token.here:nth-child(3)")
    pin = visit.page.locator(".prompt-contributions .pin-button").first
    feature = pin.get_attribute("data-pin")
    pin.click()
    visit.page.wait_for_function(f"location.search.includes('pins={feature}')")
    visit.page.wait_for_selector(".legend-entry")
    before = visit.page.inner_text("#prompt-token")
    kept = parameters(visit)
    assert set(kept) == {"text", "token", "next", "pins"}
    visit.page.reload()
    visit.page.wait_for_selector(".legend-entry", timeout=SLOW)
    visit.page.wait_for_selector("#prompt-next-tokens .next-token.here:nth-child(3)", timeout=SLOW)
    assert parameters(visit) == kept
    assert visit.page.inner_text("#prompt-token") == before
    assert f"feature {feature}" in visit.text("#prompt-legend")
    coloured = (
        "Array.from(document.querySelectorAll('#prompt-tokens .token')).filter(t => t.style.background)"
    )
    assert visit.page.evaluate(f"{coloured}.length") > 0
    visit.page.locator(".legend-entry .pin-button").click()
    visit.page.wait_for_function("!location.search.includes('pins')")


def check_contributions(visit: Visit) -> None:
    """Contributions are listed by size, and add up to the sum in the sentence."""
    drawn(visit, f"/prompt?text={quote('open the file')}&token=1")
    cells = visit.page.locator(".prompt-contributions tbody tr td:nth-child(4)").all_inner_texts()
    values = [float(cell.replace(",", "")) for cell in cells]
    assert values
    sizes = [abs(value) for value in values]
    assert sizes == sorted(sizes, reverse=True)
    sentence = visit.text("#prompt-token .caption")
    total = float(sentence.split("together ")[1].split(" of the")[0].replace(",", ""))
    assert abs(total - sum(values)) <= 0.005 * sum(sizes) + 1e-3


def check_writing(visit: Visit) -> None:
    """A text is read by Ctrl+Enter, shown as it is, and Back leads to the one before."""
    visit.open("/prompt")
    assert "Nothing is read yet" in visit.text("#prompt-results")
    visit.page.fill("#prompt-text", HARD)
    visit.page.press("#prompt-text", "Control+Enter")
    visit.page.wait_for_selector("#prompt-tokens .token", timeout=SLOW)
    assert parameters(visit) == {"text": [HARD]}
    shown = "".join(visit.page.locator("#prompt-tokens .token").all_text_contents())
    assert "<s> <br> &lt; <b>bold</b>" in shown
    assert "\u202e" not in shown  # By its code point, or by its bytes where the tokens cut it up.
    assert shown.endswith("abc")
    assert visit.page.locator("#prompt-tokens b").count() == 0
    visit.page.fill("#prompt-text", "the value")
    visit.page.click("#prompt-read")
    visit.page.wait_for_function(
        "document.querySelector('#prompt-tokens')?.innerText.includes('the value')", timeout=SLOW
    )
    visit.page.go_back()
    visit.page.wait_for_function("document.querySelector('#prompt-tokens')?.innerText.includes('bold')")
    visit.page.go_back()
    visit.page.wait_for_function("document.querySelector('#prompt-results').innerText.includes('Nothing is')")


def check_long_texts(visit: Visit) -> None:
    """One that is too long for an address is kept in the browser; one that is too long is refused."""
    visit.open("/prompt")
    visit.page.fill("#prompt-text", "the value of a list " * 300)
    visit.page.click("#prompt-read")
    visit.page.wait_for_selector("#prompt-tokens .token", timeout=SLOW)
    assert list(parameters(visit)) == ["kept"]
    assert "kept in this browser" in visit.text("#prompt-note")
    n_tokens = visit.page.locator("#prompt-tokens .token").count()
    visit.page.reload()
    visit.page.wait_for_selector("#prompt-tokens .token", timeout=SLOW)
    assert visit.page.locator("#prompt-tokens .token").count() == n_tokens
    assert visit.page.input_value("#prompt-text").startswith("the value of a list")
    visit.page.fill("#prompt-text", "x" * 100_000)
    visit.page.click("#prompt-read")
    sentence = f"text of 100,000 characters; expected at most {LONGEST_TEXT:,}"
    visit.page.get_by_text(sentence).wait_for()
    visit.open("/prompt?kept=nothing")
    visit.page.get_by_text("stayed in the browser where it was written").wait_for()


def check_contrast(visit: Visit, artifacts: Artifacts) -> None:
    """Features are ranked by their difference; a text's own words come out on its own side."""
    visit.open("/prompt?mode=contrast")
    visit.page.fill("#contrast-a", "return the value\nreturn the list\nreturn the order")
    visit.page.fill("#contrast-b", "open file path\nopen file read\nopen file write")
    visit.page.click("#contrast-compare")
    visit.page.wait_for_selector("#contrast-about", timeout=SLOW)
    assert visit.text("#contrast-about").startswith("A: 3 texts. B: 3 texts.")
    assert set(parameters(visit)) == {"mode", "a", "b"}
    visit.page.get_by_text("Mean activation", exact=True).click()
    visit.page.wait_for_function("location.search.includes('measure=mean')")
    visit.page.wait_for_function("document.querySelector('#contrast-about').innerText.includes('mean act')")
    for panel, sign in (("#more-a", 1), ("#more-b", -1)):
        cells = visit.page.locator(f"{panel} tbody tr td:nth-child(4)").all_inner_texts()
        values = [sign * float(cell.replace(",", "")) for cell in cells]
        assert values == sorted(values, reverse=True)
        assert values[-1] > 0


def check_contrast_of_the_corpus(visit: Visit, artifacts: Artifacts, column: str, a: str, b: str) -> None:
    """Shares of texts are those of the store."""
    visit.open(f"/prompt?mode=contrast&source=corpus&a={quote(f'{column}:{a}')}&b={quote(f'{column}:{b}')}")
    visit.page.wait_for_selector("#contrast-about", timeout=SLOW)
    feature = int(visit.page.locator("#more-a tbody .feature-link").first.inner_text())
    found = visit.page.locator("#more-a tbody tr").first.locator("td").all_inner_texts()[1:3]
    assert found == [formats.share(share_of_texts(artifacts, feature, column, value)) for value in (a, b)]


def share_of_texts(artifacts: Artifacts, feature: int, column: str, value: str) -> float:
    """Share of the corpus's texts with a metadata value on which a feature fires."""
    texts = artifacts.table("corpus").filter(pl.col(column).cast(pl.String) == value)["text_index"]
    of_example = artifacts.table("windows")["text_index"].to_numpy()
    store = artifacts.row_store()
    of_row = of_example[store.row_examples()]
    own = set(np.unique(of_row).tolist()) & set(texts.to_list())
    active = set(np.unique(of_row[np.asarray(artifacts.feature(feature).rows)]).tolist())
    return len(own & active) / len(own)


def check_effect(visit: Visit, artifacts: Artifacts) -> None:
    """A feature is set to zero on its strongest example; what is shown adds up and is kept."""
    stats = artifacts.table("feature_stats").sort("n_nonzero", descending=True)
    feature = int(stats["feature"][0])
    visit.open(f"/feature/{feature}")
    assert "press Run" in visit.text("#effect-results")
    visit.page.click("#effect-run")
    visit.page.wait_for_selector("#effect-sentence", timeout=SLOW)
    assert parameters(visit) == {"effect": ["zero"]}
    top = artifacts.table("examples").filter(feature=feature, band="top").sort("rank").row(0, named=True)
    shown = visit.page.locator("#effect-text-shown .token.here").get_attribute("title") or ""
    assert f"position {top['position']} " in shown
    assert f"activation {top['activation']:.4g}"[:14] in shown
    before = visit.page.locator("#effect-next tbody tr td:nth-child(2)").all_inner_texts()
    assert 0 < sum(float(cell.rstrip(" %").replace(",", "")) for cell in before) <= 100.5
    visit.page.locator("#effect-text-shown .token").first.click()
    visit.page.wait_for_function("location.search.includes('at=0')")
    visit.page.wait_for_selector("#effect-text-shown .token.here[data-at='0']")
    sentence = visit.text("#effect-sentence")
    visit.page.reload()
    visit.page.wait_for_selector("#effect-text-shown .token.here[data-at='0']", timeout=SLOW)
    assert visit.text("#effect-sentence") == sentence
    assert parameters(visit) == {"effect": ["zero"], "at": ["0"]}


def check_steering(visit: Visit, feature: int) -> None:
    """A value is added on a text that is written; odd values get a sentence."""
    visit.open(f"/feature/{feature}")
    visit.page.fill("#effect-text", "return the")
    visit.page.locator("#effect-mode").get_by_text("Add", exact=True).click()
    visit.page.fill("#effect-value", "30")
    visit.page.press("#effect-value", "Tab")
    visit.page.click("#effect-run")
    visit.page.wait_for_selector("#effect-sentence", timeout=SLOW)
    assert parameters(visit) == {"effect": ["add:30"], "text": ["return the"]}
    assert f"Feature {feature} with 30.00 added on every token" in visit.text("#effect-sentence")
    assert visit.page.locator(".effect-written").count() == 2
    visit.page.fill("#effect-value", "many")
    visit.page.press("#effect-value", "Tab")
    visit.page.click("#effect-run")
    visit.page.get_by_text("expected zero, set:NUMBER or add:NUMBER").wait_for()


def check_all_of_prompts(visit: Visit, artifacts: Artifacts) -> None:
    """Every page and section that asks the model."""
    check_example(visit, artifacts)
    check_choosing(visit)
    check_contributions(visit)
    check_writing(visit)
    check_long_texts(visit)
    check_contrast(visit, artifacts)
    check_effect(visit, artifacts)
    check_steering(visit, 7)
