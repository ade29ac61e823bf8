"""The public surface: what a user may import, all of it, nothing else, and at no price before it is used."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tomllib

import release_pipelines

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "operators": "Operator",
    "sensors": "Sensor",
    "triggers": "Trigger",
    "hooks": "Hook",
    "notifications": "Notifier",
}
NOT_PUBLIC = {
    "AskingOperator",  # bases
    "DeployOperator",
    "JudgedDeployOperator",
    "OwnStageOperator",
    "OwnStageTrigger",
    "PlannedOperator",
    "ReleaseOperator",
    "PlatformTrigger",
    "ReleaseNotifier",
    "KindNotifier",  # made by the kinds that send by themselves
    "GateOperator",  # parts of a compiled DAG, which make no sense in another
    "AnsweringControlOperator",
    "FetchCalendarOperator",
    "ObserveAppsOperator",
    "ReleasePolicyOperator",
    "LookingOperator",
    "RefusedTrigger",
    "PreflightGateOperator",
    "PreflightOperator",
    "UrgentApprovalOperator",
    "WaitForWindowOperator",  # others wait with ReleaseWindowSensor
    "WindowTrigger",
    "LookForPushesOperator",
    "StartReleaseOperator",
    "RecordArtifactOperator",
    "AttestSbomOperator",
    "RecordOutcomeOperator",
    "TrainOperator",  # the tasks of a train, and what they wait for
    "TrainPreflightOperator",
    "TrainApprovalOperator",
    "TrainReserveOperator",
    "TrainWindowOperator",
    "TrainAppOperator",
    "TrainGateOperator",
    "TrainBakeOperator",
    "TrainTakeBackOperator",
    "TrainAnnounceOperator",
    "RecordTrainOperator",
    "TrainTrigger",
    "RunEndTrigger",
    "AppFreeTrigger",
    "AppsFreeTrigger",
    "WaveWindowTrigger",
    "BakeTogetherTrigger",
    "Notifier",  # the port
}


def defined(ending: str) -> set[str]:
    """Names of the package's classes that end so."""
    prefix = f"{release_pipelines.__name__}."
    names = [
        it.name for it in pkgutil.walk_packages(release_pipelines.__path__, prefix) if ".migrations" not in it.name
    ]
    trees = {name: Path(import_module(name).__file__ or "") for name in names}
    classes = (node for path in trees.values() for node in ast.parse(path.read_text()).body)
    return {
        it.name
        for it in classes
        if isinstance(it, ast.ClassDef) and it.name.endswith(ending) and not it.name.startswith("_")
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_exports_all_that_a_user_may_use(package: str) -> None:
    surface = import_module(f"release_pipelines.{package}")
    assert {it for it in surface.__all__ if it.endswith(PACKAGES[package])} == defined(PACKAGES[package]) - NOT_PUBLIC


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_a_package_is_lazy_and_says_what_it_has(package: str) -> None:
    surface = import_module(f"release_pipelines.{package}".rstrip("."))
    tree = ast.parse(Path(surface.__file__ or "").read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    known = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert known == set(surface.__all__), "mypy knows other names than Python"
    assert set(surface.__all__) <= set(dir(surface))
    for name in surface.__all__:
        assert getattr(surface, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = surface.nothing


def test_the_surface_costs_nothing_before_it_is_used() -> None:
    names = ", ".join(f"release_pipelines.{it}" for it in PACKAGES)
    loaded = _loaded(f"import release_pipelines, {names}")
    ours = {it for it in loaded if it.startswith("release_pipelines.")}
    assert ours == {f"release_pipelines.{it}" for it in (*PACKAGES, "_lazy", "_moved")}
    assert not {"airflow", "pydantic"} & loaded


def test_using_the_operators_loads_nothing_heavy() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    banned = settings["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"]
    loaded = _loaded("from release_pipelines.operators import *; from release_pipelines.sensors import *")
    # Airflow itself reads what every installed provider says of itself; hooks and operators are what costs.
    asked = {f"{it}.{part}" for it in banned for part in ("hooks", "operators")} | set(banned)
    assert {it for it in asked & loaded if not it.startswith("airflow.") or it not in banned} == set()


def _loaded(code: str) -> set[str]:
    run = f"import sys; sys.path[:] = {sys.path!r}\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=True).stdout.split())


def public_operators() -> list[Any]:
    """Operators and sensors."""
    return [
        getattr(module, name)
        for module in (import_module(f"release_pipelines.{it}") for it in ("operators", "sensors"))
        for name in module.__all__
    ]


@pytest.mark.parametrize("operator", public_operators(), ids=lambda it: it.__name__)
def test_a_docstring_says_what_is_templated_and_what_is_pushed(operator: Any) -> None:
    import re

    text = inspect.cleandoc(operator.__doc__)
    templated = re.search(r"^Templated: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    assert templated, "it does not say which arguments are templated"
    named = re.findall(r"``(\w+)``", templated[1])
    mine = [it for it in operator.template_fields if it not in NOT_ARGUMENTS]
    assert sorted(named) == sorted(mine)
    assert re.search(r"^XCom: ", text, re.MULTILINE), "it does not say what it pushes"


NOT_ARGUMENTS = {"subject", "body"}
"""Fields of Airflow's own form, which the approval operators fill themselves."""
