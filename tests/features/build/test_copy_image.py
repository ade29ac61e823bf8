"""An image from one registry to another: real ones, with and without referrers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.features.build.operators import ImageCopyOperator
from release_pipelines.features.build.sensors import ImageReplicatedSensor
from tests import registries
from tests.adapters.history.conftest import digest, free_port
from tests.features.helpers import Ti

SBOM, SIGNED = "application/vnd.cyclonedx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture(scope="module", params=["plain_to_referrers", "referrers_to_plain", "plain_to_plain"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    with ExitStack() as stack:
        made = []
        for kind in request.param.split("_to_"):
            server = registries.plain(tmp_path_factory.mktemp(kind)) if kind == "plain" else registries.with_referrers()
            made.append(stack.enter_context(server))
        yield made


def connect(monkeypatch: pytest.MonkeyPatch, **addresses: str) -> None:
    for name, address in addresses.items():
        connection = {"conn_type": "registry", "host": address, "extra": {"insecure": True}}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(connection))


def copy(image: str, reference: str, **more: Any) -> tuple[dict[str, Any], Ti]:
    ti = Ti()
    given = {"registry_conn_id": "ours", "to_registry_conn_id": "theirs", **more}
    operator = ImageCopyOperator(task_id="copy", image=image, reference=reference, **given)
    return operator.execute({"ti": ti}), ti  # type: ignore[typeddict-item]


def made(registry: Distribution, name: str) -> tuple[str, dict[str, Any], str, str]:
    """An index of two platforms with provenance; an SBOM on the image of one, and the signature of that; and a signature of the index."""
    amd64, arm64 = (registries.single(registry, name, it, name) for it in ("linux/amd64", "linux/arm64"))
    beside = registries.provenance(registry, name, amd64["digest"])
    top = registries.index(registry, name, [amd64, arm64, beside], "1.0.0")
    sbom = registry.attach(name, amd64["digest"], SBOM, SBOM, b"sbom", {"org.example.of": "amd64"})
    registry.attach(name, sbom, SIGNED, SIGNED, b"signature of the sbom", {})
    registry.attach(name, top, SIGNED, SIGNED, b"signature", {})
    signed = registries.single(registry, name, "linux/amd64", f"cosign {name}", f"{top.replace(':', '-')}.sig")
    return top, amd64, sbom, str(signed["digest"])


def test_children_attestations_and_all_that_is_attached_come_along_by_the_same_digests(
    places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (registries.at(it) for it in places)
    connect(monkeypatch, ours=places[0], theirs=places[1])
    top, amd64, sbom, signed = made(ours, "team/shop")
    result, _ = copy("team/shop", "1.0.0", to_image="production/shop", tag="1.0.0")
    assert (result["repository"], result["digest"]) == (f"{places[1]}/production/shop", top)
    assert (result["manifests"], result["attached"]) == (8, 4)
    image = theirs.image("production/shop", top)
    before = ours.image("team/shop", top)
    assert image
    assert before
    assert (image.platforms, image.attestations) == (before.platforms, before.attestations)
    assert theirs.lacks(image) == []
    assert theirs.digest_of("production/shop", "1.0.0") == top
    (found,) = theirs.referrers("production/shop", amd64["digest"])
    assert (found.digest, found.artifact_type, found.annotations) == (sbom, SBOM, {"org.example.of": "amd64"})
    assert [it.artifact_type for it in theirs.referrers("production/shop", sbom)] == [SIGNED]
    assert [it.artifact_type for it in theirs.referrers("production/shop", top)] == [SIGNED]
    assert theirs.digest_of("production/shop", f"{top.replace(':', '-')}.sig") == signed
    again, _ = copy("team/shop", top, to_image="production/shop")
    assert (again["manifests"], again["blobs"], again["size"]) == (0, 0, 0)
    assert len(theirs.referrers("production/shop", top)) == 1


def test_within_a_registry_blobs_are_taken_over_and_not_sent(
    places: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = registries.at(places[1])
    connect(monkeypatch, ours=places[1], theirs=places[1])
    entry = registries.single(registry, "near/shop", "linux/amd64", "near", "1.0.0")
    result, _ = copy("near/shop", "1.0.0", to_image="near/copy")
    assert result["digest"] == entry["digest"]
    assert result["blobs"] == 0
    image = registry.image("near/copy", entry["digest"])
    assert image
    assert registry.lacks(image) == []


def test_what_is_not_whole_is_not_copied_and_gets_no_tag(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with registries.plain(tmp_path) as address, registries.with_referrers() as other:
        registry = registries.at(address)
        connect(monkeypatch, ours=address, theirs=other)
        _, amd64, *_ = made(registry, "shop")
        registries.delete(address, "shop", "manifests", amd64["digest"])
        with pytest.raises(
            AirflowFailException,
            match=f"shop@{amd64['digest']} is gone from the registry {address}: it cannot be copied",
        ):
            copy("shop", "1.0.0", tag="1.0.0")
        assert registries.at(other).digest_of("shop", "1.0.0") is None
        with pytest.raises(AirflowFailException, match=r"has no image .*shop:2\.0\.0: nothing can be copied"):
            copy("shop", "2.0.0")
        connect(monkeypatch, theirs=f"127.0.0.1:{free_port()}")
        whole = registries.single(registry, "whole", "linux/amd64")
        with pytest.raises(AirflowException, match="does not answer"):
            copy("whole", whole["digest"])


class Copies:
    """A registry that copies to other regions."""

    host = "registry.example"

    def __init__(self, **states: str) -> None:
        self.states = {it.replace("_", "-"): word for it, word in states.items()}

    def replicated(self, image: str, of: str) -> dict[str, str]:
        return self.states


def wait(monkeypatch: pytest.MonkeyPatch, registry: Any) -> bool:
    monkeypatch.setattr(RegistryHook, "get_conn", lambda self: registry)
    places = ["eu-west-1", "us-east-1"]
    sensor = ImageReplicatedSensor(
        task_id="wait", registry_conn_id="ours", image="shop", digest=digest("a"), places=places
    )
    return sensor.poke({})


def test_an_image_is_waited_for_in_every_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not wait(monkeypatch, Copies())
    assert not wait(monkeypatch, Copies(eu_west_1="COMPLETE"))
    assert not wait(monkeypatch, Copies(eu_west_1="COMPLETE", us_east_1="IN_PROGRESS"))
    assert wait(monkeypatch, Copies(eu_west_1="COMPLETE", us_east_1="COMPLETE"))
    with pytest.raises(AirflowFailException, match=r"could not be copied to us-east-1: FAILED \(AccessDenied\)"):
        wait(monkeypatch, Copies(eu_west_1="IN_PROGRESS", us_east_1="FAILED (AccessDenied)"))
    with pytest.raises(AirflowFailException, match="copies nothing to other regions"):
        wait(monkeypatch, registries.at("registry.example"))
