"""What a digest is made of, what is gone of it, and what is attached to it: asked from real registries, with and without referrers."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.registries._manifests import CONFIGS, MANIFEST, digest_of
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.image import same_images
from release_pipelines.core.ports.registry import Images
from tests import registries
from tests.adapters.history.conftest import digest

SBOM, SLSA, SIGNATURE = (
    "application/vnd.cyclonedx+json",
    "application/vnd.in-toto+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
)


@pytest.fixture(scope="module", params=["without_referrers", "with_referrers"])
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ExitStack() as stack:
        server = (
            registries.plain(tmp_path_factory.mktemp("registry"))
            if request.param == "without_referrers"
            else registries.with_referrers()
        )
        yield stack.enter_context(server)


@pytest.fixture(scope="module")
def without_referrers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.plain(tmp_path_factory.mktemp("registry")) as address:
        yield address


def several(registry: Any, name: str, made: str = "") -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]:
    amd64 = registries.single(registry, name, "linux/amd64")
    arm64 = registries.single(registry, name, "linux/arm64/v8")
    beside = registries.provenance(registry, name, amd64["digest"], made)
    return registries.index(registry, name, [amd64, arm64, beside]), amd64, arm64, beside


def test_an_index_is_the_images_of_its_platforms_and_what_the_builder_put_beside_them(address: str) -> None:
    registry = registries.at(address)
    assert isinstance(registry, Images)
    top, amd64, arm64, beside = several(registry, "team/shop")
    found = registry.image("team/shop", top)
    assert found is not None
    assert found.repository == f"{address}/team/shop"
    assert [(it.platform, it.digest) for it in found.platforms] == [
        ("linux/amd64", amd64["digest"]),
        ("linux/arm64", arm64["digest"]),
    ]
    assert [it.digest for it in found.attestations] == [beside["digest"]]
    assert registry.image(f"{address}/team/shop", top) == found
    assert registry.image("team/shop", digest("0")) is None
    assert registry.image("team/none", digest("0")) is None


def test_a_rebuild_with_other_provenance_has_the_same_images_and_another_platform_has_not(address: str) -> None:
    registry = registries.at(address)
    amd64 = registries.single(registry, "shop", "linux/amd64")
    arm64 = registries.single(registry, "shop", "linux/arm64")
    first, second = (registries.provenance(registry, "shop", amd64["digest"], it) for it in ("10:00", "10:05"))
    digests = [registries.index(registry, "shop", it) for it in ([amd64, first], [amd64, second], [amd64, arm64])]
    assert len(set(digests)) == 3
    one, two, three = (registry.image("shop", it) for it in digests)
    assert one
    assert two
    assert three
    assert same_images(one, two)
    assert not same_images(one, three)
    alone = registry.image("shop", amd64["digest"])
    assert alone
    assert same_images(one, alone)


def test_an_image_alone_has_the_platform_of_its_configuration(address: str) -> None:
    registry = registries.at(address)
    entry = registries.single(registry, "shop", "linux/arm/v7")
    found = registry.image("shop", entry["digest"])
    assert found is not None
    assert [(it.platform, it.digest, it.size) for it in found.platforms] == [
        ("linux/arm/v7", entry["digest"], entry["size"])
    ]
    untold = registries.index(registry, "shop", [{it: entry[it] for it in ("mediaType", "digest", "size")}])
    within = registry.image("shop", untold)
    assert within
    assert [it.platform for it in within.platforms] == ["linux/arm/v7"]


def test_what_could_be_read_as_an_image_and_as_an_index_is_refused(without_referrers: str) -> None:
    class Both(registries.Answers):
        def instead(self) -> tuple[int, dict[str, str], bytes]:
            return 200, {"Content-Type": MANIFEST}, BOTH

    with (
        registries.serving(Both) as address,
        pytest.raises(PlatformError, match="neither the manifest of one image nor an index"),
    ):
        registries.at(address).image("shop", digest_of(BOTH))


BOTH = json.dumps({"schemaVersion": 2, "manifests": [], "config": {}, "layers": []}).encode()


def test_a_child_that_a_cleaner_took_away_is_named_though_the_index_is_there(without_referrers: str) -> None:
    registry = registries.at(without_referrers)
    name = "cleaned/shop"
    top, amd64, _, beside = several(registry, name)
    whole = registry.image(name, top)
    assert whole
    assert registry.lacks(whole) == []
    registries.delete(without_referrers, name, "manifests", beside["digest"])
    assert registry.lacks(whole) == []  # no image
    registries.delete(without_referrers, name, "manifests", amd64["digest"])
    again = registry.image(name, top)
    assert again == whole
    assert registry.lacks(again) == [f"linux/amd64 {amd64['digest']}"]


def test_configuration_and_layers_that_are_gone_are_named_and_so_is_the_index(without_referrers: str) -> None:
    registry = registries.at(without_referrers)
    name = "half/shop"
    entry = registries.single(registry, name, "linux/amd64", "of half")
    top = registries.index(registry, name, [entry])
    whole = registry.image(name, top)
    assert whole
    document = json.loads(registry.read(name, entry["digest"]))
    layer, config = document["layers"][0]["digest"], document["config"]["digest"]
    registries.delete(without_referrers, name, "blobs", layer)
    assert registry.lacks(whole) == [f"linux/amd64 layer {layer}"]
    registries.delete(without_referrers, name, "blobs", config)
    registries.delete(without_referrers, name, "manifests", top)
    assert registry.lacks(whole) == [
        f"index {top}",
        f"linux/amd64 configuration {config}",
        f"linux/amd64 layer {layer}",
    ]


def test_a_platforms_image_is_fetched_as_an_oci_layout(address: str, tmp_path: Path) -> None:
    registry = registries.at(address)
    top, amd64, *_ = several(registry, "shop")
    registry.fetch("shop", amd64["digest"], tmp_path / "amd64")
    assert json.loads((tmp_path / "amd64/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads((tmp_path / "amd64/index.json").read_text())["manifests"]
    assert (entry["digest"], entry["mediaType"], entry["size"]) == (amd64["digest"], MANIFEST, amd64["size"])
    blobs = {f"sha256:{it.name}": it.read_bytes() for it in (tmp_path / "amd64/blobs/sha256").iterdir()}
    assert all(digest_of(content) == name for name, content in blobs.items())
    document = json.loads(blobs[amd64["digest"]])
    assert {document["config"]["digest"], document["layers"][0]["digest"], amd64["digest"]} == set(blobs)
    with pytest.raises(PlatformError, match="an index of several images: the digest of one platform is expected"):
        registry.fetch("shop", top, tmp_path / "top")


def test_bytes_that_are_not_those_of_the_digest_are_never_kept(without_referrers: str, tmp_path: Path) -> None:
    entry = registries.single(registries.at(without_referrers), "shop", "linux/amd64")

    class Swapped(registries.Answers):
        behind = without_referrers
        what = "/blobs/"

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            if self.what not in self.path:
                return None
            status, headers, body = self.forwarded()
            return status, headers, body.replace(b"linux", b"other")

    with registries.serving(Swapped) as address:
        registry = registries.at(address)
        with pytest.raises(PlatformError, match="sends other bytes for shop@sha256:"):
            registry.fetch("shop", entry["digest"], tmp_path / "shop")
        assert not (tmp_path / "shop/index.json").exists()
        Swapped.what = "/manifests/"

        class Longer(Swapped):
            def instead(self) -> tuple[int, dict[str, str], bytes] | None:
                status, headers, body = self.forwarded()
                return status, headers, body + b" "

        with registries.serving(Longer) as other, pytest.raises(PlatformError, match="sends other bytes"):
            registries.at(other).image("shop", entry["digest"])


def test_what_is_attached_is_found_with_its_type_and_notes_and_only_once(address: str) -> None:
    registry = registries.at(address)
    entry = registries.single(registry, "attached/shop", "linux/amd64", "attached")
    assert registry.referrers("attached/shop", entry["digest"]) == []
    arguments = (
        "attached/shop",
        entry["digest"],
        SBOM,
        SBOM,
        b'{"bomFormat": "CycloneDX"}',
        {"org.example.made": "today"},
    )
    first, again = registry.attach(*arguments), registry.attach(*arguments)
    assert first == again
    (found,) = registry.referrers("attached/shop", entry["digest"])
    assert (found.digest, found.artifact_type, found.annotations) == (first, SBOM, {"org.example.made": "today"})
    manifest = json.loads(registry.read("attached/shop", found.digest))
    assert manifest["subject"]["digest"] == entry["digest"]
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert registry.read("attached/shop", manifest["layers"][0]["digest"]) == b'{"bomFormat": "CycloneDX"}'
    with pytest.raises(
        PlatformError, match=r"Nothing can be attached to attached/shop@sha256:0+: it is not in the registry"
    ):
        registry.attach("attached/shop", digest("0"), *arguments[2:])


def test_three_that_attach_at_the_same_time_are_all_found(address: str) -> None:  # threads: tasks of one worker
    entry = registries.single(registries.at(address), "parallel/shop", "linux/amd64", "parallel")

    def attach(kind: str) -> str:
        return registries.at(address).attach("parallel/shop", entry["digest"], kind, kind, kind.encode(), {})

    with ThreadPoolExecutor(3) as pool:
        attached = set(pool.map(attach, (SBOM, SLSA, SIGNATURE)))
    found = registries.at(address).referrers("parallel/shop", entry["digest"])
    assert len(found) == 3
    assert {it.digest for it in found} == attached


def attach_from_elsewhere(address: str, subject: str, kind: str) -> None:
    registry = registries.at(address)
    registry.settles = 1.0  # longer than a process of a busy machine stops between its look and its write
    registry.attach("workers/shop", subject, kind, kind, kind.encode(), {})


def test_workers_that_attach_at_the_same_time_lose_nothing(without_referrers: str) -> None:
    entry = registries.single(registries.at(without_referrers), "workers/shop", "linux/amd64", "workers")
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=attach_from_elsewhere, args=(without_referrers, entry["digest"], kind))
        for kind in (SBOM, SLSA, SIGNATURE)
    ]
    for it in workers:
        it.start()
    for it in workers:
        it.join(60)
        assert it.exitcode == 0
    found = registries.at(without_referrers).referrers("workers/shop", entry["digest"])
    assert {it.artifact_type for it in found} == {SBOM, SLSA, SIGNATURE}


def test_an_entry_that_another_writer_drops_is_written_again(without_referrers: str) -> None:
    registry = registries.at(without_referrers)
    entry = registries.single(registry, "dropped/shop", "linux/amd64", "dropped")
    registry.attach("dropped/shop", entry["digest"], SBOM, SBOM, b"sbom", {})
    before = registry.read("dropped/shop", str(registry.digest_of("dropped/shop", entry["digest"].replace(":", "-"))))

    class Drops(registries.Answers):
        """Another client wrote what it had read before our first write."""

        behind = without_referrers
        times = 1

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            if self.command == "PUT" and "/manifests/sha256-" in self.path and Drops.times:
                Drops.times -= 1
                self.sent = before
            return None

    with registries.serving(Drops) as address:
        registries.at(address).attach("dropped/shop", entry["digest"], SLSA, SLSA, b"slsa", {})
    assert Drops.times == 0
    assert {it.artifact_type for it in registry.referrers("dropped/shop", entry["digest"])} == {SBOM, SLSA}


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}, b""),
        (400, {}, b""),
        (405, {}, b""),
        (406, {}, b""),
        (200, {"Content-Type": "text/html"}, b"<html>Welcome</html>"),
        (200, {"Content-Type": "application/json"}, b'{"version": "2"}'),
    ],
    ids=["404", "400", "405", "406", "page", "other_json"],
)
def test_a_registry_that_does_not_know_referrers_is_asked_for_the_fallback_tag(
    without_referrers: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    registry, name = registries.at(without_referrers), f"fallback/{answer[0]}-{len(answer[2])}"
    entry = registries.single(registry, name, "linux/amd64", "fallback")
    attached = registry.attach(name, entry["digest"], SBOM, SBOM, b"sbom", {})

    class Unknowing(registries.Answers):
        behind = without_referrers

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            return answer if "/referrers/" in self.path else None

    with registries.serving(Unknowing) as address:
        there = registries.at(address)
        assert [it.digest for it in there.referrers(name, entry["digest"])] == [attached]
        there.attach(name, entry["digest"], SLSA, SLSA, b"slsa", {})
        assert {it.artifact_type for it in there.referrers(name, entry["digest"])} == {SBOM, SLSA}


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (401, Forbidden, r"does not let this connection read shop \(401\)"),
        (403, Forbidden, r"does not let this connection read shop \(403\)"),
        (429, PlatformUnavailable, "status 429"),
        (500, PlatformUnavailable, "status 500"),
        (503, PlatformUnavailable, "status 503"),
        (302, PlatformError, "status 302"),
    ],
)
def test_a_registry_that_does_not_answer_does_not_say_that_nothing_is_attached(
    without_referrers: str, status: int, error: type[Exception], sentence: str
) -> None:
    where = ["/referrers/", "/manifests/sha256-"]

    class Broken(registries.Answers):
        behind = without_referrers
        broken = ""

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            return (status, {}, b"") if self.broken in self.path else None

    with registries.serving(Broken) as address:
        for Broken.broken in where:  # the API, and the tag behind it
            with pytest.raises(error, match=sentence):
                registries.at(address).referrers("shop", digest("a"))


def test_a_long_list_of_referrers_is_read_to_its_end(without_referrers: str) -> None:
    def page(number: int) -> bytes:
        entry = {"mediaType": MANIFEST, "digest": digest(str(number)), "size": 5, "artifactType": SBOM}
        return json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()

    class Paged(registries.Answers):
        behind = without_referrers

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            if "/referrers/" not in self.path:
                return None
            _, _, number = self.path.partition("?page=")
            following = f"{self.path.partition('?')[0]}?page={int(number or 0) + 1}"
            link = {} if number == "2" else {"Link": f'<{following}>; rel="next"'}
            return 200, link, page(int(number or 0))

    with registries.serving(Paged) as address:
        found = registries.at(address).referrers("shop", digest("a"))
    assert [it.digest for it in found] == [digest("0"), digest("1"), digest("2")]


class Immutable(registries.Answers):
    """Takes a tag once. The answer is the one that Amazon's documentation names for its API of Docker."""

    answer = (
        400,
        "TAG_INVALID",
        "The image tag 'x' already exists and cannot be overwritten because the repository is immutable.",
    )

    def instead(self) -> tuple[int, dict[str, str], bytes] | None:
        tag = self.path.rpartition("/manifests/")[2]
        if self.command != "PUT" or "/manifests/" not in self.path or ":" in tag:
            return None
        sent, self.command, self.sent = self.sent, "GET", b""
        self.headers["Accept"] = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"
        exists = self.forwarded()[0] == 200
        self.command, self.sent = "PUT", sent
        status, code, message = self.answer
        return (status, {}, json.dumps({"errors": [{"code": code, "message": message}]}).encode()) if exists else None


