"""The SBOM of what is released, in a whole release."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters import sbom
from release_pipelines.adapters.sbom import components_in
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from tests.fakes import GOOD, NEW
from tests.oci_layouts import LayoutRegistry, debian, make_layout
from tests.pipeline.conftest import Releases

pytestmark = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no SBOM was made")
with_sbom = pytest.mark.parametrize("releases", ["sbom: true\n"], indirect=True)


def serve(releases: Releases, monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, str]) -> None:
    made = LayoutRegistry(NEW, {folder: make_layout(folder, [files])}, releases.outside.host)
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    monkeypatch.setattr(made, "repository", lambda image: f"{made.host}/{image.removeprefix(f'{made.host}/')}")


@with_sbom
def test_a_release_keeps_what_its_image_is_made_of(releases: Releases, monkeypatch, tmp_path: Path) -> None:
    serve(releases, monkeypatch, tmp_path / "image", debian())
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    history = HistoryHook().history()
    detail = history.releases("shop")[0]
    kept = {it.name: it.content for it in history.attachments(detail.id) if it.name.startswith("sbom")}
    assert set(kept) == {"sbom.cdx.json", "sbom.spdx.json"}
    assert {it.name for it in components_in(kept["sbom.cdx.json"])} == {"perl-base", "lodash"}
    assert done.pushed("scan.sbom")["sentence"] == "It is made of 2 packages."


@with_sbom
def test_an_image_in_which_nothing_is_identified_is_not_released(
    releases: Releases, monkeypatch, tmp_path: Path
) -> None:
    releases.runs("1.0.0")
    serve(releases, monkeypatch, tmp_path / "image", {"app/hello": "hello"})
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert "The SBOM is unknown: Syft identified no package" in done.sentence
    assert releases.production.tracks["stable"].digest == GOOD


def test_without_the_key_there_is_no_task(releases: Releases) -> None:
    assert "scan.sbom" not in releases.dag.task_ids
