"""How fast sweeps are: `python -m benchmarks.sweeps --data-dir data`.

Activations from the cache against their extraction; the bootstrap as products of count vectors with sums by
text against a loop that draws rows of texts again; explanations a second by batch size.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from precompute.command_line import CommandParser, run_command
from precompute.models.text_autoencoder.registry import load_text_autoencoder
from precompute.sweeps.bootstrap import resample
from precompute.sweeps.composing import compose_settings
from precompute.sweeps.curves import SCORES
from precompute.sweeps.plan import SweepPlan
from precompute.sweeps.run import Sweep
from precompute.sweeps.settings import DEMO
from precompute.sweeps.subsets import weights_by_subset
from precompute.sweeps.sums import TextSums

Array = np.ndarray


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def vectors_seconds(checkpoint: str, data_dir: str, n: int) -> tuple[int, float, float]:
    """Rows, seconds to extract them, seconds to read them again."""
    with tempfile.TemporaryDirectory() as cache:
        given = [
            f"+eval.checkpoint_path={checkpoint}",
            f"+machine.data_dir={data_dir}",
            f"+eval.max_val_samples={n}",
            "+eval.num_positions=8",
            f"+eval.cache_dir={cache}",
        ]
        plan = SweepPlan.of(compose_settings(given))
        shards = plan.rows.shards
        first, second = Sweep(plan), Sweep(plan)
        _ = first.language_model
        extracted = timed(lambda: [first.x(shard) for shard in shards])
        return (
            plan.rows.n_rows,
            extracted,
            min(timed(lambda: [second.x(s) for s in shards]) for _ in range(3)),
        )


def made_rows(n_texts: int, n_samples: int, d_in: int) -> tuple[Array, Array, Array]:
    """Texts of one to five rows, activations, reconstructions."""
    draw = np.random.default_rng(0)
    text = np.repeat(np.arange(n_texts), draw.integers(1, 6, n_texts))
    x = draw.normal(size=(len(text), d_in)).astype(np.float32)
    noise = draw.normal(size=(len(text), n_samples, d_in)).astype(np.float32)
    return text, x, x[:, None] + noise


def by_rows(text: Array, x: Array, x_hat: Array, weights: Array, n_resamples: int) -> Array:
    """Variance recovery of each resample, from the rows of the drawn texts: what the products replace.

    Even here each row's expected residual and squared error are there once, not drawn again for each K.
    """
    rows = [np.flatnonzero(text == number) for number in range(text.max() + 1)]
    residual = x[:, None] - weights @ x_hat
    square = np.einsum("rks,rs->rk", weights, np.square(x[:, None] - x_hat).sum(-1))
    draw = np.random.default_rng(0)
    found = []
    for _ in range(n_resamples):
        drawn = np.concatenate([rows[number] for number in draw.integers(0, len(rows), len(rows))])
        variance = x[drawn].var(0).sum()
        bias = np.square(residual[drawn].mean(0)).sum(-1)
        found.append(1 - (square[drawn].mean(0) - bias) / variance)
    return np.array(found)


def bootstrap_seconds(n_texts: int, n_resamples: int) -> tuple[float, float]:
    """Seconds a thousand resamples, by rows and by products; both give the same."""
    text, x, x_hat = made_rows(n_texts, 8, 256)
    weights = weights_by_subset(np.square(x[:, None] - x_hat).sum(-1), [1, 2, 4, 8])
    sums = TextSums.of_rows(text, x, x_hat, weights)
    few = max(5, n_resamples // 50)
    expected = by_rows(text, x, x_hat, weights, few)
    (found,) = resample(sums, [SCORES["variance_recovery"]], few, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    loop = timed(lambda: by_rows(text, x, x_hat, weights, few)) / few
    products = min(
        timed(lambda: resample(sums, [SCORES["variance_recovery"]], n_resamples, 0)) for _ in range(3)
    )
    return 1000 * loop, 1000 * products / n_resamples


def samples_per_second(checkpoint: str, batch_size: int, seconds: float, device: str) -> tuple[float, float]:
    """Explanations written and read a second."""
    loaded = load_text_autoencoder(checkpoint, device, batch_size)
    x = np.random.default_rng(0).normal(size=(max(1, batch_size // 8), loaded.d_in)).astype(np.float32)
    tokens = loaded.explain(x, 8, 1.0, 0)
    rates = []
    for run in (lambda: loaded.explain(x, 8, 1.0, 0), lambda: loaded.reconstruct(tokens)):
        run()
        one = timed(run)
        n = max(1, round(seconds / one))
        rates.append(8 * len(x) * n / timed(lambda run=run, n=n: [run() for _ in range(n)]))
    return rates[0], rates[1]


def main(argv: list[str]) -> int:
    parser = CommandParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--checkpoint", default=str(DEMO), help="a text autoencoder")
    parser.add_argument("--data-dir", default="data", help="where the corpus' snapshot lies")
    parser.add_argument("--examples", type=int, default=1000, help="examples whose activations are taken")
    parser.add_argument("--texts", type=int, default=4000, help="texts of the bootstrap")
    parser.add_argument("--resamples", type=int, default=1000, help="resamples")
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 32, 128, 512], help="batch sizes")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each batch size")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", choices=("vectors", "bootstrap", "samples"), help="one of the three")
    given = parser.parse_args(argv)
    if given.only in (None, "vectors"):
        n, extracted, cached = vectors_seconds(given.checkpoint, given.data_dir, given.examples)
        print(f"{n:,} activations: extracted in {extracted:.2f} s, from the cache in {cached * 1000:.1f} ms, "
              f"{extracted / cached:,.0f} times")  # fmt: skip
    if given.only in (None, "bootstrap"):
        loop, products = bootstrap_seconds(given.texts, given.resamples)
        print(f"{given.texts:,} texts, 1,000 resamples: rows {loop:.1f} s, products {products:.2f} s, "
              f"{loop / products:,.0f} times")  # fmt: skip
    for size in given.batches if given.only in (None, "samples") else ():
        written, read = samples_per_second(given.checkpoint, size, given.seconds, given.device)
        print(f"batch {size:>4}: {written:8,.0f} explanations written, {read:8,.0f} read a second")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