@pytest.mark.parametrize(
    "answer",
    [
        Immutable.answer,
        (412, "PRECONDITION", "Failed to process request due to 'shop:x' configured as immutable."),
        (403, "DENIED", "tag is immutable"),
        (409, "TAGALREADYEXISTS", "locked"),
    ],
    ids=["400", "412", "403", "409"],
)
def test_the_second_document_beside_an_image_of_immutable_tags_says_what_to_do(
    without_referrers: str, answer: tuple[int, str, str]
) -> None:
    name = f"immutable{answer[0]}/shop"
    entry = registries.single(registries.at(without_referrers), name, "linux/amd64", name)

    class Server(Immutable):
        behind = without_referrers

    Server.answer = answer
    with registries.serving(Server) as address:
        registry = registries.at(address)
        registry.attach(name, entry["digest"], SBOM, SBOM, b"sbom", {})
        with pytest.raises(
            PlatformError,
            match=r"exclude `sha256-\*` from the immutability .* or use a registry that has the referrers API",
        ) as caught:
            registry.attach(name, entry["digest"], SLSA, SLSA, b"slsa", {})
        assert answer[2].rstrip(".") in str(caught.value)
        assert registry.attach(name, entry["digest"], SBOM, SBOM, b"sbom", {})  # it is there already
        registry.tag(name, entry["digest"], "1.0.0")
        registry.tag(name, entry["digest"], "1.0.0")
        other = registries.single(registries.at(without_referrers), name, "linux/amd64", "other")
        with pytest.raises(PlatformError, match=r"does not let the tag 1\.0\.0 of .* be changed"):
            registry.tag(name, other["digest"], "1.0.0")


