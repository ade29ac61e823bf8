"""The house that docs/architecture.md draws is the house on disk, and its rules that import-linter cannot say are kept."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_pipelines.core import ports
from release_pipelines.core.seams import Seam

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "plugins" / "release_pipelines"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
MOST_LINES = 400
AIRFLOW_IN_FEATURES = ("operators", "sensors", "triggers", "dag")
"""Modules, or packages, of a feature that import Airflow."""

LINE = re.compile(r"^(?P<indent> *)(?P<names>\S+(?:, \S+)*)(?: {2,}.*)?$")


def block_after(heading: str) -> list[str]:
    """The lines of the first code block below a heading of the architecture."""
    section = ARCHITECTURE.split(f"\n## {heading}\n")[1]
    return section.split("```\n")[1].splitlines()


def drawn(lines: list[str]) -> Iterator[Path]:
    """The paths in a drawing: two spaces for each level, folders end with a slash, several names with commas between."""
    folders: list[Path] = []
    for line in lines:
        found = LINE.match(line)
        assert found, f"a name, or several with commas, and two spaces before its description are expected: {line}"
        depth = len(found["indent"]) // 2
        assert depth <= len(folders), f"two spaces for each level are expected: {line}"
        del folders[depth:]
        for name in found["names"].split(", "):
            path = folders[-1] / name if folders else Path(name)
            yield path
        if name.endswith("/"):
            folders.append(path)


DRAWN = list(drawn(block_after("The house")))


@pytest.mark.parametrize("path", DRAWN, ids=str)
def test_what_is_drawn_is_there(path: Path) -> None:
    assert (ROOT / path).exists()


def test_nothing_is_drawn_twice() -> None:
    assert sorted(set(DRAWN)) == sorted(DRAWN)


def test_every_folder_of_the_package_is_drawn() -> None:
    folders = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("*.py") if not path.parent.name.startswith("_")}
    missing = sorted(str(folder) for folder in folders - set(DRAWN))
    assert missing == [], "draw it in docs/architecture.md"


def test_the_layers_are_drawn_as_they_are_checked() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 is needed")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [it["layers"] for it in contracts if it["type"] == "layers"]
    assert block_after("Who may import whom") == layers
    checked = {name for layer in layers for name in layer.split(" | ")}
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} == checked


def seams() -> Iterator[tuple[str, Seam[object]]]:
    """All seams, with the path of the module that declares each."""
    modules = [f"release_pipelines.core.ports.{it.name}" for it in pkgutil.iter_modules(ports.__path__)]
    for name in ["release_pipelines.spec.feature", *modules]:
        module = importlib.import_module(name)
        declared = {
            target.id
            for node in ast.parse(Path(str(module.__file__)).read_text()).body
            if isinstance(node, ast.AnnAssign) and isinstance(target := node.target, ast.Name)
        }
        for constant in sorted(declared):
            if isinstance(seam := getattr(module, constant, None), Seam):
                yield name.removeprefix("release_pipelines.").replace(".", "/") + ".py", seam


def test_every_seam_stands_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w/.]+)` \| `([\w/]+)` \| `([\w.]+)` \|", ARCHITECTURE, re.M)
    folder = {seam.kind: seam.folder.removeprefix("release_pipelines.").replace(".", "/") for _, seam in seams()}
    assert sorted(rows) == sorted((seam.kind, path, folder[seam.kind], seam.group) for path, seam in seams())


def imports_airflow(path: Path) -> bool:
    """Whether a module imports Airflow, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        if any(name.split(".")[0] == "airflow" for name in names):
            return True
    return False


def test_inside_a_feature_only_some_modules_import_airflow() -> None:
    features = PACKAGE / "features"
    paths = [path.relative_to(features) for path in features.rglob("*.py")]
    others = [it for it in paths if it.parts[1:2] and it.parts[1].removesuffix(".py") not in AIRFLOW_IN_FEATURES]
    assert others
    assert [str(path) for path in others if imports_airflow(features / path)] == []


def test_no_module_is_too_long() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path.relative_to(ROOT)): number for path, number in lines.items() if number > MOST_LINES} == {}


def test_the_glossary_is_in_order() -> None:
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.M)[2:]
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))
