"""What import-linter cannot say about the layers: who inside a feature may know Airflow."""

from __future__ import annotations

import ast
from pathlib import Path

FEATURES = Path(__file__).parents[2] / "plugins" / "release_pipelines" / "features"
AIRFLOWS = ("operators", "sensors", "triggers")


def imports_airflow(path: Path) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        if any(name.split(".")[0] == "airflow" for name in names):
            return True
    return False


def test_inside_a_feature_only_operators_sensors_and_triggers_import_airflow() -> None:
    others = [path.relative_to(FEATURES) for path in FEATURES.rglob("*.py")]
    others = [path for path in others if path.parts[1:2] and path.parts[1].removesuffix(".py") not in AIRFLOWS]
    assert others
    assert [str(path) for path in others if imports_airflow(FEATURES / path)] == []
