"""Releases whose image is looked at before anything is deployed, and rollbacks, which no finding holds up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.image import Image
from release_pipelines.features.scan.operators import image
from tests.fakes import GOOD, NEW
from tests.images import INDEX, FolderRegistry, Layout
from tests.pipeline.conftest import Releases
from tests.tools import needs

TOKEN = "npm_" + "a8Kd03Jf9sLq2Xw7Vb5Nz1Tc6Yh4Gm8Re2Up"  # made up, and of the form of a real one
SCANNED = "scan: {image_scanners: [secrets], limits: {secrets: {timeout: 1m, memory: 2Gi}}}\n"

pytestmark = [needs("gitleaks"), pytest.mark.parametrize("releases", [SCANNED], indirect=True)]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderRegistry:
    """Both versions' digests are indexes of two platforms; a key is in an earlier layer of 1.1.0, for arm64 alone."""
    made = FolderRegistry(Layout(tmp_path / "registry"))
    a = made.layout.image({"app/index.js": "x()\n"})
    good = made.layout.image({"app/index.js": "y()\n"}, architecture="arm64")
    key = {"app/.npmrc": f"//registry.npmjs.org/:_authToken={TOKEN}\n"}
    bad = made.layout.image(
        key, {"app/.wh..npmrc": ""}, architecture="arm64", instructions=("COPY .npmrc app/", "RUN rm")
    )
    for digest, other in ((GOOD, good), (NEW, bad)):
        made.indexes[digest] = Image(repository="shop", digest=digest, media_type=INDEX, platforms=[a, other])
    monkeypatch.setattr(image, "RegistryHook", lambda _: SimpleNamespace(get_conn=lambda: made))
    return made


def text_of_all(done: Any) -> str:
    """All that the release has told anybody."""
    history = HistoryHook().history()
    attached = [it.content for row in history.releases("shop") for it in history.attachments(row.id)]
    return f"{done.sentence} {attached}"


def test_a_key_in_an_earlier_layer_of_one_platform_stops_the_release(
    releases: Releases, registry: FolderRegistry
) -> None:
    releases.runs("1.0.0")
    done = releases.release("1.1.0")
    assert (done.state, done.outcome) == ("failed", "failed"), done.sentence
    assert "The scanners found 1 critical" in done.sentence
    assert "app/.npmrc" in done.sentence
    assert "on linux/arm64" in done.sentence
    assert "made by `COPY .npmrc app/`" in done.sentence
    assert "only a new one, and a new build without it, end this" in done.sentence
    assert TOKEN not in text_of_all(done)
    assert releases.staging.tracks["stable"].digest == GOOD, "nothing was deployed"
    history = HistoryHook().history()
    [clean, found] = kept_results(history, history.releases("shop")[0].id)["image-secrets"]
    assert (clean.status, found.status, found.findings[0].platform) == ("clean", "findings", "linux/arm64")


def test_a_clean_image_is_released(releases: Releases, registry: FolderRegistry) -> None:
    assert releases.release("1.0.0").outcome == "released"


def test_a_registry_that_lost_a_platform_stops_a_release_as_unknown(
    releases: Releases, registry: FolderRegistry
) -> None:
    registry.gone.add(registry.indexes[GOOD].platforms[0].digest)
    done = releases.release("1.0.0")
    assert done.outcome == "failed"
    assert "unknown: secrets could not look" in done.sentence
    assert "linux/amd64" in done.sentence


def test_a_rollback_to_what_would_not_be_released_today_goes_on(releases: Releases, registry: FolderRegistry) -> None:
    assert releases.release("1.0.0").outcome == "released"
    registry.indexes[GOOD] = registry.indexes[NEW].model_copy(update={"digest": GOOD})  # a scan of it would find a key
    registry.indexes[NEW] = registry.indexes[NEW].model_copy(update={"platforms": registry.indexes[NEW].platforms[:1]})
    releases.outside.bad = 0.05
    done = releases.release("1.1.0")
    assert done.outcome == "rolled_back", done.sentence
    assert releases.production.tracks["stable"].digest == GOOD
