"""The app answers every address, also odd ones, and forged requests, with a sentence; never a traceback."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import orjson
import pytest
from dash import Dash

from dashboard.__main__ import listen, main
from dashboard.app import create_app, page_for
from dashboard.components.elements import plain
from dashboard.pages import PAGES
from dashboard.settings import LOOPBACK_NAMES, DashboardSettings, parser, read_settings
from precompute.errors import ConfigError, ModelError, UsageError
from precompute.pipeline.plan import StepStatus
from tests.dashboard.made_artifacts import D_SAE, OUTPUTS, PlainArtifacts, plain_artifacts
from tests.served_command import started

SETTINGS = DashboardSettings(model_type="test")
ROUTER = "..page.children...navigation.children...page-title.data...notice.children.."


@pytest.fixture(scope="module")
def app(artifacts: PlainArtifacts) -> Dash:
    return create_app(SETTINGS, artifacts)


def call(app: Dash, output: str, inputs: dict[str, Any], state: dict[str, Any] | None = None) -> Any:
    """Call a callback as a browser does."""

    def listed(values: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(zip(("id", "property"), k.split("."), strict=True), value=v) for k, v in values.items()]

    names = re.findall(r"([\w-]+)\.(\w+)", output)
    outputs = [{"id": component, "property": prop} for component, prop in names]
    body = {
        "output": output,
        "outputs": outputs if output.startswith("..") else outputs[0],
        "inputs": listed(inputs),
        "state": listed(state or {}),
        "changedPropIds": list(inputs)[:1],
    }
    return app.server.test_client().post("/_dash-update-component", json=body)


def page(app: Dash, pathname: object, search: object = "") -> str:
    """The JSON of the page at an address."""
    answer = call(app, ROUTER, {"url.pathname": pathname, "url.search": search})
    assert answer.status_code == 200, answer.text
    return json.dumps(answer.json["response"]["page"]["children"], ensure_ascii=False)


def test_health(app: Dash) -> None:
    answer = app.server.test_client().get("/healthz")
    assert answer.json == {"status": "ok", "version": answer.json["version"], "model_type": "test"}


EVERY_PATH = [page.shown_at for page in PAGES]
"""An address of each page that is registered."""


@pytest.mark.parametrize("path", [*EVERY_PATH, "/feature/0", f"/feature/{D_SAE - 1}"])
def test_every_page_is_shown(app: Dash, path: str) -> None:
    shown = page(app, path)
    assert "Nothing to show" not in shown
    assert "dangerously" not in shown.lower()


def test_every_feature_is_shown(app: Dash) -> None:
    for feature in range(D_SAE):
        assert f'"{feature}"' in page(app, f"/feature/{feature}")


@pytest.mark.parametrize(
    ("pathname", "search"),
    [
        ("/feature/-1", ""),
        ("/feature/abc", ""),
        ("/feature/99999999", ""),
        ("/feature/1e9", ""),
        ("/feature/%00", ""),
        ("/feature/../../etc/passwd", ""),
        ("/../", ""),
        ("/feature/" + "9" * 100_000, ""),
        ("/features", "?" + "a" * 100_000),
        ("/feature/1", "?band=top&band=q1"),
        ("/feature/1", "?band=nope"),
        ("/feature/1", "?rows=1"),
        ("/features", "?max=__import__"),
        ("/nope", ""),
        (["/"], ""),
        ({"a": 1}, ""),
        (5, None),
        ("/", 7),
    ],
)
def test_odd_addresses_get_a_sentence(app: Dash, pathname: object, search: object) -> None:
    shown = page(app, pathname, search)
    assert "expected" in shown
    assert "Traceback" not in shown
    assert len(shown) < 200_000


@pytest.mark.parametrize("number", [-1, "abc", None, [], {}, 10**12, True, "__class__"])
@pytest.mark.parametrize("choice", ["nope", None, 3, [], {"a": 1}])
def test_forged_callbacks_get_a_sentence(app: Dash, number: object, choice: object) -> None:
    fields = ("rows", "scale", "bins", "range")
    inputs = {**{f"histogram-{name}.value": choice for name in fields}, "range.data": choice}
    answer = call(app, "histogram-content.children", inputs, {"feature-number.data": number})
    assert answer.status_code == 200
    assert "expected" in answer.json["sideUpdate"]["notice"]["children"]["props"]["children"]


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", "null", '{"output": "nope.children", "inputs": []}', '{"output": 1}', "\x00"],
)
def test_bodies_that_no_page_sends(app: Dash, body: str) -> None:
    answer = app.server.test_client().post(
        "/_dash-update-component", data=body, content_type="application/json"
    )
    assert 400 <= answer.status_code < 500
    assert answer.text.startswith("lightwell: ")
    assert "Traceback" not in answer.text


def rows_of(app: Dash, request: object) -> Any:
    output = "..grid.getRowsResponse...grid-count.children...filters.children.."
    state = {"search.value": "", "columns.value": None, "grid-set.data": ""}
    return call(app, output, {"grid.getRowsRequest": request}, state).json["response"]


def test_rows_of_the_grid(app: Dash, artifacts: PlainArtifacts) -> None:
    request = {"startRow": 0, "endRow": 5, "sortModel": [{"colId": "max", "sort": "desc"}], "filterModel": {}}
    answer = rows_of(app, request)
    rows = answer["grid"]["getRowsResponse"]
    expected = artifacts.table("feature_stats").sort("max", descending=True).head(5)["feature"].to_list()
    assert [row["feature"] for row in rows["rowData"]] == expected
    assert rows["rowCount"] == D_SAE
    assert answer["grid-count"]["children"] == f"{D_SAE} features"


def test_a_forged_grid_request_gets_a_sentence(app: Dash) -> None:
    request = {"startRow": 0, "endRow": 5, "filterModel": {"max": {"type": "eval", "filter": "1"}}}
    answer = rows_of(app, request)
    assert "expected" in answer["grid-count"]["children"]
    assert answer["grid"]["getRowsResponse"]["rowData"] == []


def test_two_apps_in_one_process(artifacts: PlainArtifacts, tmp_path: Path) -> None:
    empty = create_app(SETTINGS, plain_artifacts(tmp_path))
    full = create_app(SETTINGS, artifacts)
    assert "not computed" in page(empty, "/features")
    assert "not computed" not in page(full, "/features")
    assert "not computed" in page(empty, "/feature/3")


@pytest.mark.parametrize("step", OUTPUTS)
def test_a_missing_artifact_empties_its_panel_only(
    artifacts: PlainArtifacts, tmp_path: Path, step: str
) -> None:
    directory = tmp_path / "own"
    shutil.copytree(artifacts.directory, directory)
    for output in OUTPUTS[step]:
        path = directory / output
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    app = create_app(SETTINGS, plain_artifacts(directory))
    shown = [page(app, path) for path in EVERY_PATH]
    assert f"python -m precompute.unified --model-type test --only {step}" in "".join(shown)
    assert "1 step of" in shown[0]


def test_a_model_that_is_gone_leaves_the_artifacts_readable(
    artifacts: PlainArtifacts, tmp_path: Path
) -> None:
    class Orphaned(PlainArtifacts):
        def status(self) -> tuple[StepStatus, ...]:
            raise ModelError("no directory model", "a model", "put it back")

    full = create_app(SETTINGS, Orphaned(artifacts.subject))
    assert "no directory model; expected a model" in page(full, "/").lower()
    assert all("Nothing to show" not in page(full, path) for path in EVERY_PATH)
    bare = create_app(SETTINGS, Orphaned(plain_artifacts(tmp_path).subject))
    assert "--only activations" in page(bare, "/feature/5")


@pytest.mark.parametrize(
    "step", [step for step, (output, *_) in OUTPUTS.items() if output.endswith("parquet")]
)
def test_a_damaged_artifact_empties_its_panel_only(
    artifacts: PlainArtifacts, tmp_path: Path, step: str
) -> None:
    directory = tmp_path / "own"
    shutil.copytree(artifacts.directory, directory)
    (directory / OUTPUTS[step][0]).write_bytes(b"PAR1" + bytes(100))
    app = create_app(SETTINGS, plain_artifacts(directory))
    shown = [page(app, path) for path in EVERY_PATH]
    assert "--verify" in "".join(shown) or "missing or damaged" in "".join(shown)


def test_commands_name_the_configuration_that_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my types.toml").write_text("")
    settings = DashboardSettings(model_type="test", config=Path("my types.toml"), data_dir=Path("d"))
    app = create_app(settings, plain_artifacts(tmp_path))
    shown = [page(app, path) for path in EVERY_PATH]
    with_commands = [text for text in shown if "precompute.unified" in text]
    assert len(with_commands) >= 6
    assert all(" --config 'my types.toml' --data-dir d" in text for text in with_commands)


def test_nothing_is_loaded_from_another_host(app: Dash) -> None:
    index = app.server.test_client().get("/").text
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", index)
    assert loaded
    assert all(link.startswith("/") and not link.startswith("//") for link in loaded)


def test_every_page_is_described() -> None:
    assert all(page.description.endswith(".") and page.title for page in PAGES)
    assert len({page.path for page in PAGES}) == len(PAGES)


def test_every_page_and_option_is_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert f"| `{page.path.replace('<number>', '123').replace('<id>', '270')}` |" in readme
    options = [option for action in parser()._actions for option in action.option_strings]
    assert [o for o in options if o.startswith("--") and o not in readme and o != "--help"] == []


HEAVY = ("torch", "transformers", "peft", "numba", "umap", "sklearn", "sae_lens")


def test_the_server_imports_nothing_heavy(artifacts: PlainArtifacts) -> None:
    """In a process of its own: every page is drawn, and no model code is loaded."""
    code = f"""
