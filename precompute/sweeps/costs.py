"""What a sweep is expected to take, before anything of it is read."""

from __future__ import annotations

from precompute.jobs.costs import SECONDS_TO_START, Cost
from precompute.jobs.staged_costs import BYTES_PER_WEIGHT, OPERATIONS_PER_SECOND, Workload
from precompute.models.language_model import resolve_model_directory
from precompute.sweeps.plan import STEP, SweepPlan

BYTES_PER_SAMPLE = 32
"""Of scores, and of the record of an explanation, without its tokens."""


def workload_of(plan: SweepPlan) -> Workload:
    """Texts and model, judged by the sizes of their files; raises ModelError for an absent model."""
    model = resolve_model_directory(plan.checkpoint.model, plan.checkpoint.header.revision)
    return Workload.of(plan.dataset.file, plan.settings.eval.limit, model)


def cost_of(plan: SweepPlan) -> Cost | None:
    """Every explanation is written, and read once; what caches have is not known here.

    None where neither the texts nor a limit say how many there are.
    """
    load, settings = workload_of(plan), plan.settings.eval
    counts = [n for n in (load.n_texts, settings.limit) if n]
    if not counts:
        return None
    n_examples = min(counts)
    n_samples = n_examples * settings.num_positions * settings.pool
    n_tokens = plan.checkpoint.header.n_tokens
    per_token = 2 * load.weight_bytes / BYTES_PER_WEIGHT
    operations = n_samples * 2 * (n_tokens + 1) * per_token
    n_bytes = n_samples * (2 * 4 * n_tokens + BYTES_PER_SAMPLE)
    return Cost((STEP,), SECONDS_TO_START + operations / OPERATIONS_PER_SECOND, int(n_bytes))
