"""Scores of responses, 0 to 100: by keywords, a local model, or an endpoint; null where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from precompute.artifacts.digests import DigestCache
from precompute.errors import UsageError
from precompute.extraction.definition import TraitDefinition
from precompute.extraction.experiment import identity
from precompute.extraction.settings import JudgeName, JudgeSettings
from precompute.progress import Progress

if TYPE_CHECKING:
    from precompute.extraction.crew import Crew

Scores = list[float | None]
Judge = Callable[[list[tuple[str, str]], TraitDefinition, JudgeSettings, "Crew", Progress], Scores]
"""Scores of questions with their answers."""
SHORTEST_PLACEHOLDERS = ("{question}", "{answer}")


def score_responses(
    table: pl.DataFrame, definition: TraitDefinition, chosen: JudgeSettings, crew: Crew, progress: Progress
) -> pl.DataFrame:
    """The table with `score` and `kept`: whether a response enters the vectors."""
    questions = [definition.questions[number] for number in table["question"].to_list()]
    pairs = list(zip(questions, table["response"].to_list(), strict=True))
    progress.start(len(pairs), "responses")
    scores: Scores = [None] * len(pairs)
    if chosen.judge != "none":
        scores = JUDGES[chosen.judge](pairs, definition, chosen, crew, progress)
    kept = [
        chosen.keeps(polarity, score)
        for polarity, score in zip(table["polarity"].to_list(), scores, strict=True)
    ]
    return table.with_columns(
        score=pl.Series(scores, dtype=pl.Float64), kept=pl.Series(kept, dtype=pl.Boolean)
    )


def check_judge(chosen: JudgeSettings, definition: TraitDefinition) -> None:
    """Raise UsageError for a judge that lacks what it judges by."""
    if chosen.judge == "keywords" and not definition.keywords:
        raise UsageError("a trait definition without keywords", "some", "add them, or choose another --judge")
    if chosen.judge in ("model", "endpoint"):
        prompt = definition.evaluation_prompt
        if prompt is None or not all(word in prompt for word in SHORTEST_PLACEHOLDERS):
            raise UsageError(
                "a trait definition without an evaluation prompt that has {question} and {answer}",
                "one that asks for a number from 0 to 100",
                "add it, or choose another --judge",
            )
    if chosen.judge == "endpoint" and not (chosen.judge_url or "").startswith(("http://", "https://")):
        raise UsageError(
            f"--judge-url {chosen.judge_url}", "an address such as http://127.0.0.1:8000/v1", "correct it"
        )


def judge_identity(
    chosen: JudgeSettings, definition: TraitDefinition, cache: DigestCache
) -> Mapping[str, Any]:
    """What a score depends on beside the response and the settings."""
    if chosen.judge == "keywords":
        return {"keywords": list(definition.keywords)}
    if chosen.judge not in ("model", "endpoint"):
        return {}
    found: dict[str, Any] = {"evaluation_prompt": definition.evaluation_prompt}
    if chosen.judge == "model" and chosen.judge_model is not None:
        found["judge"] = identity(chosen.judge_model, None, None, cache)
    return found


def asked(definition: TraitDefinition, question: str, answer: str) -> str:
    """What a judge is asked; braces of question and answer stay as they are."""
    parts = (definition.evaluation_prompt or "").split("{question}")
    return question.join(part.replace("{answer}", answer) for part in parts)


def by_keywords(
    pairs: list[tuple[str, str]],
    definition: TraitDefinition,
    _chosen: JudgeSettings,
    _crew: Crew,
    progress: Progress,
) -> Scores:
    """100 where one of the words stands, whatever the case, and 0 where none does; null for no response."""
    words = [word.lower() for word in definition.keywords]
    scores: Scores = []
    for _, answer in pairs:
        has_one = any(word in answer.lower() for word in words)
        scores.append((100.0 if has_one else 0.0) if answer.strip() else None)
        progress.advance()
    return scores


def by_model(
    pairs: list[tuple[str, str]],
    definition: TraitDefinition,
    chosen: JudgeSettings,
    crew: Crew,
    progress: Progress,
) -> Scores:
    """The number that a local model expects to write; null where it expects none."""
    from precompute.extraction.number_judge import NumberJudge
    from precompute.extraction.text_model import TextModel

    model = crew.model
    if chosen.judge_model is not None:
        model = TextModel.load(chosen.judge_model, device=crew.ranks.device(crew.operations.device))
    judge = NumberJudge(model)
    scores: Scores = []
    for question, answer in pairs:
        scores.append(judge.score(asked(definition, question, answer)) if answer.strip() else None)
        progress.advance()
    return scores


def by_endpoint(
    pairs: list[tuple[str, str]],
    definition: TraitDefinition,
    chosen: JudgeSettings,
    _crew: Crew,
    progress: Progress,
) -> Scores:
    """The same by an endpoint that speaks OpenAI's chat completions."""
    from precompute.extraction.endpoint import Endpoint

    endpoint = Endpoint(chosen.judge_url or "", chosen.judge_model)
    texts = [asked(definition, question, answer) if answer.strip() else None for question, answer in pairs]
    return endpoint.scores(texts, progress.advance)


JUDGES: Mapping[JudgeName, Judge] = MappingProxyType(
    {"keywords": by_keywords, "model": by_model, "endpoint": by_endpoint}
)
"""By the names that `--judge` takes."""