import sys
import urllib.request
from pathlib import Path
import dashboard.__main__
from dashboard.app import create_app, page_for
from dashboard.settings import DashboardSettings
from tests.dashboard.made_artifacts import plain_artifacts
app = create_app(DashboardSettings(model_type="test"), plain_artifacts(Path({str(artifacts.directory)!r})))
for path in {EVERY_PATH!r}:
    page_for(app.server.config["QUERIES"], path, "")
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "[]", found.stderr


# The command line.


def test_arguments() -> None:
    given = read_settings(["ultra", "--port", "9000", "--data_dir", "d", "--no-precompute"])
    assert (given.model_type, given.port, given.data_dir, given.precompute) == (
        "ultra",
        9000,
        Path("d"),
        False,
    )
    assert given.allowed_hosts == LOOPBACK_NAMES


@pytest.mark.parametrize(
    "argv",
    [
        ["--host", "0.0.0.0"],
        ["--host", "0.0.0.0", "--auth", "me:secret"],
        ["--host", "0.0.0.0", "--allowed-hosts", "gpu1"],
        ["--host", "::"],
        ["--host", "example.org"],
        ["--auth", "nobody"],
        ["--auth", ":x"],
        ["--port", "70000"],
        ["--workers", "0"],
        ["--nope"],
    ],
)
def test_what_is_not_safe_or_not_valid_is_refused(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIGHTWELL_AUTH", raising=False)
    with pytest.raises(UsageError):
        read_settings(argv)


def test_an_open_address_with_protection_is_let_through() -> None:
    given = read_settings(["--host", "0.0.0.0", "--auth", "me:secret", "--allowed-hosts", "GPU1, gpu1.lan"])
    assert given.allowed_hosts == ("gpu1", "gpu1.lan")


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="--port"):
            listen("127.0.0.1", port)


