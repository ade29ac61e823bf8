"""Whether a release could be taken back: asked from a real registry, in which a cleaner was at work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.airflow.hooks import platform as hook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.way_back import missing
from release_pipelines.features.way_back.feature import FEATURE
from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.release import ReleaseSpec, load_release
from tests import registries
from tests.adapters.history.conftest import free_port
from tests.fakes import World

IMAGE = "shop"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.plain(tmp_path_factory.mktemp("registry")) as it:
        yield it


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> World:
    it = World()
    monkeypatch.setattr(hook, "_build", lambda *_: it.platform())
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    connect(monkeypatch, address)
    return it


def connect(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    connection = {"conn_type": "registry", "host": address, "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_PLATFORM", json.dumps({"conn_type": "generic"}))


def spec(folder: Path, way_back: Any = None) -> ReleaseSpec:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "shop.yaml").write_text(
        "name: shop\nstrategy: {rolling: {batches: [50]}}\nanalysis: {metrics: [{name: errors, source: errors, limit: 1%}]}\n"
    )
    base = {
        "platform": "container_host",
        "connections": {
            "platform": "platform",
            "engine": "platform",
            "registry": "registry",
            "prometheus": "prometheus",
        },
        "router": {"kind": "traefik"},
        "address": {"url": "http://shop.example"},
    }
    (folder / "config/base.yaml").write_text(json.dumps(base))
    (folder / "config/staging.yaml").write_text("time_zone: Europe/Berlin\n")
    more = {"way_back": way_back} if way_back else {}
    (folder / "config/production.yaml").write_text(json.dumps({"approvers": ["bob"], **more}))
    return load_release(folder / "shop.yaml", folder / "config", folder)


def released(address: str, name: str, version: str, world: World | None = None) -> tuple[Artifact, str, str]:
    """A version that was good; gives it with the digests of its images for amd64 and arm64."""
    registry = registries.at(address)
    amd64, arm64 = (registries.single(registry, name, it, f"{name} {version}") for it in ("linux/amd64", "linux/arm64"))
    top = registries.index(registry, name, [amd64, arm64], version)
    it = Artifact(app="shop", version=version, image=f"{address}/{name}", digest=top)
    history, release = HistoryHook().history(), f"release_shop/{version}#0"
    history.begin(release, "shop", "release_shop", version, version, "alice")
    history.record_artifact(release, it)
    history.promoted(release)
    history.finish(release, "released", f"Released {version}.")
    if world:
        world.runs("stable", it)
        world.tracks["stable"] = world.tracks["stable"].model_copy(update={"image": it.image})
    return it, str(amd64["digest"]), str(arm64["digest"])


def test_the_image_of_a_platform_that_is_gone_is_said_before_the_release_with_the_next_older_version(
    world: World, tmp_path: Path, address: str
) -> None:
    older, *_ = released(address, "warned", "0.9.0")
    _, amd64, _ = released(address, "warned", "1.0.0", world)
    assert list(FEATURE.remarks(spec(tmp_path))) == []
    registries.delete(address, "warned", "manifests", amd64)
    said = (
        f"shop 1.0.0 could not be rolled back to: linux/amd64 {amd64} is gone from the registry; the next older version that is "
        f"whole is 0.9.0 ({older.digest})"
    )
    assert list(FEATURE.remarks(spec(tmp_path))) == [said]
    assert list(FEATURE.preflight(spec(tmp_path))) == []  # a warning
    (problem,) = FEATURE.preflight(spec(tmp_path, "demand"))
    assert problem.sentence == f"{said}."
    assert problem.urgent


def test_only_platforms_of_the_machines_have_to_be_there(world: World, tmp_path: Path, address: str) -> None:
    _, _, arm64 = released(address, "machines", "1.0.0", world)
    registries.delete(address, "machines", "manifests", arm64)
    asked = {"missing": "demand", "platforms": ["linux/amd64"]}
    assert list(FEATURE.preflight(spec(tmp_path, asked))) == []
    (problem,) = FEATURE.preflight(spec(tmp_path, {**asked, "platforms": ["linux/arm64/v8"]}))
    assert f"linux/arm64 {arm64} is gone" in problem.sentence
    assert "no older version that was good is whole there either" in problem.sentence
    (problem,) = FEATURE.preflight(spec(tmp_path, {**asked, "platforms": ["linux/s390x"]}))
    assert "an image for linux/s390x is gone" in problem.sentence
    with pytest.raises(SpecError, match="platforms like linux/amd64"):
        spec(tmp_path, {**asked, "platforms": ["amd64"]})
    with pytest.raises(SpecError, match="way_back"):
        spec(tmp_path, "perhaps")


def test_an_index_that_is_gone_is_missed_though_its_tag_names_another_digest(
    world: World, tmp_path: Path, address: str
) -> None:
    gone, *_ = released(address, "moved", "1.0.0", world)
    registry = registries.at(address)
    registries.delete(address, "moved", "manifests", gone.digest)
    other = registries.single(registry, "moved", "linux/amd64", "somebody's", "1.0.0")["digest"]
    (said,) = FEATURE.remarks(spec(tmp_path))
    assert (
        f"could not be rolled back to: {gone.digest}, whose tag 1.0.0 names {other} now, is gone from the registry"
        in said
    )


def test_an_older_version_that_is_not_whole_either_is_not_offered(world: World, tmp_path: Path, address: str) -> None:
    oldest, *_ = released(address, "older", "0.8.0")
    _, broken, _ = released(address, "older", "0.9.0")
    _, amd64, _ = released(address, "older", "1.0.0", world)
    for it in (broken, amd64):
        registries.delete(address, "older", "manifests", it)
    (said,) = FEATURE.remarks(spec(tmp_path))
    assert f"whole is 0.8.0 ({oldest.digest})" in said


def test_a_registry_that_is_away_stops_only_where_the_way_back_is_demanded(
    world: World, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(address, "away", "1.0.0", world)
    connect(monkeypatch, f"127.0.0.1:{free_port()}")
    assert list(FEATURE.remarks(spec(tmp_path))) == []
    (problem,) = FEATURE.preflight(spec(tmp_path, "demand"))
    assert problem.sentence.startswith("Whether shop could be rolled back is not known: ")


def test_before_the_first_release_there_is_nothing_to_go_back_to(world: World, tmp_path: Path) -> None:
    assert list(FEATURE.preflight(spec(tmp_path, "demand"))) == []
    assert list(FEATURE.remarks(spec(tmp_path))) == []


def test_a_registry_that_cannot_tell_is_no_yes(address: str) -> None:
    class Old:
        host = address

    it = Artifact(app="shop", version="1.0.0", image=f"{address}/shop", digest="sha256:" + "0" * 64)
    with pytest.raises(PlatformError, match="does not say what a digest is made of"):
        missing(Old(), it)  # type: ignore[arg-type]
