"""Step `influences`: for each feature the tokens whose logits it raises or lowers most."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl

from precompute.command_line import CommandParser, run_command
from precompute.errors import UsageError
from precompute.features.effects import EffectTile, map_tiles
from precompute.features.rankings import DIRECTIONS, ranking_table
from precompute.models.legacy import OPTION
from precompute.models.sae.registry import make_readable
from precompute.pipeline.step import Step, StepContext
from precompute.settings import Settings


def run(context: StepContext) -> None:
    """Write influences.parquet."""
    table = _in_order(map_tiles(context, _ranking))
    context.write_table("influences", with_tokens(table, context.table("vocabulary")))


def _ranking(context: StepContext) -> Callable[[EffectTile], pl.DataFrame]:
    return lambda tile: _tile_table(tile, context.settings.top_k)


def influences(tiles: Iterable[EffectTile], top_k: int) -> pl.DataFrame:
    """feature, direction, rank, token_id, influence: the top_k tokens each way of every feature."""
    return _in_order(_tile_table(tile, top_k) for tile in tiles)


def _in_order(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(tables).sort("feature", "direction", "rank")


def _tile_table(tile: EffectTile, top_k: int) -> pl.DataFrame:
    from precompute.features.kernels.extremes import row_extremes

    shape = (len(tile.influence), min(top_k, tile.influence.shape[1]))
    parts = []
    for name, sign in DIRECTIONS.items():
        numbers, values = np.empty(shape, dtype=np.int32), np.empty(shape, dtype=np.float32)
        row_extremes(tile.influence, sign, numbers, values)
        parts.append(
            ranking_table("feature", tile.first, name, "token_id", numbers, np.float32(sign) * values)
        )
    return pl.concat(parts)


def with_tokens(table: pl.DataFrame, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """The table with each token_id's token after it."""
    tokens = vocabulary["token"][table["token_id"]].alias("token")
    return table.insert_column(table.columns.index("token_id") + 1, tokens)


STEP = Step(
    name="influences",
    version=1,
    summary="For each feature, the tokens whose logit its direction raises or lowers most.",
    outputs=("influences.parquet",),
    inputs=("corpus", "directions"),
    settings=("top_k", "features"),
    run=run,
    seconds_per_million=0.5,
)


def main(argv: list[str]) -> int:
    """Write the influences of an SAE on a model, outside any model type."""
    from precompute.features.standalone import influences_of

    parser = CommandParser(prog="python -m precompute.features.influences", description=STEP.summary)
    parser.add_argument("--model", required=True, help="directory or hub id of a causal language model")
    parser.add_argument("--sae", required=True, help="directory, file, hub id or published name of its SAE")
    parser.add_argument(OPTION, action="store_true", help="read an SAE's .pt or .pth, tensors alone")
    parser.add_argument("--adapter", help="directory or hub id of a LoRA adapter")
    parser.add_argument("--hook-name", help="capture site; the SAE's own if not given")
    parser.add_argument(
        "--top-k", type=int, default=Settings.model_validate({}).top_k, help="tokens each way of a feature"
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument(
        "--inverse-sigma",
        type=float,
        help="mean of 1/sigma of the final norm; 1 if not given, which scales all alike",
    )
    scale.add_argument(
        "--data-dir", type=Path, help="a precomputed_… directory or store to take that mean from"
    )
    parser.add_argument("--output-path", type=Path, required=True, help="the Parquet file to write")
    arguments = parser.parse_args(argv)
    if arguments.top_k < 1:
        raise UsageError(f"--top-k {arguments.top_k}", "at least 1", "give another number")
    if not arguments.output_path.absolute().parent.is_dir():
        raise UsageError(
            f"no directory {arguments.output_path.parent}", "an existing one", "correct --output-path"
        )
    make_readable(arguments.sae, arguments.allow_legacy_weights)
    table = influences_of(arguments)
    table.write_parquet(arguments.output_path, compression="zstd")
    print(f"{arguments.output_path}: {table['feature'].n_unique():,} features")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
