"""Signing, attesting and verifying operators alone, against a real registry and a real Git repository."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.adapters.history import open_history
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.signing.beside import Beside
from release_pipelines.core.attestations.looking import look_at
from release_pipelines.features.attestation.operators import AttestSbomOperator
from release_pipelines.operators import (
    AttestOperator,
    AttestProvenanceOperator,
    SignImageOperator,
    VerifyImageOperator,
)
from tests.features.helpers import Ti
from tests.registries import at, plain
from tests.repositories import commit
from tests.signing import BUILDER, key, pem, two_platforms

PEM = pem()
KEY = {"connection": "signing"}
TRUSTED = [{"name": "release", "connection": "signing"}]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distribution]:
    (folder := tmp_path / "registry").mkdir()
    monkeypatch.setattr(Distribution, "settles", 0.05)
    monkeypatch.setenv("AIRFLOW_CONN_SIGNING", json.dumps({"conn_type": "generic", "password": PEM}))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    with plain(folder) as address:
        connection = {"conn_type": "registry", "host": address, "extra": {"insecure": True}}
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
        yield at(address)


@pytest.fixture
def image(registry: Distribution) -> dict[str, Any]:
    digest, _, _ = two_platforms(registry, "shop")
    return {"app": "shop", "version": "1.1.0", "image": "shop", "digest": digest}


def done(operator: Any) -> Any:
    return operator.execute({"ti": Ti()})


def refused(operator: Any) -> tuple[str, Ti]:
    ti = Ti()
    with pytest.raises(AirflowException) as said:
        operator.execute({"ti": ti})
    return str(said.value), ti


def verifying(image: dict[str, Any], keys: Any = TRUSTED, **demand: Any) -> VerifyImageOperator:
    return VerifyImageOperator(task_id="verify", artifact=image, demand={"keys": keys, **demand})


def test_an_image_is_signed_attested_and_verified(
    registry: Distribution, image: dict[str, Any], tmp_path: Path
) -> None:
    pinned = f"FROM --platform=$BUILDPLATFORM python:3.12-slim@sha256:{'d' * 64} AS build\nFROM scratch\n"
    made = commit(tmp_path / "shop", {"Dockerfile": pinned})
    sentence, ti = refused(verifying(image))
    assert sentence == f"{image['digest']}: found nothing, demanded signature."
    assert [it["why"] for it in ti.pushed["refusals"]] == ["missing"]
    assert ti.pushed["reason"] == sentence
    assert done(SignImageOperator(task_id="sign", artifact=image, key=KEY))["sentence"] == (
        f"{image['digest']} has a new signature."
    )
    assert "the same signature" in done(SignImageOperator(task_id="sign", artifact=image, key=KEY))["sentence"]
    operator = AttestProvenanceOperator(
        task_id="attest",
        artifact=image,
        key=KEY,
        builder=BUILDER,
        repository=str(tmp_path / "shop"),
        commit=made,
        ref="refs/tags/1.1.0",
        args={"LEVEL": "{{ 7 }}"},
        target="build",
    )
    assert done(operator)["digest"] == image["digest"]
    demand = {"provenance": {"builders": [BUILDER], "repository": str(tmp_path / "shop"), "refs": ["refs/tags/*"]}}
    came = done(verifying({**image, "commit": made}, **demand))
    assert came["signers"] == ["release"]
    assert "Built from commit" in refused(verifying({**image, "commit": "c" * 40}, **demand))[0]
    [said] = provenance_of(registry, image)
    definition = said["buildDefinition"]
    assert definition["externalParameters"] == {
        "source": {"repository": str(tmp_path / "shop"), "commit": made, "ref": "refs/tags/1.1.0"},
        "context": ".",
        "dockerfile": "Dockerfile",
        "target": "build",
        "args": {"LEVEL": "{{ 7 }}"},
    }
    assert definition["resolvedDependencies"][1] == {"uri": "oci://python:3.12-slim", "digest": {"sha256": "d" * 64}}


def provenance_of(registry: Distribution, image: dict[str, Any]) -> list[Any]:
    beside = Beside(registry, "shop")
    found = [look_at(it, {}) for it in beside.documents(beside.image(image["digest"])) if it.form == "bundle"]
    return [it.predicate for it in found if it.kind == "slsa provenance v1"]


def test_a_login_in_a_repository_is_attested_to_nobody(
    registry: Distribution, image: dict[str, Any], tmp_path: Path
) -> None:
    from release_pipelines.core.attestations.provenance import Build, predicate

    said = predicate(Build(builder=BUILDER, repository="https://bot:hunter2@git.example.org/shop.git", commit="a" * 40))
    assert "hunter2" not in json.dumps(said)


def test_anything_can_be_attested(registry: Distribution, image: dict[str, Any]) -> None:
    kind = "https://example.org/review/v1"
    done(AttestOperator(task_id="attest", artifact=image, key=KEY, predicate_type=kind, predicate='{"by": "carol"}'))
    assert refused(verifying(image))[0] == f"{image['digest']}: found {kind}, demanded signature."
    operator = AttestOperator(task_id="attest", artifact=image, key=KEY, predicate_type=kind, predicate="carol")
    assert "its predicate is no JSON that can be read" in refused(operator)[0]
    with pytest.raises(ValueError, match="A predicate's type is a URI"):
        AttestOperator(task_id="attest", artifact=image, key=KEY, predicate_type="review", predicate={})


def test_the_bills_of_materials_of_a_release_are_attested_of_their_platforms(
    registry: Distribution, image: dict[str, Any], tmp_path: Path
) -> None:
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    release = "release_shop/r#0"
    history.begin(release, "shop", "release_shop", "r", "1.1.0", "alice")

    def attested() -> str:
        return str(done(AttestSbomOperator(task_id="sbom", artifact=image, key=KEY, release=release))["sentence"])

    bill = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6"})
    assert attested() == ""
    history.attach(release, "sbom-linux-amd64.cdx.json", "application/json", bill)
    attested()
    sentence, _ = refused(verifying(image, signature=False, sbom="cyclonedx"))
    assert sentence.startswith("linux/arm64 sha256:")
    assert sentence.endswith("has no cyclonedx, demanded of every platform.")
    history.attach(release, "sbom-linux-arm64.cdx.json", "application/json", bill)
    assert "the same cyclonedx" in attested()
    done(verifying(image, signature=False, sbom="cyclonedx"))
    history.attach(release, "sbom-linux-riscv64.cdx.json", "application/json", bill)
    operator = AttestSbomOperator(task_id="sbom", artifact=image, key=KEY, release=release)
    assert "has no image for linux-riscv64" in refused(operator)[0]


def test_a_key_that_is_retired_verifies_what_the_history_knows_from_its_time(  # R8
    registry: Distribution, image: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/r#0", "shop", "release_shop", "r", "1.1.0", "alice")
    noted = SignImageOperator(task_id="sign", artifact=image, key=KEY, release="release_shop/r#0")
    other = {**image, "digest": two_platforms(registry, "shop", "another")[0]}
    done(noted)
    done(SignImageOperator(task_id="sign", artifact=other, key=KEY))  # behind the history's back
    retired = [{**TRUSTED[0], "signs_to": time.strftime("%Y-%m-%d", time.gmtime())}]
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 5 * 86400)

    def verify(artifact: dict[str, Any]) -> VerifyImageOperator:
        return VerifyImageOperator(
            task_id="verify", artifact=artifact, demand={"keys": retired}, release="release_shop/r#0"
        )

    assert done(verify(image))["signers"] == ["release"]
    assert "which was retired on" in refused(verify(other))[0]


def test_what_cannot_be_looked_at_is_no_pass(
    registry: Distribution, image: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done(SignImageOperator(task_id="sign", artifact=image, key=KEY))
    assert "is gone from the registry" in refused(verifying({**image, "digest": "sha256:" + "0" * 64}))[0]
    assert refused(verifying(image, keys=[{"name": "other", "variable": "gone"}]))[0] == (
        "Airflow has no variable gone, which should hold a key."
    )
    monkeypatch.setenv("AIRFLOW_VAR_OTHER", "hunter2")
    sentence, _ = refused(verifying(image, keys=[{"name": "other", "variable": "other"}]))
    assert "variable other" in sentence
    assert "hunter2" not in sentence
    down = {"conn_type": "registry", "host": "127.0.0.1:1", "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(down))
    with pytest.raises(AirflowException) as said:
        done(verifying(image))
    assert not isinstance(said.value, AirflowFailException)  # tried again
    assert key().public.pem not in str(said.value)
