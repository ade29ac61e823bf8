"""cosign accepts what we sign, and we accept what cosign signs: two versions of it, and registries with and without referrers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.signing.attesting import attest, sign, verify
from release_pipelines.adapters.signing.keys import public_key
from release_pipelines.core.attestations.statement import CYCLONEDX, PROVENANCE
from tests.registries import at, plain, with_referrers
from tests.signing import (
    BUILDER,
    COMMIT,
    COSIGNS,
    REPOSITORY,
    Cosign,
    asked,
    demand,
    key,
    provenance,
    trusted,
    two_platforms,
)

SBOM = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []}


@pytest.fixture(params=["plain", "with_referrers"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A registry without, and one with the referrers API."""
    opened = plain(tmp_path) if request.param == "plain" else with_referrers()
    with opened as found:
        yield found


@pytest.fixture(params=COSIGNS)
def cosign(request: pytest.FixtureRequest, tmp_path: Path) -> Cosign:
    """cosign in a folder of its own."""
    (folder := tmp_path / "cosign").mkdir()
    return Cosign(request.param, folder)


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_cosign_accepts_ours(address: str, cosign: Cosign, kind: str) -> None:
    registry, ours = at(address), key(kind)
    digest, _, _ = two_platforms(registry, "team/shop")
    image, public = f"{address}/team/shop@{digest}", ours.public.pem
    assert cosign.verify(image, public).returncode != 0
    assert sign(registry, "team/shop", digest, ours).added
    assert attest(registry, "team/shop", digest, ours, PROVENANCE, provenance()).added
    assert attest(registry, "team/shop", digest, ours, CYCLONEDX, SBOM).added
    for made in (
        cosign.verify(image, public),
        cosign.verify_attestation(image, "slsaprovenance1", public),
        cosign.verify_attestation(image, "cyclonedx", public),
    ):
        assert made.returncode == 0, made.stderr
    assert cosign.verify(image, key(kind).public.pem).returncode != 0
    assert cosign.verify_attestation(image, "spdxjson", public).returncode != 0


def test_ours_accepts_cosigns(address: str, cosign: Cosign) -> None:
    registry = at(address)
    digest, _, _ = two_platforms(registry, "team/shop")
    image = f"{address}/team/shop@{digest}"
    keys = [{"name": "theirs", "public_key": cosign.public}]
    demanded = demand(
        keys, provenance={"builders": [BUILDER], "repository": REPOSITORY, "refs": ["main"]}, sbom="cyclonedx"
    )
    public = {"theirs": public_key(cosign.public.encode(), "cosign")}

    def came() -> list[str]:
        made = verify(registry, "team/shop", digest, demanded, public, asked(commit=COMMIT))
        return [it.why for it in made.refusals]

    assert came() == ["missing", "missing", "missing"]
    cosign.attest(image, "slsaprovenance1", provenance())
    assert came() == ["kind", "kind"]  # an attestation is no signature of the image
    cosign.sign(image)
    cosign.attest(image, "cyclonedx", SBOM)
    assert came() == []
    cosign.sign(image)
    assert came() == []


def test_what_both_add_is_kept(address: str, cosign: Cosign) -> None:
    registry, ours = at(address), key()
    digest, _, _ = two_platforms(registry, "team/shop")
    image = f"{address}/team/shop@{digest}"
    cosign.sign(image)
    sign(registry, "team/shop", digest, ours)
    cosign.attest(image, "cyclonedx", SBOM)
    attest(registry, "team/shop", digest, ours, PROVENANCE, provenance())
    theirs: dict[str, Any] = {"name": "theirs", "public_key": cosign.public}
    for keys, more in ((trusted(ours=ours), {"provenance": {}}), ([theirs], {"sbom": "any"})):
        public = {it["name"]: public_key(it["public_key"].encode(), "a test") for it in keys}
        assert verify(registry, "team/shop", digest, demand(keys, **more), public, asked()).refusals == []
    assert cosign.verify(image, cosign.public).returncode == 0
    assert cosign.verify(image, ours.public.pem).returncode == 0
    assert cosign.verify_attestation(image, "slsaprovenance1", ours.public.pem).returncode == 0
    assert cosign.verify_attestation(image, "cyclonedx", cosign.public).returncode == 0


def test_what_is_said_already_is_not_said_again(address: str) -> None:
    registry, ours = at(address), key()
    digest, _, _ = two_platforms(registry, "team/shop")
    assert [sign(registry, "team/shop", digest, ours).added for _ in range(2)] == [True, False]
    said = [attest(registry, "team/shop", digest, ours, PROVENANCE, provenance()).added for _ in range(2)]
    assert said == [True, False]
    assert attest(registry, "team/shop", digest, ours, PROVENANCE, provenance(builder="urn:another")).added
    assert len(registry.referrers("team/shop", digest)) == 3


def test_other_ways_of_cosign_2_are_accepted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures as referrers, attestations as bundles, and signatures of the index and of each platform."""
    monkeypatch.setenv("COSIGN_EXPERIMENTAL", "1")
    cosign = Cosign("cosign2", tmp_path)
    public = {"theirs": public_key(cosign.public.encode(), "cosign")}
    keys = [{"name": "theirs", "public_key": cosign.public}]
    with with_referrers() as address:
        registry = at(address)
        digest, _, _ = two_platforms(registry, "team/shop")
        image = f"{address}/team/shop@{digest}"
        offline = ("--yes", "--key", "cosign.key", "--allow-http-registry", "--tlog-upload=false")
        (tmp_path / "predicate.json").write_text(json.dumps(provenance()))
        said = ("--new-bundle-format", "--type", "slsaprovenance1", "--predicate", "predicate.json")
        assert cosign.run("sign", *offline, "--registry-referrers-mode=oci-1-1", image).returncode == 0
        assert cosign.run("attest", *offline, *said, image).returncode == 0
        assert registry.tags("team/shop") == []
        came = verify(registry, "team/shop", digest, demand(keys, provenance={}), public, asked(commit=COMMIT))
        assert came.refusals == []
        other, _, _ = two_platforms(registry, "team/other", "other")
        assert cosign.run("sign", *offline, "--recursive", f"{address}/team/other@{other}").returncode == 0
        assert verify(registry, "team/other", other, demand(keys), public, asked()).refusals == []
