"""Amazon ECR's own scans. Its answers are stubs by the API reference: no server here gives such ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from botocore.stub import Stubber

from release_pipelines.adapters.image_scanners import _ecr
from release_pipelines.airflow.findings import kept_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.image import ATTESTATION, PlatformImage
from release_pipelines.features.scan import sensors, triggers
from release_pipelines.features.scan.sensors import EcrImageScanSensor
from release_pipelines.features.scan.triggers import EcrImageScanTrigger
from tests.features.helpers import Ti

A, B, P, I = (f"sha256:{it * 64}" for it in "abcd")  # noqa: E741 - the index
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/shop"
WHERE = {"repositoryName": "team/shop", "registryId": "123456789012"}
WHEN = datetime(2026, 11, 1, tzinfo=timezone.utc)
ASKED_FOR = [*_ecr.INDEXES, *_ecr.MANIFESTS]

SINGLE = {"mediaType": _ecr.MANIFESTS[0], "config": {}, "layers": []}
INDEX = {
    "mediaType": _ecr.INDEXES[0],
    "manifests": [
        {"mediaType": _ecr.MANIFESTS[0], "digest": A, "platform": {"os": "linux", "architecture": "amd64"}},
        {"mediaType": _ecr.MANIFESTS[0], "digest": B, "platform": {"os": "linux", "architecture": "arm64"}},
        {
            "mediaType": _ecr.MANIFESTS[0],
            "digest": P,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {ATTESTATION: "attestation-manifest"},
        },
    ],
}
BASIC = {
    "name": "CVE-2026-1",
    "severity": "HIGH",
    "description": "bad",
    "attributes": [{"key": "package_name", "value": "libx"}, {"key": "package_version", "value": "1.0"}],
}
ENHANCED = {
    "findingArn": "arn:aws:inspector2:1",
    "severity": "CRITICAL",
    "fixAvailable": "YES",
    "status": "ACTIVE",
    "description": "worse",
    "packageVulnerabilityDetails": {
        "vulnerabilityId": "CVE-2026-2",
        "relatedVulnerabilities": ["GHSA-aaaa-bbbb-cccc"],
        "cvss": [{"baseScore": 9.8, "scoringVector": "CVSS:3.1/AV:N", "source": "NVD", "version": "3.1"}],
        "vulnerablePackages": [
            {"name": "requests", "version": "2.19.0", "packageManager": "PIP", "fixedInVersion": "2.20.0"},
        ],
    },
}


class Ecr:
    """The stubbed answers of Amazon ECR, in their order."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.client = boto3.client("ecr", region_name="eu-central-1", **keys)
        self.stubs = Stubber(self.client)
        self.stubs.activate()

    def manifest(self, document: Any, digest: str = A) -> Ecr:
        images = [{"imageId": {"imageDigest": digest}, "imageManifest": json.dumps(document)}]
        asked = {**WHERE, "imageIds": [{"imageDigest": digest}], "acceptedMediaTypes": ASKED_FOR}
        self.stubs.add_response("batch_get_image", {"images": images if document else [], "failures": []}, asked)
        return self

    def scan(self, status: str | None, digest: str = A, token: str | None = None, more: str | None = None, about: str | None = None, **findings: Any) -> Ecr:  # fmt: skip
        asked = {**WHERE, "imageId": {"imageDigest": digest}, **({"nextToken": token} if token else {})}
        answer = {
            "imageId": {"imageDigest": about or digest},
            "imageScanStatus": {"status": status, "description": "as told"} if status else {},
            "imageScanFindings": findings,
            **({"nextToken": more} if more else {}),
        }
        self.stubs.add_response("describe_image_scan_findings", answer, asked)
        return self

    def error(self, code: str, status: int = 400) -> Ecr:
        self.stubs.add_client_error("describe_image_scan_findings", code, "no", status)
        return self


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Ecr:
    made = Ecr()
    for module in (sensors, triggers):
        monkeypatch.setattr(module, "container_registry", lambda connection, region: made.client)
    return made


Look = Callable[..., tuple[Any, Ti]]


