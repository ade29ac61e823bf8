"""The wheel in a place of its own: what somebody has who installs the package into an Airflow, without this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., str]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package as pip installs it."""
    uv = shutil.which("uv", path=f"{os.environ['PATH']}{os.pathsep}{ROOT / '.sandbox' / 'tools' / 'bin'}")
    assert uv, "uv, which sandbox/bootstrap installs, is not found"
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", wheels, ROOT], check=True)
    install = [uv, "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*install, *wheels.glob("*.whl")], check=True)
    return folder


@pytest.fixture(scope="session")
def run(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run Python code in a fresh process that has the installed package, but not the repository."""
    home = tmp_path_factory.mktemp("home")

    def run(code: str, *arguments: str) -> str:
        ours = f"""
import sys
sys.path[:] = [{str(installed)!r}, *(it for it in sys.path if not it.startswith({str(ROOT)!r}) or "site-packages" in it)]
sys.argv = ["release", *{list(arguments)!r}]
import release_pipelines
assert release_pipelines.__file__.startswith({str(installed)!r}), release_pipelines.__file__
"""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"AIRFLOW_HOME": str(home), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-c", ours + code], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_holds_all_that_is_no_module(installed: Path) -> None:
    package = installed / "release_pipelines"
    of_ours = ROOT / "plugins" / "release_pipelines"
    here = {path.relative_to(of_ours) for path in of_ours.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert Path("py.typed") in here
    assert {path for path in here if not (package / path).is_file()} == set()


def test_operators_import(run: Run) -> None:
    said = run("from release_pipelines.operators import __all__ as names; import release_pipelines.operators as all_\n"
               "print(*(getattr(all_, it).__name__ for it in names))")  # fmt: skip
    assert "CanaryStepOperator" in said.split()


def test_airflow_finds_the_plugin_and_the_connection_types(run: Run) -> None:
    code = """
import json
from importlib.metadata import distributions
found = next(it for it in distributions(path=[sys.path[0]]) if it.name == "release-pipelines")
entry = {it.group: it for it in found.entry_points if it.name in ("release_pipelines", "provider_info")}
plugin, info = entry["airflow.plugins"].load(), entry["apache_airflow_provider"].load()()
for it in info["connection-types"]:
    module, _, name = it["hook-class-name"].rpartition(".")
    getattr(__import__(module, fromlist=[name]), name)
print(json.dumps([plugin.name, [it["connection-type"] for it in info["connection-types"]]]))
"""
    assert json.loads(run(code)) == ["release_pipelines", ["prometheus", "container_host", "buildkit", "registry"]]


def test_a_history_is_made_by_the_migrations(run: Run, tmp_path: Path) -> None:
    code = (
        "from release_pipelines.adapters.history import open_history\n"
        f"print(open_history('sqlite:///{tmp_path}/history.db').releases('shop'))"
    )
    assert run(code).strip() == "[]"


def test_the_command_says_what_it_can_and_writes_the_schema(run: Run, tmp_path: Path) -> None:
    command = "from release_pipelines.cli import app; app()"
    assert "validate" in run(command, "--help")
    run(command, "schema", str(tmp_path))
    assert json.loads(next(tmp_path.glob("*app*.json")).read_text())["type"] == "object"
