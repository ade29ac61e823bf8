"""`release sbom`: what a release's image is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import History, open_history
from release_pipelines.cli import app

run = CliRunner().invoke


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    made = open_history(f"sqlite:///{tmp_path}/history.db")
    made.begin("release_shop/1", "shop", "release_shop", "1", "1.1.0", "ann")
    return made


def keep(history: History, *names: str) -> None:
    for name in names:
        history.attach("release_shop/1", name, "application/json", f'"{name}"')


def test_the_one_of_a_release_is_printed_in_either_format(history: History) -> None:
    keep(history, "sbom.cdx.json", "sbom.spdx.json")
    assert run(app, ["sbom", "shop"]).stdout == '"sbom.cdx.json"\n'
    assert run(app, ["sbom", "shop", "1.1.0", "--spdx"]).stdout == '"sbom.spdx.json"\n'


def test_of_several_platforms_one_is_named(history: History) -> None:
    keep(history, "sbom-linux-amd64.cdx.json", "sbom-linux-arm64.cdx.json")
    done = run(app, ["sbom", "shop"])
    assert done.exit_code == 1
    assert "has SBOMs of linux-amd64, linux-arm64: --platform says which is meant" in done.output
    assert run(app, ["sbom", "shop", "--platform", "linux/arm64"]).stdout == '"sbom-linux-arm64.cdx.json"\n'


def test_a_release_without_one_says_so(history: History) -> None:
    done = run(app, ["sbom", "shop"])
    assert done.exit_code == 1
    assert "shop 1.1.0 has no SBOM" in done.output
