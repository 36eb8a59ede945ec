"""Prompts as the model reads them: through the tokenizer's chat template, or as plain text after BOS."""

from __future__ import annotations

from typing import Any

from precompute.extraction.text_model import TextModel
from precompute.models.tokenizing import text_encoder


def prompt_ids(model: TextModel, text: str) -> tuple[int, ...]:
    """A plain text as it is, after BOS where the tokenizer has one."""
    bos = () if model.bos_token_id is None else (model.bos_token_id,)
    return (*bos, *text_encoder(model.tokenizer)([text])[0])


def has_chat_template(tokenizer: Any) -> bool:
    """Whether the tokenizer says how a conversation is written."""
    return bool(getattr(tokenizer, "chat_template", None))


def chat_ids(model: TextModel, instruction: str, question: str) -> tuple[int, ...]:
    """An instruction as the system's message and a question as the user's, by the tokenizer's template.

    Templates without a system's message, or without one at all, get the instruction before the question.
    """
    tokenizer = model.tokenizer
    if not has_chat_template(tokenizer):
        return prompt_ids(model, plain_prompt(instruction, question))
    system = [{"role": "system", "content": instruction}] if instruction else []
    try:
        ids = _templated(tokenizer, [*system, {"role": "user", "content": question}])
    except Exception:  # noqa: BLE001 - templates raise what they like where they know no such role
        ids = _templated(tokenizer, [{"role": "user", "content": plain_prompt(instruction, question)}])
    return tuple(ids)


def plain_prompt(instruction: str, question: str) -> str:
    """Instruction and question as one text."""
    return f"{instruction}\n\n{question}" if instruction else question


def _templated(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    found = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors=None
    )
    ids: list[int] = list(found["input_ids"])
    return ids
