"""What a trait is: instructions that ask for it and against it, questions, and how responses are judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from precompute.errors import UsageError

DEFINITION_FILE = "trait_definition.json"
Polarity = Literal["pos", "neg"]
POLARITIES: tuple[Polarity, ...] = ("pos", "neg")
FEWEST_QUESTIONS = 4
"""With fewer, whole questions cannot be held out, and examples are."""


class Instructions(BaseModel):
    """Two instructions that differ in the trait alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pos: str
    neg: str


class TraitDefinition(BaseModel):
    """`trait_definition.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = ""
    """For people."""
    instructions: tuple[Instructions, ...] = Field(
        min_length=1, validation_alias=AliasChoices("instructions", "instruction")
    )
    questions: tuple[str, ...] = Field(min_length=1)
    evaluation_prompt: str | None = Field(
        default=None, validation_alias=AliasChoices("evaluation_prompt", "eval_prompt")
    )
    """What a judge is asked, with {question} and {answer}; the answer is a number from 0 to 100."""
    keywords: tuple[str, ...] = ()
    """What `--judge keywords` looks for, whatever the case."""


def read_definition(directory: Path) -> TraitDefinition:
    """The definition in a trait's directory; raises UsageError saying what is wrong with it."""
    path = directory / DEFINITION_FILE
    expected = "instructions (pairs of pos and neg) and questions"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no {DEFINITION_FILE} in {directory}", expected, "write one") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} that cannot be read ({error})", "JSON", "correct the file") from None
    try:
        definition = TraitDefinition.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"{path}: {key} ({first['msg']})", expected, "correct the file") from None
    texts = [
        *definition.questions,
        *(text for pair in definition.instructions for text in (pair.pos, pair.neg)),
    ]
    if not all(text.strip() for text in texts):
        raise UsageError(
            f"{path} with an instruction or question that is empty", expected, "correct the file"
        )
    return definition


class Example(BaseModel):
    """One prompt that is to be answered."""

    model_config = ConfigDict(frozen=True)
    number: int
    """Also keys its noise; it stays the same when more examples are asked for."""
    polarity: Polarity
    instruction: int
    """Which pair of instructions."""
    question: int

    def texts(self, definition: TraitDefinition) -> tuple[str, str]:
        """Instruction and question."""
        pair = definition.instructions[self.instruction]
        return (pair.pos if self.polarity == "pos" else pair.neg), definition.questions[self.question]


def examples_of(definition: TraitDefinition, n_examples: int) -> list[Example]:
    """n of each polarity, in turns; all questions with the first instructions, then with the next."""
    n_questions, n_pairs = len(definition.questions), len(definition.instructions)
    return [
        Example(
            number=2 * i + side,
            polarity=polarity,
            instruction=(i // n_questions) % n_pairs,
            question=i % n_questions,
        )
        for i in range(n_examples)
        for side, polarity in enumerate(POLARITIES)
    ]


def held_out_groups(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which examples are held out: whole groups in a seeded order, at least one and never all.

    An example's group is its question, so that no question stands on both sides.
    """
    distinct = np.unique(groups)
    n = min(len(distinct) - 1, max(1, round(share * len(distinct))))
    chosen = np.random.default_rng(seed).permutation(distinct)[:n]
    return np.isin(groups, chosen)
