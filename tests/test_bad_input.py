"""Bad input gets one clear line and exit code 2, and leaves the data directory as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from precompute.command_line import run_command
from precompute.unified import main
from tests.tiny import D_MODEL, TinyFiles, make_all, make_config, make_sae

Change = Callable[[TinyFiles], None]


@pytest.fixture
def mine(tmp_path: Path) -> TinyFiles:
    return make_all(tmp_path / "mine", n_texts=30)


def edit_config(old: str, new: str) -> Change:
    def change(files: TinyFiles) -> None:
        text = files.config.read_text()
        assert old in text
        files.config.write_text(text.replace(old, new))

    return change


def wrong_width(files: TinyFiles) -> None:
    make_sae(files.sae, d_in=D_MODEL + 1)


def empty_corpus(files: TinyFiles) -> None:
    files.corpus.write_text("")


def truncated_weights(files: TinyFiles) -> None:
    path = files.sae / "sae.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def garbage_weights(files: TinyFiles) -> None:
    (files.model / "model.safetensors").write_bytes(b"\xff" * 1000)


def pickle_for_safetensors(files: TinyFiles) -> None:
    (files.model / "model.safetensors").unlink()
    (files.model / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")


def pickled_sae(files: TinyFiles) -> None:
    (files.sae / "sae.safetensors").unlink()
    (files.sae / "sae.pt").write_bytes(b"\x80\x02}q\x00.")


def unknown_architecture(files: TinyFiles) -> None:
    header = files.sae / "sae.json"
    header.write_text(header.read_text().replace('"topk"', '"transcoder"'))


def parallel_model(files: TinyFiles) -> None:
    """Attention and MLP read the same stream, so nothing lies between them."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=330,
        hidden_size=D_MODEL,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        use_parallel_residual=True,
    )
    GPTNeoXForCausalLM(config).save_pretrained(files.model)
    edit_config('sae = "sae"', 'sae = "sae"\nhook_name = "blocks.1.hook_resid_mid"')(files)


CASES: dict[str, tuple[Change, str]] = {
    "misspelt key": (edit_config("storage", "storrage"), "did you mean 'storage'"),
    "missing model": (edit_config('"lm"', '"./nothing"'), "nothing"),
    "missing sae": (edit_config('"sae"', '"./nothing"'), "nothing"),
    "missing corpus": (edit_config("texts.jsonl", "no.jsonl"), "no.jsonl"),
    "missing adapter": (edit_config('model = "lm"', 'model = "lm"\nadapter = "./nothing"'), "nothing"),
    "d_in": (wrong_width, f"d_in = {D_MODEL + 1}"),
    "no such layer": (
        edit_config('sae = "sae"', 'sae = "sae"\nhook_name = "blocks.9.hook_resid_post"'),
        "blocks.9.hook_resid_post",
    ),
    "no such hook": (
        edit_config('sae = "sae"', 'sae = "sae"\nhook_name = "blocks.1.hook_x"'),
        "blocks.1.hook_x",
    ),
    "hook that this model lacks": (parallel_model, "blocks.1.hook_resid_mid"),
    "empty corpus": (empty_corpus, "holds no text"),
    "text column": (edit_config("n_ctx", 'text_column = "body"\nn_ctx'), "'body'"),
    "held-out column": (edit_config("{ source =", "{ origin ="), "'origin'"),
    "truncated safetensors": (truncated_weights, "sae.safetensors"),
    "corrupt safetensors": (garbage_weights, "model.safetensors"),
    "pickled model": (pickle_for_safetensors, "pytorch_model.bin"),
    "pickled SAE": (pickled_sae, "sae.pt"),
    "unknown architecture": (unknown_architecture, "transcoder"),
}


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def base(files: TinyFiles, data: Path) -> list[str]:
    return ["--model-type", "mine", "--config", str(files.config), "--data-dir", str(data)]


def expect_one_line(capsys: pytest.CaptureFixture[str], code: int, word: str) -> None:
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("lightwell: ")
    assert word in lines[0]
    assert "expected" in lines[0]


@pytest.mark.parametrize("case", CASES)
def test_bad_files_are_refused_before_anything_is_written(
    mine: TinyFiles, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, word = CASES[case]
    data = mine.root / "data"
    data.mkdir()
    change(mine)
    capsys.readouterr()
    code = run_command(main, base(mine, data))
    expect_one_line(capsys, code, word)
    assert [name for name in listing(data) if name != ".digests.json"] == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--model-type", "ulta"], "did you mean 'ultra'"),
        (["--model-type", "full", "--only", "histogram"], "'histogram'"),
        (["--model-type", "full", "--nbins", "3"], "--nbins"),
        (["--model-type", "full", "--n-bins", "0"], "n_bins"),
        (["--model-type", "full", "--top_k", "-1"], "top_k"),
        (["--model-type", "full", "--workers", "0"], "'0'"),
        (["--model-type", "full", "--features", "9:3"], "9:3"),
        (["--model-type", "full", "--features", "5000:6000"], "features 5000:6000; expected some of 0:2048"),
        (["--model-type", "full", "--features", "1:3", "--test"], "--test"),
        (["--model-type", "full", "--config", "/nonexistent.toml"], "nonexistent.toml"),
        (["--model-type", "auto"], "--sae"),
        ([], "--model-type"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command(main, [*arguments, "--data-dir", str(tmp_path / "data")])
    expect_one_line(capsys, code, word)
    assert not (tmp_path / "data").exists()


def test_no_space_is_seen_before_anything_is_written(
    mine: TinyFiles, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(mine.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    code = run_command(main, base(mine, mine.root / "data"))
    expect_one_line(capsys, code, "MB free")
    assert not (mine.root / "data").exists()


def test_a_data_directory_that_is_a_file_is_refused(
    mine: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command(main, base(mine, mine.config))
    expect_one_line(capsys, code, "cannot be written")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere; see the read-only mount")
def test_a_read_only_directory_is_refused(mine: TinyFiles, capsys: pytest.CaptureFixture[str]) -> None:
    data = mine.root / "data"
    data.mkdir(mode=0o500)
    code = run_command(main, base(mine, data))
    expect_one_line(capsys, code, "cannot be written")


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs the superuser")
@pytest.mark.parametrize(("options", "word"), [("size=200k", "MB free"), ("ro", "cannot be written")])
def test_a_real_full_or_read_only_file_system_is_refused(mine: TinyFiles, options: str, word: str) -> None:
    data = mine.root / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", data], check=True)
    try:
        command = [sys.executable, "-m", "precompute.unified", *base(mine, data)]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 2
        assert word in found.stderr
        assert len(found.stderr.strip().splitlines()) == 1
        assert listing(data) in ([], [".digests.json"])
    finally:
        subprocess.run(["umount", data], check=True)


def test_auto_takes_the_type_whose_sae_is_as_wide(
    mine: TinyFiles, capsys: pytest.CaptureFixture[str]
) -> None:
    make_config(mine.config)
    arguments = ["--model-type", "auto", "--sae", str(mine.sae), *base(mine, mine.root / "data")[2:]]
    assert run_command(main, [*arguments, "--status"]) == 0
    assert capsys.readouterr().out.startswith("mine:")