def test_an_unknown_model_type_leaves_no_trace(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown model type"):
        main(["fulll", "--data-dir", str(tmp_path / "data"), "--port", "0"])
    assert not (tmp_path / "data").exists()


def test_a_taken_port_ends_the_command_with_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "dashboard", "--port", str(taken.getsockname()[1]), "--data-dir"]
        ended = subprocess.run(
            [*command, str(tmp_path / "data")], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("path", EVERY_PATH)
def test_every_page_is_encoded_by_one_call(app: Dash, path: str) -> None:
    """With a component left in it, plotly walks over all of the page first, which takes longest."""
    content = plain(page_for(app.server.config["QUERIES"], path, "").content)
    assert orjson.loads(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


@pytest.mark.parametrize("text", ["\ud800", "\udfff\ud800", "/feature/\udc80"])
def test_half_a_character_gets_a_sentence(app: Dash, text: str) -> None:
    assert "expected" in page(app, "/" + text)
    assert "expected" in page(app, "/features", "?search=" + text + "&" + text + "=1")


def test_a_server_with_a_thousand_open_files_answers(tmp_path: Path) -> None:
    """select() takes no file with a number above 1,023."""
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096));"
        "from dashboard import __main__ as served; raised = served.open_many_files;"
        "taken = lambda: [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)];"
        "served.open_many_files = lambda: (raised(), taken());"
        "sys.exit(served.main(sys.argv[1:]))"
    )
    arguments = ["full", "--port", "0", "--no-precompute", "--data-dir", str(tmp_path)]
    with (
        started([sys.executable, "-c", code, *arguments]) as address,
        urllib.request.urlopen(f"{address}/healthz", timeout=60) as answer,
    ):
        assert json.load(answer)["status"] == "ok"
