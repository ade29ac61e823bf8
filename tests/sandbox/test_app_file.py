"""The app file that the demo shows to Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.spec.release import load_release
from release_pipelines.spec.stages import strategy_name
from sandbox import app_file
from sandbox.settings import APP, ROOT, SandboxError

CONFIG, ANALYSES = ROOT / "include" / "config", ROOT / "include" / "analyses"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(app_file, "FOLDER", tmp_path / "apps")
    return tmp_path / "apps" / f"{APP}.yaml"


@pytest.mark.parametrize("strategy", app_file.STRATEGIES)
def test_every_strategy_of_the_demo_makes_a_valid_app(written: Path, strategy: str) -> None:
    assert app_file.write(strategy) == written.parent
    assert strategy_name(load_release(written, CONFIG, ANALYSES)) == strategy


def test_only_the_strategy_and_what_is_named_differ(written: Path) -> None:
    app_file.write("rolling", {"integration_test": ["true"]})
    mine, original = load_release(written, CONFIG, ANALYSES).app, load_release(app_file.SOURCE, CONFIG, ANALYSES).app
    differs = {"strategy", "integration_test"}
    assert mine.integration_test == ["true"]
    assert mine.model_dump(exclude=differs) == original.model_dump(exclude=differs)


def test_a_strategy_that_is_none_is_refused_in_a_sentence() -> None:  # R12
    with pytest.raises(SandboxError, match="no strategy `blue-green`: one of canary, blue_green, rolling is expected"):
        app_file.check("blue-green")
