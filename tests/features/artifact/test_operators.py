"""What a release is bound to, and when the same images serve already: asked from a real registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history.store import History
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.features.artifact.operators import RecordArtifactOperator
from tests import registries
from tests.adapters.history.conftest import free_port
from tests.features.helpers import Ti

RELEASE = "release_shop/identity#0"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.plain(tmp_path_factory.mktemp("registry")) as it:
        yield it


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch, tmp_path: Any, address: str) -> History:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    connect(monkeypatch, address)
    it = HistoryHook().history()
    it.begin(RELEASE, "shop", "release_shop", "identity", "1.1.0", "alice")
    return it


def connect(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    connection = {"conn_type": "registry", "host": address, "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))


@pytest.fixture
def built(address: str) -> list[str]:
    """I1 and I2, of one image with other provenance; and I3, with another platform more."""
    registry = registries.at(address)
    amd64 = registries.single(registry, "shop", "linux/amd64")
    arm64 = registries.single(registry, "shop", "linux/arm64")
    first, second = (registries.provenance(registry, "shop", amd64["digest"], it) for it in ("10:00", "10:05"))
    return [registries.index(registry, "shop", it) for it in ([amd64, first], [amd64, second], [amd64, arm64, second])]


def artifact(address: str, digest: str, version: str = "1.1.0") -> Artifact:
    return Artifact(app="shop", version=version, image=f"{address}/shop", digest=digest)


def bind(it: Artifact, serving: str | None, version: str = "1.0.0") -> tuple[dict[str, Any], Ti]:
    ti = Ti()
    operator = RecordArtifactOperator(
        task_id="artifact",
        artifact=to_json(it),
        release=RELEASE,
        serving=json.dumps({"version": version, "digest": serving} if serving else None),
        registry_conn_id="registry",
    )
    return operator.execute({"ti": ti}), ti  # type: ignore[typeddict-item]


def test_a_rebuild_with_other_provenance_serves_already_and_the_old_digest_stays(
    history: History, address: str, built: list[str]
) -> None:  # R17
    bound, ti = bind(artifact(address, built[1]), built[0])
    assert bound["digest"] == built[1]  # what was pushed, and what signatures are about
    assert ti.pushed["serves"] == (
        f"1.1.0 ({built[1]}) has the same image for each platform as 1.0.0 ({built[0]}), which serves all traffic already "
        "and stays; nothing was changed."
    )
    assert ti.pushed["serves"] in [it.sentence for it in history.release(RELEASE).events]


def test_another_platform_is_another_image(history: History, address: str, built: list[str]) -> None:
    for digest in built[:2]:
        _, ti = bind(artifact(address, built[2]), digest)
        assert "serves" not in ti.pushed


def test_nothing_serves_before_the_first_release(history: History, address: str, built: list[str]) -> None:
    _, ti = bind(artifact(address, built[0]), None)
    assert "serves" not in ti.pushed


@pytest.mark.parametrize("gone", ["registry", "digest"])
def test_where_nobody_can_tell_what_a_digest_is_made_of_digests_are_compared(
    history: History, address: str, built: list[str], gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gone == "registry":
        connect(monkeypatch, f"127.0.0.1:{free_port()}")
    serving = built[0] if gone == "registry" else "sha256:" + "0" * 64
    _, ti = bind(artifact(address, built[1]), serving)
    assert "serves" not in ti.pushed
    _, ti = bind(artifact(address, built[1]), built[1])
    assert ti.pushed["serves"].startswith("1.1.0 is the image of 1.0.0")


def test_a_version_that_is_rebuilt_with_the_same_images_is_released_by_its_recorded_digest(
    history: History, address: str, built: list[str]
) -> None:  # R1
    earlier = "release_shop/earlier#0"
    history.begin(earlier, "shop", "release_shop", "earlier", "1.1.0", "alice")
    history.record_artifact(earlier, artifact(address, built[0]))
    history.promoted(earlier)
    history.finish(earlier, "released", "Released 1.1.0.")
    bound, ti = bind(artifact(address, built[1]), "sha256:" + "0" * 64)
    assert bound["digest"] == built[0]
    assert "serves" not in ti.pushed
    with pytest.raises(AirflowFailException, match="A version keeps its image"):
        bind(artifact(address, built[2]), None)
