"""Images scanned by what their digests stand for: each platform, nothing else, and never something older."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.errors import PlatformUnavailable
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.features.scan.operators import ImageScanOperator
from tests.features.helpers import Ti
from tests.images import FolderRegistry, Layout

CRITICAL = Finding(
    kind="vulnerability", severity="critical", rule="CVE-2026-7", text="libx 1: bad", component="pkg:deb/debian/libx@1"
)


class Canned:
    """A scanner of images that has its answers ready, by digest; it finds nothing elsewhere."""

    name = "canned"

    def __init__(self, answers: dict[str, ScanResult] | None = None) -> None:
        self.answers = answers or {}
        self.seen: list[tuple[str, bool]] = []

    def missing(self) -> str | None:
        return None

    def scan_image(self, layout: Path, image: PlatformImage) -> ScanResult:
        self.seen.append((image.digest, (layout / "index.json").exists()))
        nothing = ScanResult(status="clean", sentence="canned found nothing.", subject=image.digest)
        return self.answers.get(image.digest, nothing)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderRegistry:
    made = FolderRegistry(Layout(tmp_path / "registry"))
    monkeypatch.setattr(RegistryHook, "get_conn", lambda _: made)
    return made


Scan = Callable[..., tuple[Any, Ti]]


@pytest.fixture
def scan(registry: FolderRegistry) -> Scan:
    """Scans a digest; gives what the operator returns, or how it fails, and what it pushed."""

    def scanned(scanner: Any, digest: str, **kwargs: Any) -> tuple[Any, Ti]:
        ti = Ti()
        operator = ImageScanOperator(task_id="scan", scanner=scanner, image="shop", digest=digest, **kwargs)
        try:
            return operator.execute({"ti": ti}), ti  # type: ignore[arg-type,typeddict-item]
        except (AirflowFailException, AirflowException) as error:
            return error, ti

    return scanned


@pytest.fixture
def index(registry: FolderRegistry) -> tuple[str, PlatformImage, PlatformImage]:
    """An index of two platforms with an attestation beside them."""
    a = registry.layout.image({"a.txt": "amd"})
    b = registry.layout.image({"a.txt": "arm"}, architecture="arm64")
    return registry.index(a, b), a, b


def test_each_platform_is_fetched_once_by_digest_and_no_attestation_is(
    scan: Scan, registry: FolderRegistry, index: tuple[str, PlatformImage, PlatformImage]
) -> None:
    digest, a, b = index
    scanner = Canned()
    result, _ = scan(scanner, digest)
    assert result["status"] == "clean"
    assert registry.fetched == [a.digest, b.digest]
    assert scanner.seen == [(a.digest, True), (b.digest, True)]
    assert result["sentence"] == "canned found nothing (linux/amd64). canned found nothing (linux/arm64)."


def test_what_one_platform_alone_has_stops_the_release_and_names_the_platform(
    scan: Scan, index: tuple[str, PlatformImage, PlatformImage]
) -> None:
    digest, _, b = index
    bad = ScanResult(status="findings", findings=[CRITICAL], sentence="canned found 1 critical.", subject=b.digest)
    failure, ti = scan(Canned({b.digest: bad}), digest)
    assert isinstance(failure, AirflowFailException)
    assert str(failure) == (
        "canned found 1 critical (findings from high on stop the release), like CVE-2026-7 of pkg:deb/debian/libx@1 "
        "for linux/arm64: libx 1: bad."
    )
    assert ti.pushed["result"]["counts"]["critical"] == 1


def test_a_report_about_another_digest_is_unknown(scan: Scan, index: tuple[str, PlatformImage, PlatformImage]) -> None:
    digest, a, b = index
    other = "sha256:" + "0" * 64
    for subject in (other, None, b.digest):
        about = ScanResult(status="clean", sentence="canned found nothing.", subject=subject)
        failure, ti = scan(Canned({a.digest: about}), digest)
        assert ti.pushed["result"]["status"] == "unknown"
        assert f"its report names {subject or 'no digest'}, and {a.digest} was expected (linux/amd64)" in str(failure)


def test_a_platform_that_cannot_be_looked_at_is_unknown(
    scan: Scan, registry: FolderRegistry, index: tuple[str, PlatformImage, PlatformImage]
) -> None:
    digest, _, b = index
    registry.gone.add(b.digest)
    failure, ti = scan(Canned(), digest)
    assert isinstance(failure, AirflowFailException)
    assert ti.pushed["result"]["status"] == "unknown"
    assert f"the image cannot be fetched: {b.digest} is gone from the registry (linux/arm64)" in str(failure)


def test_an_index_without_images_is_unknown(scan: Scan, registry: FolderRegistry) -> None:
    failure, _ = scan(Canned(), registry.index())
    assert str(failure).startswith("unknown: sha256:")
    assert "holds no image" in str(failure)


def test_a_digest_that_is_not_there_is_said(scan: Scan) -> None:
    failure, _ = scan(Canned(), "sha256:" + "1" * 64)
    assert str(failure) == f"The registry has no image registry.example/shop@sha256:{'1' * 64}: push it again."


def test_a_registry_that_does_not_answer_and_a_limit_of_requests_are_tried_again(
    scan: Scan, registry: FolderRegistry, index: tuple[str, PlatformImage, PlatformImage]
) -> None:
    digest, a, _ = index
    busy = ScanResult(status="unknown", sentence="unknown: canned: TOOMANYREQUESTS.", subject=a.digest, again=True)
    failure, _ = scan(Canned({a.digest: busy}), digest)
    assert not isinstance(failure, AirflowFailException)
    assert isinstance(failure.__cause__, PlatformUnavailable)
    registry.away = True
    failure, _ = scan(Canned(), digest)
    assert not isinstance(failure, AirflowFailException)


def test_a_severity_that_nobody_can_say_stops_the_release(scan: Scan, registry: FolderRegistry) -> None:
    digest = registry.single(registry.layout.image({"a": "a"}))
    finding = CRITICAL.model_copy(update={"severity": "unknown"})
    result = ScanResult(status="findings", findings=[finding], sentence="canned found 1.", subject=digest)
    failure, _ = scan(Canned({digest: result}), digest, block_on="critical")
    assert "1 of unknown severity" in str(failure)


def test_whole_results_are_kept_with_the_release(
    scan: Scan, index: tuple[str, PlatformImage, PlatformImage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, a, b = index
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    history = HistoryHook().history()
    history.begin("r1", "shop", "shop", "run", "1.1.0", None)
    bad = ScanResult(status="findings", findings=[CRITICAL], sentence="canned found 1 critical.", subject=b.digest)
    scan(Canned({b.digest: bad}), digest, release="r1")
    kept = kept_results(history, "r1")["image-canned"]
    assert [(it.subject, it.status) for it in kept] == [(a.digest, "clean"), (b.digest, "findings")]
    assert kept[1].findings[0].platform == "linux/arm64"


def test_limits_that_a_scanner_does_not_keep_to_are_a_mistake(
    scan: Scan, index: tuple[str, PlatformImage, PlatformImage]
) -> None:
    failure, _ = scan(Canned(), index[0], memory="1Gi")
    assert str(failure) == "canned keeps to no limits: leave `timeout` and `memory` out."


def test_a_scanner_that_does_not_exist_is_said_where_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="A scanner of images is one of trivy, grype, secrets"):
        ImageScanOperator(task_id="scan", scanner="nope", image="shop", digest="sha256:1")
