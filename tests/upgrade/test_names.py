"""Every name that version 0.1 had (``names.json``: its modules, and what each defined) can still be imported."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from release_pipelines._moved import _Old

NAMES: dict[str, list[str]] = json.loads((Path(__file__).parent / "names.json").read_text())

GONE = {
    "release_pipelines.pipeline.build": {"RUNNING_COMMIT", "VERSION", "build_group"},
    "release_pipelines.pipeline.common": {"ARTIFACT", "COLOURS", "RELEASE", "queue_of"},
    "release_pipelines.pipeline.environments": {"STAGING_LEASE_SECONDS", "approval", "rolling_environment"},
    "release_pipelines.pipeline.production": {"Production", "production"},
    "release_pipelines.pipeline.rollback": {"rollback_group"},
    "release_pipelines.hooks.controls": {"answer", "changed"},
    "release_pipelines.hooks.entry": {"at"},
    "release_pipelines.domain.analysis": {"counted", "judged"},
    "release_pipelines.domain.metrics": {"counter", "queries"},
    "release_pipelines.hooks.platform": {"registry_auth"},
    "release_pipelines.history.queries": {"good", "stability_of"},
    "release_pipelines.operators.scan": {"ORDER", "SHOWN", "TIMEOUT"},
    "release_pipelines.platforms.container_host.state": {"route_name"},
    "release_pipelines.platforms.kubernetes.access": {
        "MIRROR_FEATURE",
        "ROUTE_KINDS",
        "refuse_unsupported",
        "single_gateway",
    },
    "release_pipelines.spec.checks_of_strategies": {"CAN", "POINTS_OFF", "judged_parts", "strategy_mistakes"},
    "release_pipelines.triggers.watching": {"SWITCH_SECONDS", "checked", "note_of"},
}
"""What only its own package used, and what nothing stands for any more: routers say themselves what tables said of them."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("module", [it for it in NAMES if not NAMES[it] or set(NAMES[it]) - GONE.get(it, set())])
def test_the_names_of_a_module_resolve(module: str) -> None:
    old = import_module(module)
    assert [name for name in NAMES[module] if not hasattr(old, name) and name not in GONE.get(module, ())] == []


def told(code: str, module: str = "a_dag_file") -> list[str]:
    """The warnings about our names when a module of this name runs ``code`` with no old module imported yet."""
    for name in NAMES:
        if name != "release_pipelines" and isinstance(getattr(sys.modules.get(name), "__loader__", None), _Old):
            del sys.modules[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(code, {"__name__": module})
    return [f"{it.category.__name__}: {it.message}" for it in caught if "release_pipelines" in str(it.message)]


def test_an_old_import_is_told_once_and_names_the_public_one() -> None:
    old = "from release_pipelines.operators.canary import CanaryStepOperator\n"
    assert told(old + old + "from release_pipelines.spec.models import RouterSpec\n") == [
        "DeprecationWarning: release_pipelines.operators.canary.CanaryStepOperator has moved: "
        "`from release_pipelines.operators import CanaryStepOperator`.",
        "DeprecationWarning: release_pipelines.spec.models.RouterSpec has moved: "
        "`from release_pipelines import RouterSettings`.",
    ]


def test_a_new_import_is_told_nothing() -> None:
    assert (
        told("from release_pipelines.operators import CanaryStepOperator; from release_pipelines import Target") == []
    )


def test_airflow_loads_a_deferred_trigger_by_its_old_class_path_in_silence() -> None:
    path = "release_pipelines.triggers.stage.StageTrigger"
    assert told(f"from airflow._shared.module_loading import import_string; import_string({path!r})") == []


def test_a_name_that_never_was_is_an_attribute_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from release_pipelines.operators.canary import Nothing")
    with pytest.raises(ModuleNotFoundError):
        import_module("release_pipelines.operators.nothing")


def test_an_old_import_loads_nothing_before_it_is_asked() -> None:
    code = "import sys; sys.path[:0] = {!r}; import release_pipelines.triggers.stage, release_pipelines.domain.values\nprint(*sorted(it for it in sys.modules if it.startswith('release_pipelines')))"
    done = subprocess.run([sys.executable, "-c", code.format(sys.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "release_pipelines",
        "release_pipelines._lazy",
        "release_pipelines._moved",
        "release_pipelines.domain",
        "release_pipelines.domain.values",
        "release_pipelines.triggers",
        "release_pipelines.triggers.stage",
    ]
