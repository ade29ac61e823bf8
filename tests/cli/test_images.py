"""``release images prune``, with a real registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app
from release_pipelines.core.model.artifact import Artifact
from tests import registries
from tests.spec.conftest import BASE

run = CliRunner().invoke
SBOM = "application/vnd.cyclonedx+json"


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("apps", "config"):
        (tmp_path / "include" / name).mkdir(parents=True)
        monkeypatch.setenv(f"RELEASE_PIPELINES_{name.upper()}", str(tmp_path / "include" / name))
    (tmp_path / "include" / "apps" / "shop.yaml").write_text("name: shop\nstrategy: rolling\n")
    (tmp_path / "include" / "config" / "base.yaml").write_text(BASE)
    for name in ("staging", "production"):
        connections = "connections: {registry: our_images}\n"
        (tmp_path / "include" / "config" / f"{name}.yaml").write_text(f"name: {name}\n{connections}")


def test_old_images_go_with_what_belongs_to_them_and_nothing_of_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registries.plain(tmp_path) as address:
        registry = registries.at(address)
        monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
        project(tmp_path, monkeypatch)
        monkeypatch.setenv("AIRFLOW_CONN_OUR_IMAGES", json.dumps({"host": address, "extra": {"insecure": True}}))
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"host": "registry.example"}))
        history = open_history(f"sqlite:///{tmp_path}/history.db")
        tops, attached, same = {}, {}, registries.single(registry, "shop", "linux/arm64")
        for version in ("1.0.0", "1.1.0", "1.2.0"):
            amd64 = registries.single(registry, "shop", "linux/amd64", version)
            beside = registries.provenance(registry, "shop", amd64["digest"], version)
            tops[version] = registries.index(registry, "shop", [amd64, same, beside], version)
            sbom = registry.attach("shop", tops[version], SBOM, SBOM, version.encode(), {})
            signature = registry.attach("shop", sbom, "application/vnd.example.signature", SBOM, b"signed", {})
            attached[version] = [amd64["digest"], beside["digest"], sbom, signature]
            release = f"release_shop/{version}#0"
            history.begin(release, "shop", "release_shop", version, version, "alice")
            it = Artifact(app="shop", version=version, image=f"{address}/shop", digest=tops[version])
            history.record_artifact(release, it)
            history.promoted(release)
            history.finish(release, "released", f"Released {version}.")

        dry = run(app, ["images", "prune", "shop", "--keep", "2", "--json"])
        assert dry.exit_code == 0, dry.output
        said = json.loads(dry.stdout)
        assert said["deleted"] is False
        (repository,) = said["repositories"]
        (going,) = repository["goes"]
        assert going["tags"] == ["1.0.0"]
        assert set(attached["1.0.0"]) < set(going["digests"])
        assert same["digest"] not in going["digests"]
        assert registry.digest_of("shop", "1.0.0") == tops["1.0.0"]
        assert "Nothing was changed: --delete does it." in run(app, ["images", "prune", "shop", "--keep", "2"]).stdout

        done = run(app, ["images", "prune", "shop", "--keep", "2", "--delete"])
        assert done.exit_code == 0, done.output
        assert registry.digest_of("shop", "1.0.0") is None
        for digest in (tops["1.0.0"], *attached["1.0.0"]):
            assert registry.digest_of("shop", digest) is None
        for version in ("1.1.0", "1.2.0"):
            image = registry.image("shop", tops[version])
            assert image
            assert registry.lacks(image) == []
            (sbom,) = registry.referrers("shop", tops[version])
            assert len(registry.referrers("shop", sbom.digest)) == 1
        assert (
            json.loads(run(app, ["images", "prune", "shop", "--keep", "2", "--json"]).stdout)["repositories"][0]["goes"]
            == []
        )


def test_what_is_asked_wrongly_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIRFLOW_CONN_OUR_IMAGES", raising=False)
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/one#0", "shop", "release_shop", "one", "1.2.0", "ann")
    said = run(app, ["images", "prune", "cart", "--registry", "registry://registry.example"])
    assert said.exit_code == 1
    assert "No app cart is known" in said.output
    said = run(app, ["images", "prune", "shop", "--registry", "nonsense"])
    assert "--registry cannot be read: a connection as JSON or as a URI is expected." in said.output
    said = run(app, ["images", "prune", "shop"])
    assert (said.exit_code, "Without its file --registry is expected." in said.output) == (1, True)
    project(tmp_path, monkeypatch)
    said = run(app, ["images", "prune", "shop"])
    assert said.exit_code == 1
    assert "The registry of shop is the connection `our_images`: AIRFLOW_CONN_OUR_IMAGES is expected" in said.output