def test_a_tag_moves_to_a_digest_that_is_there(address: str) -> None:
    registry = registries.at(address)
    one, two = (registries.single(registry, "moving/shop", "linux/amd64", it) for it in ("one", "two"))
    top = registries.index(registry, "moving/shop", [one])
    for it in (one["digest"], two["digest"], top):
        registry.tag("moving/shop", it, "latest")
        assert registry.digest_of("moving/shop", "latest") == it
    with pytest.raises(PlatformError, match="cannot be tagged latest: it is not in the registry"):
        registry.tag("moving/shop", digest("0"), "latest")


def test_dockers_own_media_types_are_images_too(without_referrers: str) -> None:
    registry = registries.at(without_referrers)
    config = registries.blob(registry, "docker/shop", b'{"os": "linux", "architecture": "amd64"}', CONFIGS[1])
    layer = registries.blob(registry, "docker/shop", b"layer", "application/vnd.docker.image.rootfs.diff.tar.gzip")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    entry = registries.put(
        registry, "docker/shop", {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
    )
    listed = "application/vnd.docker.distribution.manifest.list.v2+json"
    entries = [{**entry, "platform": {"os": "linux", "architecture": "amd64"}}]
    top = registries.put(registry, "docker/shop", {"schemaVersion": 2, "mediaType": listed, "manifests": entries})
    for it in (entry, top):
        found = registry.image("docker/shop", it["digest"])
        assert found
        assert (found.media_type, [(one.platform, one.digest) for one in found.platforms]) == (
            it["mediaType"],
            [("linux/amd64", entry["digest"])],
        )
        assert registry.lacks(found) == []


def test_an_image_that_says_it_is_endless_is_not_fetched(without_referrers: str, tmp_path: Path) -> None:
    registry = registries.at(without_referrers)
    config = registries.blob(registry, "endless/shop", b"{}", CONFIGS[0])
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {**config, "size": 31_000_000_000}, "layers": []}
    made = json.dumps(document).encode()

    class Claims(registries.Answers):
        behind = without_referrers

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            return (200, {"Content-Type": MANIFEST}, made) if "/manifests/" in self.path else None

    with (
        registries.serving(Claims) as address,
        pytest.raises(PlatformError, match="is larger than 30,000,000,000 bytes"),
    ):
        registries.at(address).fetch("endless/shop", digest_of(made), tmp_path)


def test_a_layer_that_is_longer_than_its_manifest_says_is_cut_off(without_referrers: str, tmp_path: Path) -> None:
    registry = registries.at(without_referrers)
    entry = registries.single(registry, "longer/shop", "linux/amd64")

    class Longer(registries.Answers):
        behind = without_referrers

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            return (200, {}, b"x" * 1_000_000) if "/blobs/" in self.path else None

    with (
        registries.serving(Longer) as address,
        pytest.raises(PlatformError, match="of them with this digest are expected"),
    ):
        registries.at(address).fetch("longer/shop", entry["digest"], tmp_path / "shop")
    assert list((tmp_path / "shop/blobs/sha256").iterdir()) == []
