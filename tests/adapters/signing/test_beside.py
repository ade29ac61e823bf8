"""What hangs on an image in registries that lose, refuse, swap or do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.signing.attesting import attest, sign, verify
from release_pipelines.adapters.signing.beside import Beside, tag_of
from release_pipelines.core.attestations.statement import CYCLONEDX, PROVENANCE
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from tests.registries import Answers, at, delete, plain, serving, with_referrers
from tests.signing import asked, demand, key, provenance, trusted, two_platforms

OURS = key()
KEYS = {"ours": OURS.public}
SIGNED = demand(trusted(ours=OURS), provenance={})


@pytest.fixture(params=["plain", "with_referrers"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    opened = plain(tmp_path) if request.param == "plain" else with_referrers()
    with opened as found:
        yield found


class Immutable(Answers):
    """Tags are written once."""

    written: dict[str, bytes]

    def instead(self) -> tuple[int, dict[str, str], bytes] | None:
        if self.command != "PUT" or "/manifests/sha256:" in self.path or "/manifests/" not in self.path:
            return None
        if self.written.setdefault(self.path, self.sent) == self.sent:
            return None
        return 400, {}, b'{"errors": [{"code": "TAG_INVALID", "message": "The image tag is immutable."}]}'


def both(registry: Distribution, digest: str) -> list[str]:
    """Sign an image, and attest two things of it; why cosign 2 does not see them."""
    done = [
        attest(registry, "shop", digest, OURS, PROVENANCE, provenance()),
        attest(registry, "shop", digest, OURS, CYCLONEDX, {"bomFormat": "CycloneDX"}),
        sign(registry, "shop", digest, OURS),
    ]
    return [it.unseen for it in done]


def test_a_tag_of_cosign_2_that_cannot_be_changed_takes_nothing_from_the_bundles(tmp_path: Path) -> None:
    with with_referrers() as address:
        digest, _, _ = two_platforms(at(address), "shop")
        behind = type("Behind", (Immutable,), {"behind": address, "written": {}})
        with serving(behind) as front:
            unseen = both(at(front), digest)
            assert [bool(it) for it in unseen] == [False, True, False]
            assert "exclude `sha256-*` from the immutability" in unseen[1]
            assert verify(at(front), "shop", digest, SIGNED, KEYS, asked()).refusals == []
            listed = demand(trusted(ours=OURS), sbom="cyclonedx")
            assert verify(at(front), "shop", digest, listed, KEYS, asked()).refusals == []


def test_without_referrers_a_tag_that_cannot_be_changed_fails_and_says_what_to_do(tmp_path: Path) -> None:
    with plain(tmp_path) as address:
        digest, _, _ = two_platforms(at(address), "shop")
        behind = type("Behind", (Immutable,), {"behind": address, "written": {}})
        with serving(behind) as front, pytest.raises(PlatformError, match=r"exclude `sha256-\*` from the immutability"):
            both(at(front), digest)


def test_a_signature_that_is_gone_is_missing_and_an_image_that_is_gone_is_an_error(address: str) -> None:
    registry = at(address)
    digest, amd64, _ = two_platforms(registry, "shop")
    both(registry, digest)
    assert verify(registry, "shop", digest, SIGNED, KEYS, asked()).refusals == []
    delete(address, "shop", "manifests", digest)
    with pytest.raises(PlatformError, match="is gone from the registry"):
        verify(registry, "shop", digest, SIGNED, KEYS, asked())
    assert [it.why for it in verify(registry, "shop", amd64, SIGNED, KEYS, asked()).refusals] == ["missing", "missing"]


def test_a_bundle_whose_content_is_gone_is_unreadable_and_never_a_pass(address: str) -> None:
    registry = at(address)
    digest, _, _ = two_platforms(registry, "shop")
    sign(registry, "shop", digest, OURS)
    beside = Beside(registry, "shop")
    for it in (*registry.referrers("shop", digest), None):
        manifest = it.digest if it else registry.digest_of("shop", tag_of(digest, "sig"))
        assert manifest
        [layer] = beside._layers_of(manifest)
        delete(address, "shop", "blobs", layer["digest"])
    came = verify(at(address), "shop", digest, demand(trusted(ours=OURS)), KEYS, asked())
    assert {it.why for it in came.refusals} == {"unreadable"}


@pytest.mark.parametrize("status", [401, 503])
def test_a_registry_that_does_not_say_what_is_there_is_no_registry_without_signatures(
    address: str, status: int
) -> None:
    digest, _, _ = two_platforms(at(address), "shop")

    class Refuses(Answers):
        behind = address

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            return (status, {}, b"") if "/referrers/" in self.path else None

    with serving(Refuses) as front, pytest.raises(PlatformError) as said:
        verify(at(front), "shop", digest, SIGNED, KEYS, asked())
    assert isinstance(said.value, PlatformUnavailable) == (status == 503)


def test_what_is_changed_on_its_way_is_refused(address: str) -> None:
    digest, _, _ = two_platforms(at(address), "shop")
    both(at(address), digest)

    class Swaps(Answers):
        behind = address

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            status, headers, body = self.forwarded()
            return status, headers, body.replace(b"dsseEnvelope", b"dsseenvelope") if "/blobs/" in self.path else body

    with serving(Swaps) as front:
        came = verify(
            at(front), "shop", digest, demand(trusted(ours=OURS), signature=False, provenance={}), KEYS, asked()
        )
        # What cosign 2 reads is untouched, and counts.
        assert came.refusals == []

    class All(Swaps):
        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            status, headers, body = self.forwarded()
            return status, headers, body[:-1] + b"]" if "/blobs/" in self.path else body

    with serving(All) as front:
        came = verify(at(front), "shop", digest, SIGNED, KEYS, asked())
        assert {it.why for it in came.refusals} == {"unreadable"}


def test_a_registry_that_cannot_tell_is_a_sentence() -> None:
    class Tells:
        host = "registry.example"

    other: Any = Tells()
    with pytest.raises(PlatformError, match=r"registry\.example cannot tell what is attached to an image"):
        verify(other, "shop", "sha256:" + "a" * 64, SIGNED, KEYS, asked())
