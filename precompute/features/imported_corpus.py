"""Step `corpus` where activations were imported: each example of the store is a text of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from precompute.config import ImportedType
from precompute.corpus.readers import RESERVED, free_name
from precompute.corpus.texts import text_id
from precompute.corpus.token_lists import TOKENS, list_ids
from precompute.corpus.windows import SCHEMA
from precompute.errors import CorpusError, StoreError
from precompute.features.row_tokens import RowTokens, read_row_tokens
from precompute.models.token_names import TokenNames, read_token_names
from precompute.pipeline.step import StepContext
from precompute.stores.layout import METADATA_FILE
from precompute.stores.row_store import RowStore


def imported_type(context: StepContext) -> ImportedType:
    """The model type of a step that runs on a store."""
    assert isinstance(context.model_type, ImportedType)
    return context.model_type


def run(context: StepContext) -> None:
    """Write the tables of step `corpus`; nothing is held out, since no model is asked."""
    imported = imported_type(context)
    store = RowStore(Path(imported.store))
    context.progress.start(2, "parts")
    tokens = read_row_tokens(store)
    split = np.split(tokens.token_ids, tokens.example_indptr[1:-1])
    lists = pl.Series(TOKENS, [part.tolist() for part in split], dtype=pl.List(pl.Int32))
    names = _names(imported, tokens)
    context.progress.advance()
    is_pooled = bool((tokens.row_token < 0).any())
    texts = _texts(_metadata(Path(imported.store), store.n_examples), lists, names, is_pooled)
    windows = _windows(texts["text_id"], lists, tokens)
    context.write_table("windows", windows)
    context.write_table("held_out_windows", windows.clear())
    context.write_table("corpus", texts)
    context.write_table("vocabulary", _vocabulary(names))
    context.write_record("corpus", _record(texts, store, is_pooled))
    context.progress.advance()


def _names(imported: ImportedType, tokens: RowTokens) -> TokenNames:
    """The names of tokens, or else their ids; raises CorpusError for an id without a name."""
    least, most = int(tokens.token_ids.min(initial=0)), int(tokens.token_ids.max(initial=-1))
    if imported.tokenizer is None:
        names = TokenNames([str(number) for number in range(most + 1)], frozenset())
    else:
        names = read_token_names(Path(imported.tokenizer))
    if least < 0 or most >= len(names.tokens):
        raise CorpusError(
            f"the token id {least if least < 0 else most} in {imported.store}",
            f"0 to {len(names.tokens) - 1}, those of {imported.tokenizer or 'a vocabulary'}",
            "name the tokenizer that the store was made with, or import it again",
        )
    return names


def _metadata(root: Path, n_examples: int) -> pl.DataFrame:
    """What the store says of each example, under free names; no columns where it says nothing."""
    path = root / METADATA_FILE
    if not path.is_file():
        return pl.DataFrame(height=n_examples)
    try:
        found = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path} that cannot be read ({reason})", "metadata", "import it again") from None
    if found.height != n_examples:
        raise StoreError(
            f"{path} of {found.height} rows", f"{n_examples}, one an example", "import the store again"
        )
    taken = {*RESERVED, *found.columns}
    return found.rename({name: free_name(name, taken) for name in found.columns if name in RESERVED})


def _texts(metadata: pl.DataFrame, lists: pl.Series, names: TokenNames, is_pooled: bool) -> pl.DataFrame:
    """The table `corpus`. Texts are equal where their tokens are, in any order where rows are whole examples.

    An example of which no token is known is like no other. The column of the tokens is not repeated.
    """
    repeated = [name for name in metadata.columns if _are_tokens(metadata[name], lists)]
    own = metadata["text"].cast(pl.String).fill_null("") if "text" in metadata.columns else None
    known = zip(list_ids(lists, is_pooled), lists.list.len(), strict=True)
    ids = [found if length else text_id(f"example {n}") for n, (found, length) in enumerate(known)]
    ours = pl.DataFrame(
        {
            "text_index": pl.Series(range(len(lists)), dtype=pl.UInt32),
            "text_id": pl.Series(ids, dtype=pl.String),
            "text": _written(lists, names, is_pooled) if own is None else own,
            "n_tokens": lists.list.len().cast(pl.UInt32),
        }
    ).with_columns(duplicate_of=pl.col("text_index").min().over("text_id"))
    return pl.concat([ours, metadata.drop([*repeated, "text"], strict=False)], how="horizontal")


def _are_tokens(column: pl.Series, lists: pl.Series) -> bool:
    inner = column.dtype.inner if isinstance(column.dtype, pl.List) else None
    if inner is None or not inner.is_integer():
        return False
    empty = pl.Series([[]], dtype=pl.List(pl.Int64))
    return column.cast(pl.List(pl.Int64)).fill_null(empty).equals(lists.cast(pl.List(pl.Int64)))


def _written(lists: pl.Series, names: TokenNames, is_pooled: bool) -> pl.Series:
    """The tokens' own texts; those of a set with spaces between them."""
    between = " " if is_pooled else ""
    shown = [between.join(names.tokens[token] for token in tokens) for tokens in lists.to_list()]
    return pl.Series("text", shown, dtype=pl.String)


def _windows(text_ids: pl.Series, lists: pl.Series, tokens: RowTokens) -> pl.DataFrame:
    """One window an example; what lies before its first row is special."""
    first = tokens.row_token - tokens.example_indptr[tokens.row_example]
    n_special = np.zeros(len(lists), dtype=np.int64)
    # Rows of an example ascend, so that of equal examples the last one written is the first row.
    n_special[tokens.row_example[::-1]] = np.maximum(first, 0)[::-1]
    columns: dict[str, Any] = {
        "example": range(len(lists)),
        "text_index": range(len(lists)),
        "text_id": text_ids,
        "chunk": np.zeros(len(lists), dtype=np.int64),
        "start": np.zeros(len(lists), dtype=np.int64),
        "n_special": n_special,
        "token_ids": lists,
    }
    return pl.DataFrame(columns, schema=SCHEMA)


def _vocabulary(names: TokenNames) -> pl.DataFrame:
    numbers = range(len(names.tokens))
    return pl.DataFrame(
        {
            "token_id": numbers,
            "token": names.tokens,
            "is_special": [number in names.special for number in numbers],
        },
        schema={"token_id": pl.UInt32, "token": pl.String, "is_special": pl.Boolean},
    )


def _record(texts: pl.DataFrame, store: RowStore, is_pooled: bool) -> dict[str, Any]:
    longest: Any = texts["n_tokens"].max()
    return {
        "n_texts_in_corpus": texts.height,
        "n_empty_texts": int((texts["text"].str.strip_chars().str.len_bytes() == 0).sum()),
        "n_texts": texts.height,
        "n_examples": store.n_examples,
        "n_rows": store.n_rows,
        "n_held_out_examples": 0,
        "n_held_out_rows": 0,
        "held_out": False,
        "prepend_bos": False,
        "bos_token_id": None,
        "n_ctx": int(longest or 0),
        "pooled": is_pooled,
    }
