"""Scores: what each judge gives, and that what could not be scored is null."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from precompute.errors import UsageError
from precompute.extraction import TextModel, endpoint
from precompute.extraction.definition import Instructions, TraitDefinition
from precompute.extraction.endpoint import Endpoint
from precompute.extraction.judges import asked, check_judge, score_responses
from precompute.extraction.number_judge import NumberJudge
from precompute.extraction.settings import JudgeSettings
from precompute.progress import Silent
from tests.tiny import make_language_model

DEFINITION = TraitDefinition(
    instructions=(Instructions(pos="p", neg="n"),),
    questions=("why {answer}?", "how"),
    evaluation_prompt="{question} -> {answer} :",
    keywords=("Error",),
)


def table(responses: list[str]) -> pl.DataFrame:
    polarities = ["pos", "neg"] * len(responses)
    return pl.DataFrame(
        {"question": [0] * len(responses), "response": responses, "polarity": polarities[: len(responses)]}
    )


def scored(judge: str, responses: list[str], **given: Any) -> pl.DataFrame:
    chosen = JudgeSettings(judge=judge, **given)  # type: ignore[arg-type]
    return score_responses(table(responses), DEFINITION, chosen, None, Silent())  # type: ignore[arg-type]


def test_keywords_score_and_nothing_is_null() -> None:
    found = scored("keywords", ["an ERROR", "an error", "fine", "fine", " ", ""])
    assert found["score"].to_list() == [100, 100, 0, 0, None, None]
    assert found["kept"].to_list() == [True, False, False, True, False, False]
    assert scored("none", ["a", ""])["kept"].to_list() == [True, True]
    assert scored("none", ["a", ""])["score"].to_list() == [None, None]


def test_braces_of_questions_and_answers_stay() -> None:
    assert asked(DEFINITION, "why {answer}?", "{question}") == "why {answer}? -> {question} :"


@pytest.mark.parametrize(
    ("judge", "changes", "message"),
    [
        ("keywords", {"keywords": ()}, "without keywords"),
        ("model", {"evaluation_prompt": "{question}"}, "without an evaluation prompt"),
        ("endpoint", {}, "--judge-url None"),
    ],
)
def test_a_judge_that_lacks_something_is_refused(judge: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_judge(JudgeSettings(judge=judge), DEFINITION.model_copy(update=changes))


def test_the_local_judge_expects_the_number_over_all_spellings(tmp_path: Path) -> None:
    """Digits of a byte-level tokenizer: the probability of each number is that of its digits and an end."""
    make_language_model(tmp_path, ["a 7 b 10 c 100"] * 3)
    model = TextModel.load(str(tmp_path), device="cpu")
    judge = NumberJudge(model)
    judge_next = judge._next
    digits = {token: text for token, text in enumerate(model.str_tokens) if text.strip(" ").isdecimal()}
    assert judge.score("rate this") is None  # A random model does not write numbers.

    def eager(ids: list[int]) -> np.ndarray:
        likely = judge_next(ids)
        likely[list(digits)] += 0.05 * (1 + np.arange(len(digits)) % 3)
        return likely / likely.sum()

    judge._next = eager  # type: ignore[method-assign]
    start = [0, *model.tokenizer("rate this")["input_ids"]]

    def mass(ids: list[int], written: str) -> dict[int, float]:
        likely, found, ends = eager(ids), dict[int, float](), 1.0
        for token, text in digits.items():
            number = written + (text.strip(" ") if not written else text)
            if number.isdecimal() and str(int(number)) == number and int(number) <= 100:
                ends -= likely[token]
                for value, share in mass([*ids, token], number).items():
                    found[value] = found.get(value, 0.0) + likely[token] * share
        if written:
            found[int(written)] = found.get(int(written), 0.0) + ends
        return found

    expected = mass(start, "")
    total = sum(expected.values())
    assert total > 0.25
    mean = sum(value * share for value, share in expected.items()) / total
    assert judge.score("rate this") == pytest.approx(mean, abs=0.5)
    assert judge.score("long " * 200) is None


class Answers(BaseHTTPRequestHandler):
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
        text = body["messages"][0]["content"]
        if "broken" in text:
            self.send_error(500)
            return
        shares = {"80": 0.6, " 20": 0.2, "no": 0.2} if "shares" in text else {"I": 0.9, "5": 0.01}
        told = [{"token": token, "logprob": math.log(share)} for token, share in shares.items()]
        choice: dict[str, Any] = {"message": {"content": "I say 42." if "says" in text else "I cannot"}}
        if "plain" not in text:
            choice["logprobs"] = {"content": [{"top_logprobs": told}]}
        answer = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_scores_and_its_failures_are_null(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint.time, "sleep", lambda _: None)
    monkeypatch.setenv(endpoint.KEY_VARIABLE, "secret")
    Answers.seen.clear()
    found = scored(
        "endpoint",
        ["shares", "says", "plain says", "refuses", "broken", ""],
        judge_url=address,
        judge_model="some",
    )
    assert found["score"].to_list() == [pytest.approx(65), 42, 42, None, None, None]
    assert found["kept"].to_list() == [True, True, False, False, False, False]
    assert {one["path"] for one in Answers.seen} == {"/v1/chat/completions"}
    assert {one["key"] for one in Answers.seen} == {"Bearer secret"}
    assert sum("broken" in one["messages"][0]["content"] for one in Answers.seen) == endpoint.TRIES
    assert Answers.seen[0]["model"] == "some"
    assert Endpoint("http://127.0.0.1:9/v1").score("nobody is there") is None
