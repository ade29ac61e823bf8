"""What a build says that it pushed is compared with what the registry has."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.core.built import check_built
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.image import Descriptor, Image, PlatformImage
from release_pipelines.core.ports.builder import REVISION

ASKED, OTHER = "b" * 40, "a" * 40
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class TagsAlone:
    """A registry that tells the digest of a tag, and no more."""

    host, login = "registry.example", None

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def check(self) -> str:
        return "The registry answers"

    def repository(self, image: str) -> str:
        return f"{self.host}/{image}"

    def digest_of(self, image: str, tag: str) -> str | None:
        return self.tags.get(tag)


class Whole(TagsAlone):
    """A registry that has manifests, and keeps what the port says."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, bytes] = {}
        self.made_of: dict[str, list[PlatformImage]] = {}

    def put(self, content: Any) -> str:
        data = json.dumps(content).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.kept[digest] = data
        return digest

    def push(self, tag: str, **commits: str | None) -> str:
        """Push an image of one platform for each commit, under a tag."""
        platforms = []
        for platform, commit in commits.items():
            config = self.put({"architecture": platform, "config": {"Labels": {REVISION: commit} if commit else None}})
            digest = self.put({"config": {"digest": config}})
            platforms.append(PlatformImage(media_type=MANIFEST, digest=digest, platform=f"linux/{platform}"))
        digest = platforms[0].digest if len(platforms) == 1 else self.put([it.digest for it in platforms])
        self.made_of[digest] = platforms
        self.tags[tag] = self.tags[digest] = digest
        return digest

    def image(self, image: str, digest: str) -> Image | None:
        found = self.made_of.get(digest)
        return found and Image(repository=self.repository(image), digest=digest, media_type="", platforms=found)

    def lacks(self, image: Image) -> list[str]:
        return []

    def fetch(self, image: str, digest: str, folder: Path) -> None:
        raise NotImplementedError

    def referrers(self, image: str, digest: str) -> list[Descriptor]:
        return []

    def read(self, image: str, digest: str) -> bytes:
        return self.kept[digest]

    def attach(self, *_: Any) -> str:
        raise NotImplementedError

    def tag(self, image: str, digest: str, tag: str) -> None:
        self.tags[tag] = digest


def refused(registry: Any, digest: str | None, **more: Any) -> str:
    with pytest.raises(PlatformError) as caught:
        check_built(registry, "shop", "1.1.0", digest, ASKED, **more)
    return str(caught.value)


def test_an_image_of_the_commit_that_the_build_pushed_is_taken() -> None:
    registry = Whole()
    digest = registry.push("1.1.0", amd64=ASKED)
    assert check_built(registry, "shop", "1.1.0", digest, ASKED) == digest
    assert check_built(registry, "shop", "1.1.0", digest, ASKED, before=digest) == digest  # a rebuild changes nothing


def test_a_tag_of_another_commit_is_refused() -> None:
    registry = Whole()
    digest = registry.push("1.1.0", amd64=OTHER)
    assert refused(registry, digest) == f"registry.example/shop:1.1.0 holds commit {OTHER}, {ASKED} was asked for."
    assert refused(registry, digest, labelled=False).startswith("registry.example/shop:1.1.0 holds commit aaaa")


def test_one_platform_of_another_commit_is_enough_to_refuse() -> None:
    registry = Whole()
    digest = registry.push("1.1.0", amd64=ASKED, arm64=OTHER)
    assert refused(registry, digest).startswith(f"registry.example/shop:1.1.0 for linux/arm64 holds commit {OTHER}, ")


def test_an_image_that_names_no_commit_is_refused_unless_its_builder_proved_it() -> None:
    registry = Whole()
    digest = registry.push("1.1.0", amd64=None)
    assert f"the label {REVISION} is expected" in refused(registry, digest)
    assert check_built(registry, "shop", "1.1.0", digest, ASKED, labelled=False) == digest


def test_a_tag_that_names_something_else_than_the_build_says_is_refused() -> None:
    registry = Whole()
    there = registry.push("1.1.0", amd64=ASKED)
    said = f"sha256:{'f' * 64}"
    sentence = refused(registry, said, says="The build shop:1")
    assert sentence.startswith(
        f"The build shop:1 pushed {said}, but in the registry registry.example/shop:1.1.0 is {there}"
    )


def test_a_tag_that_is_not_there_was_not_pushed() -> None:
    assert (
        refused(Whole(), f"sha256:{'f' * 64}")
        == "The build pushed no registry.example/shop:1.1.0: the registry has no such tag."
    )


def test_where_a_registry_cannot_tell_a_tag_from_before_the_build_proves_nothing() -> None:
    registry, old, new = TagsAlone(), f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
    registry.tags["1.1.0"] = old
    assert "nothing says that this build made it" in refused(registry, old, before=old)
    assert "does not say which digest it pushed" in refused(registry, None)
    registry.tags["1.1.0"] = new
    assert check_built(registry, "shop", "1.1.0", new, ASKED, before=old) == new


def test_what_cannot_be_read_is_not_known() -> None:
    registry = Whole()
    digest = registry.push("1.1.0", amd64=ASKED)
    registry.kept = dict.fromkeys(registry.kept, b"<html>")
    assert "it is not known what it was built from" in refused(registry, digest)
    registry.made_of.clear()
    assert refused(registry, digest) == f"The registry has no image shop@{digest}."
