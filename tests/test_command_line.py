"""Commands end with one line and an exit code; options may be written with underscores."""

import errno

import pytest

from precompute.command_line import CommandParser, hyphenated, run_command
from precompute.errors import ArtifactMissingError, StoreError


def test_underscores_in_names_of_options_become_hyphens_and_values_stay():
    argv = ["run_it", "--data_dir", "my_dir", "--output_path=a_b", "-x_y", "--", "c_d"]
    assert hyphenated(argv) == ["run_it", "--data-dir", "my_dir", "--output-path=a_b", "-x_y", "--", "c_d"]


def test_a_parser_takes_both_spellings():
    parser = CommandParser(prog="it")
    parser.add_argument("--n-bins", type=int)
    assert parser.parse_args(["--n_bins", "3"]).n_bins == parser.parse_args(["--n-bins=3"]).n_bins == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("a", "b", "c"), 2),
        (ArtifactMissingError("not there"), 1),
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 2),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, capsys):
    def main(argv):
        raise error

    assert run_command(main, []) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("lightwell: ")
    assert captured.err.count("\n") == 1
    assert not captured.out


def test_an_unknown_option_is_bad_usage(capsys):
    def main(argv):
        CommandParser(prog="it").parse_args(argv)
        return 0

    assert run_command(main, ["--wrong"]) == 2
    assert "--wrong" in capsys.readouterr().err


def test_errors_of_the_program_itself_are_not_hidden():
    def main(argv):
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        run_command(main, [])