@pytest.fixture
def look(ecr: Ecr) -> Look:
    """Lets the sensor begin; gives what it returns, how it fails, or the trigger that it waits for."""

    def looked(digest: str = A, event: dict[str, Any] | None = None, **kwargs: Any) -> tuple[Any, Ti]:
        ti = Ti()
        sensor = EcrImageScanSensor(task_id="scan", image=IMAGE, digest=digest, **kwargs)
        context: Any = {"ti": ti}
        try:
            return (sensor.looked(context, event) if event else sensor.execute(context)), ti
        except TaskDeferred as waiting:
            return waiting.trigger, ti
        except (AirflowFailException, AirflowException) as error:
            return error, ti

    return looked


LATE = {"end": 1.0}
"""The event of a trigger that has waited long enough."""


def test_complete_without_findings_right_after_the_push_is_waited_for(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan("COMPLETE", findings=[])
    trigger, ti = look()
    assert isinstance(trigger, EcrImageScanTrigger)
    assert "result" not in ti.pushed
    ecr.manifest(SINGLE).scan("COMPLETE", findings=[BASIC] * 12)
    failure, ti = look(event={"end": 4e9})
    assert "ecr found 12 high (findings from high on stop the release), like CVE-2026-1" in str(failure)
    assert ti.pushed["result"]["counts"]["high"] == 12


def test_a_complete_scan_that_found_nothing_is_clean(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan("COMPLETE", findings=[], imageScanCompletedAt=WHEN, findingSeverityCounts={})
    result, _ = look()
    assert (result["status"], result["sentence"]) == ("clean", "ecr found nothing.")


def test_an_active_scan_with_findings_is_done(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan("ACTIVE", enhancedFindings=[ENHANCED])
    failure, ti = look()
    assert isinstance(failure, AirflowFailException)
    assert "ecr found 1 critical" in str(failure)
    assert "CVE-2026-2 of pkg:pypi/requests@2.19.0" in str(failure)
    assert ti.pushed["result"]["status"] == "findings"


@pytest.mark.parametrize(
    ("status", "findings"),
    [
        ("COMPLETE", {"findings": []}),
        ("COMPLETE", {"findings": [], "imageScanCompletedAt": WHEN, "findingSeverityCounts": {"HIGH": 2}}),
        ("COMPLETE", {"findings": [BASIC], "imageScanCompletedAt": WHEN, "findingSeverityCounts": {"HIGH": 2}}),
        ("ACTIVE", {"findings": []}),
        ("ACTIVE", {"findings": [], "imageScanCompletedAt": WHEN}),
        ("ACTIVE", {"enhancedFindings": []}),
        ("PENDING", {}),
        ("IN_PROGRESS", {}),
    ],
)
def test_what_is_not_all_is_waited_for_and_at_the_time_limit_unknown(
    status: str, findings: dict[str, Any], ecr: Ecr, look: Look
) -> None:
    ecr.manifest(SINGLE).scan(status, **findings)
    assert isinstance(look()[0], EcrImageScanTrigger)
    ecr.manifest(SINGLE).scan(status, **findings)
    failure, ti = look(event=LATE, wait=600)
    assert isinstance(failure, AirflowFailException)
    assert ti.pushed["result"]["status"] == "unknown"
    assert str(failure).startswith("unknown: ecr was waited for for 10 min, and the scan of sha256:aaa")


@pytest.mark.parametrize("code", ["ScanNotFoundException", "ImageNotFoundException"])
def test_a_scan_that_is_not_known_yet_is_waited_for(code: str, ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).error(code)
    assert isinstance(look()[0], EcrImageScanTrigger)
    ecr.manifest(SINGLE).error(code)
    failure, _ = look(event=LATE)
    assert "it knows of no scan of sha256:aaa" in str(failure)


@pytest.mark.parametrize(
    "status",
    ["SCAN_ELIGIBILITY_EXPIRED", "FINDINGS_UNAVAILABLE", "LIMIT_EXCEEDED", "IMAGE_ARCHIVED", "FAILED", "UNSUPPORTED_IMAGE",
     "NOT_YET_INVENTED"],
)  # fmt: skip
def test_any_other_status_is_unknown_by_its_name(status: str, ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan(status, findings=[])
    failure, ti = look()
    assert ti.pushed["result"]["status"] == "unknown"
    assert str(failure) == f"unknown: ecr could not look, because the scan is {status}: as told."


def test_an_answer_without_a_status_is_unknown(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan(None)
    assert "the scan is without a status" in str(look()[0])


def test_of_an_index_each_platform_is_asked_for_and_no_attestation(ecr: Ecr, look: Look) -> None:
    done = {"imageScanCompletedAt": WHEN}
    ecr.manifest(INDEX, I).scan("ACTIVE", A, enhancedFindings=[], **done).scan("ACTIVE", B, enhancedFindings=[ENHANCED])
    failure, _ = look(I)
    assert "for linux/arm64" in str(failure)
    ecr.stubs.assert_no_pending_responses()


def test_a_platform_without_a_scan_is_unknown_whatever_the_other_has(ecr: Ecr, look: Look) -> None:
    ecr.manifest(INDEX, I).scan("ACTIVE", A, enhancedFindings=[], imageScanCompletedAt=WHEN).scan(
        "UNSUPPORTED_IMAGE", B
    )
    failure, _ = look(I)
    assert str(failure) == "unknown: ecr could not look, because the scan is UNSUPPORTED_IMAGE: as told (linux/arm64)."


@pytest.mark.parametrize("kind", ["findings", "enhancedFindings"])
def test_findings_of_all_pages_are_counted(kind: str, ecr: Ecr, look: Look) -> None:
    one = BASIC if kind == "findings" else ENHANCED
    pages: list[dict[str, Any]] = [{kind: [one] * 2}, {kind: [one] * 3}, {kind: [one]}]
    ecr.manifest(SINGLE)
    ecr.scan("COMPLETE", more="1", imageScanCompletedAt=WHEN, findingSeverityCounts={"HIGH": 6}, **pages[0])
    ecr.scan("COMPLETE", token="1", more="2", **pages[1]).scan("COMPLETE", token="2", **pages[2])
    _, ti = look()
    assert sum(ti.pushed["result"]["counts"].values()) == 6


def test_an_answer_about_another_image_is_unknown(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan("COMPLETE", about=B, findings=[], imageScanCompletedAt=WHEN)
    failure, _ = look()
    assert f"its answer is about {B}, and {A} was asked for" in str(failure)


def test_an_image_that_is_not_there_is_said(ecr: Ecr, look: Look) -> None:
    ecr.manifest(None)
    assert str(look()[0]) == f"Amazon ECR has no image team/shop@{A} (nothing): push it again."


def test_what_is_busy_is_tried_again_and_what_is_refused_is_not(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).error("ThrottlingException")
    assert not isinstance(look()[0], AirflowFailException)
    ecr.manifest(SINGLE).error("AccessDeniedException")
    failure, _ = look()
    assert isinstance(failure, AirflowFailException)
    assert str(failure) == "Amazon ECR refuses to tell of its scans (AccessDeniedException)."


def test_severities_that_are_not_known_are_unknown_and_closed_findings_are_none() -> None:
    image = PlatformImage(media_type="m", digest=A, platform="linux/amd64")
    answer = {
        "imageId": {"imageDigest": A},
        "imageScanStatus": {"status": "ACTIVE"},
        "imageScanFindings": {"imageScanCompletedAt": WHEN, "vulnerabilitySourceUpdatedAt": WHEN},
    }
    enhanced = [{**ENHANCED, "severity": "UNTRIAGED"}, {**ENHANCED, "status": "CLOSED"}]
    result = _ecr.verdict(answer, [], enhanced, image)
    assert not isinstance(result, str)
    [finding] = result.findings
    assert (finding.severity, finding.platform, finding.fixed_in) == ("unknown", "linux/amd64", "2.20.0")
    assert (result.data_at, result.subject) == (WHEN.timestamp(), A)
    assert [(it.source, it.score) for it in finding.scores] == [("NVD", 9.8)]
    other = {**BASIC, "attributes": [{"key": "package_name", "value": "liby"}]}
    basic = _ecr.verdict(answer | {"imageScanStatus": {"status": "COMPLETE"}}, [BASIC, other], None, image)
    assert not isinstance(basic, str)
    assert [it.file for it in basic.findings] == ["libx 1.0", "liby"], "one flaw in two packages is two findings"
    undefined = _ecr.verdict(answer, [{**BASIC, "severity": "UNDEFINED"}], None, image)
    assert not isinstance(undefined, str)
    assert undefined.findings[0].severity == "unknown"


@pytest.mark.parametrize(
    ("package", "platform", "url"),
    [
        ({"name": "perl-base", "version": "5.40.1", "release": "6", "epoch": 0, "packageManager": "OS"}, "DEBIAN_13", "pkg:deb/debian/perl-base@5.40.1-6"),
        ({"name": "libldb2", "version": "2.6.2", "epoch": 2, "packageManager": "OS"}, "DEBIAN_12", "pkg:deb/debian/libldb2@2:2.6.2"),
        ({"name": "x", "version": "1", "packageManager": "OS"}, "SOMETHING", None),
        ({"name": "@a/b", "version": "1", "packageManager": "NODEPKG"}, "", "pkg:npm/%40a/b@1"),
        ({"name": "org.a:b", "version": "1", "packageManager": "JAR"}, "", "pkg:maven/org.a/b@1"),
        ({"name": "github.com/a/b", "version": "1", "packageManager": "GOBINARY"}, "", "pkg:golang/github.com/a/b@1"),
        ({"name": "x", "version": "1", "packageManager": "NEW"}, "", None),
    ],
)  # fmt: skip
def test_packages_have_urls_where_they_can_be_told(package: dict[str, Any], platform: str, url: str | None) -> None:
    assert _ecr._component(package, platform) == url


async def test_the_trigger_fires_when_all_have_an_answer(ecr: Ecr) -> None:
    images = [PlatformImage(media_type="m", digest=it, platform="linux/amd64").model_dump(mode="json") for it in (A, B)]
    ecr.scan("COMPLETE", A, findings=[BASIC]).scan("PENDING", B)
    ecr.error("ThrottlingException")
    ecr.scan("COMPLETE", A, findings=[BASIC]).scan("COMPLETE", B, findings=[BASIC])
    trigger = EcrImageScanTrigger(image=IMAGE, platforms=images, aws_conn_id="aws", region=None, end=4e9, interval=0.01)
    assert [it.payload async for it in trigger.run()] == [{"end": 4e9}]
    ecr.stubs.assert_no_pending_responses()
    path, arguments = trigger.serialize()
    assert path == "release_pipelines.features.scan.triggers.EcrImageScanTrigger"
    assert EcrImageScanTrigger(**json.loads(json.dumps(arguments))).arguments == arguments


async def test_the_trigger_ends_at_the_time_limit_and_where_it_is_refused(ecr: Ecr) -> None:
    image = PlatformImage(media_type="m", digest=A, platform="").model_dump(mode="json")
    arguments: dict[str, Any] = {"image": IMAGE, "platforms": [image], "aws_conn_id": None, "region": None}
    late = EcrImageScanTrigger(**arguments, end=1.0, interval=1)
    assert [it.payload async for it in late.run()] == [{"end": 1.0}]
    ecr.error("AccessDeniedException")
    refused = EcrImageScanTrigger(**arguments, end=4e9, interval=1)
    assert [it.payload async for it in refused.run()] == [{"end": 4e9}]


def test_without_deferring_it_waits_in_the_worker(ecr: Ecr, look: Look) -> None:
    ecr.manifest(SINGLE).scan("PENDING")
    ecr.manifest(SINGLE).scan("COMPLETE", findings=[], imageScanCompletedAt=WHEN)
    result, _ = look(deferrable=False, poke_interval=0.01)
    assert result["status"] == "clean"


def test_results_are_kept_with_the_release(
    ecr: Ecr, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    history = HistoryHook().history()
    history.begin("r1", "shop", "shop", "run", "1.1.0", None)
    ecr.manifest(SINGLE).scan("ACTIVE", enhancedFindings=[ENHANCED])
    look(release="r1")
    [kept] = kept_results(history, "r1")["image-ecr"]
    assert (kept.subject, [it.rule for it in kept.findings]) == (A, ["CVE-2026-2"])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (IMAGE, ("team/shop", "123456789012", "eu-central-1")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/shop", ("shop", "123456789012", "cn-north-1")),
        ("123456789012.dkr-ecr-fips.us-east-1.on.aws/shop", ("shop", "123456789012", "us-east-1")),
        ("team/shop", ("team/shop", None, None)),
    ],
)
def test_account_and_region_stand_in_the_image(image: str, expected: tuple[Any, ...]) -> None:
    assert tuple(_ecr.repository_of(image)) == expected
