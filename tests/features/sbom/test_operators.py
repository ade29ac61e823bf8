"""SBOMs of images and of source code, by real Syft, kept with a release or in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters import sbom
from release_pipelines.adapters.sbom import components_in
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.features.sbom.operators import SbomOperator
from tests.features.helpers import Ti
from tests.oci_layouts import LayoutRegistry, debian, make_layout
from tests.repositories import commit

needs_syft = pytest.mark.skipif(sbom.missing() is not None, reason="syft is not installed: no SBOM was made")
INDEX = f"sha256:{'1' * 64}"


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")


def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *platforms: str) -> LayoutRegistry:
    """A registry with an index of these architectures; each image has packages of its own."""
    images = {
        tmp_path / it: make_layout(tmp_path / it, [debian(**({"torch": "2.6.0"} if it == "arm64" else {}))], it)
        for it in platforms
    }
    made = LayoutRegistry(INDEX, images)
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    return made


def done(**arguments: Any) -> Any:
    try:
        return SbomOperator(task_id="sbom", **arguments).execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        return error


def begin(release: str) -> None:
    HistoryHook().history().begin(release, "shop", "release_shop", "1", "1.1.0", "ann")


@needs_syft
def test_the_sbom_of_an_image_is_kept_with_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = registry(tmp_path, monkeypatch, "amd64")
    begin("release_shop/1")
    result = done(image="shop", digest=INDEX, release="release_shop/1")
    [image] = made.images.values()
    assert result == {
        "sentence": "It is made of 2 packages.",
        "kept": ["sbom.cdx.json", "sbom.spdx.json"],
        "sboms": [{"platform": "linux/amd64", "digest": image.digest, "components": 2, "unread": []}],
    }
    kept = {it.name: it for it in HistoryHook().history().attachments("release_shop/1")}
    assert {name: it.media_type for name, it in kept.items()} == {
        "sbom.cdx.json": "application/vnd.cyclonedx+json",
        "sbom.spdx.json": "application/spdx+json",
    }
    for it in kept.values():
        assert {component.name for component in components_in(it.content)} == {"perl-base", "lodash"}


@needs_syft
def test_each_platform_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry(tmp_path, monkeypatch, "amd64", "arm64")
    result = done(image="shop", digest=INDEX, folder=str(tmp_path / "kept"))
    assert result["sentence"] == "It is made of 2 packages on linux/amd64 and 3 packages on linux/arm64."
    assert [(it["platform"], it["components"]) for it in result["sboms"]] == [("linux/amd64", 2), ("linux/arm64", 3)]
    assert result["kept"][0] == f"{tmp_path}/kept/sbom-linux-amd64.cdx.json"
    arm = components_in((tmp_path / "kept" / "sbom-linux-arm64.spdx.json").read_text())
    assert "torch" in {it.name for it in arm}


@needs_syft
def test_what_nothing_keeps_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry(tmp_path, monkeypatch, "amd64")
    failure = done(image="shop", digest=INDEX, release="mine/1")
    assert "the history knows no release mine/1, and no `folder` is named" in str(failure)


@needs_syft
def test_an_image_in_which_nothing_is_identified_fails_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make_layout(tmp_path / "image", [{"app/hello": "hello"}])
    made = LayoutRegistry(INDEX, {tmp_path / "image": image})
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    failure = done(image="shop", digest=INDEX, folder=str(tmp_path / "kept"))
    assert "The SBOM is unknown: Syft identified no package in shop" in str(failure)
    assert not (tmp_path / "kept").exists()


def test_an_image_that_is_not_there_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry(tmp_path, monkeypatch, "amd64")
    failure = done(image="shop", digest=f"sha256:{'2' * 64}")
    assert "The registry has no image registry.test/shop@sha256:222" in str(failure)


def test_an_index_of_no_platform_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry(tmp_path, monkeypatch)
    assert "is of no platform" in str(done(image="shop", digest=INDEX))


@needs_syft
def test_source_code_has_one_too(tmp_path: Path) -> None:
    made = commit(tmp_path / "shop", {"app/requirements.txt": "flask==3.0.0\n", "requirements.txt": "pytest==8.0.0\n"})
    result = done(repository=str(tmp_path / "shop"), commit=made, context="app", folder=str(tmp_path / "kept"))
    assert result["sentence"] == "It is made of 1 package."
    assert [it.name for it in components_in((tmp_path / "kept" / "sbom.cdx.json").read_text())] == ["flask"]


@pytest.mark.parametrize(
    "arguments", [{}, {"image": "shop"}, {"repository": "shop"}, {"image": "shop", "digest": "x", "repository": "shop"}]
)
def test_what_is_listed_has_to_be_said(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is expected|is missing"):
        SbomOperator(task_id="sbom", **arguments)
