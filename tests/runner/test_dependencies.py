"""No dependency that nothing uses, none that is used and not declared, and a pin for each."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 is needed")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOR_USERS = ("", "cosign", "postgres", "scan", "sbom", "policy", "performance", "accessibility", "notify", "testing")
"""The package and its extras; what is not here is for those who work on it."""
PACKAGE, EVERYTHING = ("plugins", "dags"), ("plugins", "dags", "sandbox", "tests", "benchmarks")

USED_OTHERWISE = {
    "apache-airflow-providers-postgres": "asyncpg comes with it, which Airflow needs for a database in PostgreSQL",
    "pre-commit": "run by people, with .pre-commit-config.yaml",
    "pytest-asyncio": "a plugin of pytest: asyncio_mode in pyproject.toml",
    "pytest-xdist": "a plugin of pytest: python -m tests spreads a tier over the cores",
    "types-pyyaml": "mypy's types of yaml",
}
BROUGHT_ALONG = {
    "boto3": "apache-airflow-providers-amazon",
    "botocore": "apache-airflow-providers-amazon",
    "kubernetes-asyncio": "apache-airflow-providers-cncf-kubernetes",
    "pendulum": "apache-airflow",
    "fastapi": "apache-airflow",
    "jsonschema": "apache-airflow",
    "pydantic-core": "pydantic",
    "starlette": "apache-airflow",
    "slack-sdk": "apache-airflow-providers-slack",
    "urllib3": "requests",
    "uvicorn": "apache-airflow",
    "yarl": "aiohttp",
}
"""What is imported and comes with something that is declared, whose version it has to fit."""


def declared(*groups: str) -> set[str]:
    """Names of what is declared: the package itself, its extras, the development group."""
    lists = {
        "": PROJECT["project"]["dependencies"],
        **PROJECT["project"]["optional-dependencies"],
        **PROJECT["dependency-groups"],
    }
    return {canonicalize_name(Requirement(it).name) for group in groups or lists for it in lists[group]}


@cache
def trees(folders: tuple[str, ...]) -> list[ast.Module]:
    paths = {path for folder in folders for path in (ROOT / folder).rglob("*.py") if "sample_app" not in path.parts}
    return [ast.parse(path.read_text()) for path in paths - {Path(__file__)}]


@cache
def modules() -> Mapping[str, list[str]]:
    """The distributions of every module that is installed."""
    return packages_distributions()


@cache
def imported(folders: tuple[str, ...]) -> set[str]:
    """Distributions of which a module is imported."""
    found = set()
    owners = modules()
    for node in (node for tree in trees(folders) for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for name in names:
            provider = re.match(r"airflow\.providers\.(cncf\.\w+|\w+)", name)
            if provider:
                found.add(f"apache-airflow-providers-{provider[1].replace('.', '-')}")
            elif name.split(".")[0] == "airflow":
                found.add("apache-airflow")
            else:
                found |= {canonicalize_name(owner) for owner in owners.get(name.split(".")[0], [])}
    return found


@cache
def texts(folders: tuple[str, ...]) -> set[str]:
    """All texts in the code: among them are the names of programs that it starts, and of modules that it looks for."""
    nodes = (node for tree in trees(folders) for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def named(name: str, folders: tuple[str, ...]) -> bool:
    """Whether the code names a program or a module of this distribution."""
    files = [Path(str(file)) for file in distribution(name).files or []]
    programs = {path.name for path in files if path.parent.name == "bin"}
    modules = {path.parts[0] for path in files if path.name == "__init__.py"} - {"airflow"}  # all providers are in it
    return bool((programs | modules) & texts(folders))


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        *((name, PACKAGE) for name in sorted(declared(*FOR_USERS))),
        *((name, EVERYTHING) for name in sorted(declared("sandbox", "dev"))),
    ],
)
def test_what_is_declared_is_used(name: str, folders: tuple[str, ...]) -> None:
    assert name in imported(folders) or name in USED_OTHERWISE or named(name, folders)


@pytest.mark.parametrize("folders", [PACKAGE, EVERYTHING])
def test_what_is_imported_is_declared(folders: tuple[str, ...]) -> None:
    known = declared(*FOR_USERS) if folders == PACKAGE else declared()
    missing = imported(folders) - known - {"release-pipelines"}
    assert {name for name in missing if BROUGHT_ALONG.get(name) not in known} == set()


def test_reasons_are_given_only_where_one_is_needed() -> None:
    used = {name for name in declared() if name in imported(EVERYTHING) or named(name, EVERYTHING)}
    assert USED_OTHERWISE.keys() <= declared() - used
    assert BROUGHT_ALONG.keys() <= imported(EVERYTHING) - declared()


def test_every_dependency_is_pinned_with_hashes() -> None:
    pins = re.findall(r"^([\w.-]+)==\S+ \\\n    --hash=", (ROOT / "requirements.txt").read_text(), re.M)
    assert declared() - set(pins) == set()
