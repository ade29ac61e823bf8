"""The example DAGs: all are parsed and rendered here, whole releases run in ``tests/pipeline/test_example.py``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

EXAMPLES = Path(__file__).parents[2] / "dags" / "examples"
SURFACE = {f"release_pipelines{it}" for it in ("", ".operators", ".sensors", ".triggers", ".hooks", ".notifications")}


@pytest.fixture(scope="module")
def bag() -> Any:
    return DagBag(dag_folder=str(EXAMPLES))


def test_they_are_dags(bag: Any) -> None:
    assert bag.import_errors == {}
    assert len(bag.dags) == len(list(EXAMPLES.glob("*.py")))


def test_each_public_operator_is_in_one(bag: Any) -> None:
    used = {type(task).__name__ for dag in bag.dags.values() for task in dag.tasks}
    public = {
        name
        for it in ("operators", "sensors")
        for name in import_module(f"release_pipelines.{it}").__all__
        if isinstance(getattr(import_module(f"release_pipelines.{it}"), name), type)
    }
    assert public - used == set()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda it: it.stem)
def test_they_use_the_public_surface_alone(path: Path) -> None:
    import ast

    modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert {it for it in modules if it and it.startswith("release_pipelines")} <= SURFACE


def test_their_templates_render_to_what_the_operators_take(bag: Any) -> None:
    """With what earlier tasks push: no connection is asked, nothing is changed."""

    class Pushed:
        def xcom_pull(self, task: str, key: str = "return_value") -> dict[str, str]:
            return {"commit": "4f1c2aa", "sentence": "nothing found", "digest": "sha256:a", "task": task, "key": key}

    context = {
        "ti": Pushed(),
        "params": {
            "version": "1.4.0",
            "digest": "sha256:a",
            "repository": "shop.git",
            "app": "shop",
            "reason": "slow",
            "requested_by": "al",
        },
    }
    for dag in bag.dags.values():
        for task in dag.tasks:
            for field in task.template_fields:
                value = getattr(task, field)
                if isinstance(value, str) and "{{" in value and "dag." not in value:
                    rendered = task.render_template(value, context)
                    assert rendered, f"{dag.dag_id}.{task.task_id}.{field}"
                    assert "{{" not in rendered
