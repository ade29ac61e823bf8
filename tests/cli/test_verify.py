"""`release verify`: the decision of a release, its sentences and its exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from release_pipelines.adapters.history import open_history
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.signing.attesting import attest, sign
from release_pipelines.cli import app
from release_pipelines.core.attestations.statement import PROVENANCE
from release_pipelines.core.model.artifact import Artifact
from tests.cli.test_steering import PRODUCTION
from tests.registries import at, plain
from tests.signing import COMMIT, OTHER_COMMIT, key, pem, provenance, trusted, two_platforms

run = CliRunner().invoke
KEY = key()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Distribution]:
    (folder := tmp_path / "registry").mkdir()
    with plain(folder) as address:
        yield at(address)


@pytest.fixture
def digest(registry: Distribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of shop 1.1.0, whose last environment demands a signature and provenance."""
    made, _, _ = two_platforms(registry, "shop")
    monkeypatch.setenv("AIRFLOW_CONN_R", at_address(registry.host))
    url = f"sqlite:///{tmp_path}/history.db"
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", url)
    history = open_history(url)
    history.begin("release_shop/r#0", "shop", "release_shop", "r", "1.1.0", "alice")
    image = f"{registry.host}/shop"
    history.record_artifact(
        "release_shop/r#0", Artifact(app="shop", version="1.1.0", image=image, digest=made, commit=COMMIT)
    )
    (tmp_path / "include" / "apps").mkdir(parents=True)
    (tmp_path / "include" / "config").mkdir()
    (tmp_path / "include" / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\n")
    monkeypatch.chdir(tmp_path)
    demands(tmp_path, keys=trusted(K1=KEY), provenance={})
    return made


def at_address(host: str) -> str:
    return json.dumps({"conn_type": "registry", "host": host, "extra": {"insecure": True}})


def demands(folder: Path, **verify: Any) -> None:
    content = yaml.safe_load(PRODUCTION) | ({"verify": verify} if verify else {})
    (folder / "include" / "config" / "production.yaml").write_text(yaml.safe_dump(content))


def came(*more: str) -> tuple[int, str, str]:
    done = run(app, ["verify", "shop", "1.1.0", *more])
    return done.exit_code, done.stdout, done.stderr


def test_what_is_missing_and_wrong_is_said_and_ends_with_1(registry: Distribution, digest: str) -> None:
    code, said, _ = came()
    assert code == 1
    assert said.splitlines() == [
        "shop 1.1.0 is not attested as production demands it:",
        f"  {digest}: found nothing, demanded signature.",
        f"  {digest}: found nothing, demanded slsa provenance v1.",
    ]
    sign(registry, "shop", digest, KEY)
    attest(registry, "shop", digest, KEY, PROVENANCE, provenance(commit=OTHER_COMMIT))
    code, said, _ = came("--json")
    told = json.loads(said)
    assert (code, told["verified"], told["digest"]) == (1, False, digest)
    assert [it["why"] for it in told["refusals"]] == ["source"]
    assert f"commit {OTHER_COMMIT}, expected {COMMIT}" in told["refusals"][0]["sentence"]


def test_what_is_there_is_verified(registry: Distribution, digest: str, tmp_path: Path, monkeypatch: Any) -> None:
    sign(registry, "shop", digest, KEY)
    attest(registry, "shop", digest, KEY, PROVENANCE, provenance())
    assert came() == (0, f"shop 1.1.0 in production: {digest} is attested as demanded, signed by K1.\n", "")
    assert json.loads(came("--json")[1])["verified"] is True
    demands(tmp_path, keys=[{"name": "K1", "variable": "signing"}])
    assert came()[2] == (
        "The key `K1` is in Airflow: AIRFLOW_VAR_SIGNING is expected here, or `public_key` in the file.\n"
    )
    monkeypatch.setenv("AIRFLOW_VAR_SIGNING", KEY.public.pem)
    assert came()[0] == 0
    monkeypatch.setenv("AIRFLOW_VAR_SIGNING", pem())
    assert came()[0] == 1


def test_what_nobody_can_verify_is_no_success(
    registry: Distribution, digest: str, tmp_path: Path, monkeypatch: Any
) -> None:
    sign(registry, "shop", digest, KEY)
    demands(tmp_path)
    assert came()[::2] == (
        1,
        "production.yaml demands nothing: `verify` is expected there, with the keys that count.\n",
    )
    demands(tmp_path, keys=trusted(K1=KEY))
    assert came("--environment", "staging")[2].startswith("--environment: found `staging`, expected one of production")
    done = run(app, ["verify", "shop", "9.9.9"])
    assert (done.exit_code, done.stdout) == (1, "")
    monkeypatch.setenv("AIRFLOW_CONN_R", at_address("127.0.0.1:1"))
    code, said, why = came()
    assert (code, said) == (1, "")
    assert "does not answer" in why
