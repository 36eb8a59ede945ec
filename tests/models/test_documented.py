"""What models.md says exists, and what exists is in it."""

from __future__ import annotations

from pathlib import Path

from precompute.models.preflight import EMBED_SITE, FINAL_SITE
from precompute.models.sae.header import NORMALIZATIONS
from precompute.models.sae.registry import ARCHITECTURES, FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_every_format_architecture_and_option_is_documented() -> None:
    for name in (*FORMATS, *ARCHITECTURES, *NORMALIZATIONS):
        assert name in PAGE, name


def test_every_kind_of_site_is_documented() -> None:
    kinds = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")
    for name in (EMBED_SITE, FINAL_SITE, *(f"blocks.N.hook_{kind}" for kind in kinds)):
        assert f"`{name}`" in PAGE, name
