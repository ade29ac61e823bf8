"""Whole releases to an environment that demands attestations; the way back asks for none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.signing.attesting import attest, sign
from release_pipelines.adapters.signing.beside import Beside
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.attestations.statement import PROVENANCE
from tests.pipeline.conftest import TAGS, Releases
from tests.registries import at, plain, put
from tests.signing import key, provenance, trusted, two_platforms

OURS, FOREIGN = key(), key()
DEMAND = {"keys": trusted(ours=OURS), "provenance": {"builders": ["https://airflow.example/builder"]}}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Distribution]:
    (folder := tmp_path / "registry").mkdir()
    with plain(folder) as address:
        yield at(address)


@pytest.fixture
def more_of_production() -> str:
    return yaml.safe_dump({"verify": DEMAND})


@pytest.fixture
def pushed(registry: Distribution, releases: Releases, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions to the digests of images that are really there; 1.0.0 serves, and was never signed."""
    digests = {version: two_platforms(registry, "shop", version, version)[0] for version in ("1.0.0", "1.1.0")}
    for version, digest in digests.items():
        monkeypatch.setitem(TAGS, version, digest)
    connection = {"conn_type": "registry", "host": registry.host, "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
    releases.outside.host = registry.host
    releases.runs("1.0.0")
    return digests


def attested(registry: Distribution, digest: str) -> None:
    sign(registry, "shop", digest, OURS)
    attest(registry, "shop", digest, OURS, PROVENANCE, provenance())


def test_what_is_attested_is_released_and_the_history_knows_it(
    releases: Releases, registry: Distribution, pushed: dict[str, str]
) -> None:
    attested(registry, pushed["1.1.0"])
    done = releases.release("1.1.0")
    assert done.outcome == "released", done.sentence
    assert (done.states["before_production.verify"], done.states["verify_again"]) == ("success", "success")
    history = HistoryHook().history()
    events = history.release(history.releases("shop")[0].id).events
    assert [it.environment for it in events if it.kind == "attested"] == ["production", "production"]
    assert history.known_since("shop", pushed["1.1.0"]) is not None
    approval: Any = releases.dag.get_task("approval")
    assert "before_production.verify" in approval.evidence["Attested"]  # the approver sees it


def foreign(registry: Distribution, mine: str, _other: str) -> None:
    sign(registry, "shop", mine, FOREIGN)
    attest(registry, "shop", mine, FOREIGN, PROVENANCE, provenance())


def nothing(registry: Distribution, mine: str, _other: str) -> None:
    """Somebody has pushed it beside the pipeline."""


def of_another_digest(registry: Distribution, mine: str, other: str) -> None:
    """What was said of another image is copied beside this one."""
    attested(registry, other)
    swapped(registry, mine, other)


def swapped(registry: Distribution, mine: str, other: str) -> None:
    beside = Beside(registry, "shop")
    for it in registry.referrers("shop", other):
        manifest = json.loads(registry.read("shop", it.digest))
        manifest["subject"] = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": mine, "size": 1}
        content = registry.read("shop", manifest["layers"][0]["digest"])
        registry.attach("shop", mine, manifest["artifactType"], manifest["layers"][0]["mediaType"], content, {})
    assert beside.documents(beside.image(mine))


def of_another_builder(registry: Distribution, mine: str, _other: str) -> None:
    sign(registry, "shop", mine, OURS)
    attest(registry, "shop", mine, OURS, PROVENANCE, provenance(builder="urn:laptop"))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (nothing, "{mine}: found nothing, demanded signature."),
        (foreign, "is signed by none of the keys that are trusted here: ours."),
        (of_another_digest, "speaks of {other}, not of {mine}."),
        (of_another_builder, "Built by urn:laptop, expected https://airflow.example/builder"),
    ],
)
def test_what_is_not_attested_as_demanded_never_reaches_production(
    releases: Releases,
    registry: Distribution,
    pushed: dict[str, str],
    made: Callable[[Distribution, str, str], None],
    words: str,
) -> None:
    mine, other = pushed["1.1.0"], pushed["1.0.0"]
    made(registry, mine, other)
    done = releases.release("1.1.0")
    assert done.outcome == "failed"
    assert words.format(mine=mine, other=other) in done.sentence
    assert not releases.production.writes
    assert done.states["approval"] != "success"


def test_what_is_swapped_after_the_approval_is_refused_right_before_production(
    releases: Releases, registry: Distribution, pushed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attested(registry, pushed["1.1.0"])
    empty = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    beside = "sha256-" + pushed["1.1.0"].removeprefix("sha256:")
    kind = type(releases.dag.get_task("approval"))
    approve = kind.execute_complete

    def approved(*args: Any, **more: Any) -> Any:
        for tag in (beside, f"{beside}.sig", f"{beside}.att"):
            put(registry, "shop", empty, tag)
        return approve(*args, **more)

    monkeypatch.setattr(kind, "execute_complete", approved)
    done = releases.release("1.1.0")
    assert done.states["before_production.verify"] == "success"
    assert done.states["verify_again"] == "failed"
    assert "found nothing, demanded signature" in done.sentence
    assert not releases.production.writes


def test_the_way_back_asks_for_no_attestation_and_a_person_is_told(  # R8
    releases: Releases, registry: Distribution, pushed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    attested(registry, pushed["1.1.0"])
    releases.outside.bad = 0.5
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    history = HistoryHook().history()
    detail = history.release(history.releases("shop")[0].id)
    assert releases.production.tracks["stable"].digest == pushed["1.0.0"]
    [told] = [it for it in detail.events if it.kind == "not_attested"]
    assert told.sentence.startswith(
        "1.0.0 serves by its recorded digest, and is not attested as production demands it:"
    )
    report = next(it.content for it in history.attachments(detail.id) if it.name == "incident.md")
    assert "1.0.0 serves by its recorded digest" in report


def test_an_older_version_as_a_release_is_gated_like_any_other(
    releases: Releases, registry: Distribution, pushed: dict[str, str]
) -> None:
    attested(registry, pushed["1.1.0"])
    assert releases.release("1.1.0").outcome == "released"
    done = releases.release("1.0.0")
    assert done.outcome == "failed"
    assert "demanded signature" in done.sentence


def test_a_person_goes_back_to_what_was_never_attested_and_is_told(  # R8
    releases: Releases, registry: Distribution, pushed: dict[str, str]
) -> None:
    attested(registry, pushed["1.1.0"])
    assert releases.release("1.1.0").outcome == "released"
    done = releases.roll_back(app="shop", reason="prices are wrong")
    assert (done.state, done.outcome) == ("success", "rolled_back"), done.sentence
    assert releases.production.tracks["stable"].digest == pushed["1.0.0"]
    history = HistoryHook().history()
    events = history.release(history.releases("shop")[0].id).events
    [told] = [it.sentence for it in events if it.kind == "not_attested"]
    assert "found nothing, demanded signature." in told
