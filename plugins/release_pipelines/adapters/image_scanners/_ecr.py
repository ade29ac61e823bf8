"""Amazon ECR's own scans: what is known of an image by now, and whether that is all.

The status alone says neither that findings are there nor in which of two lists they stand: seconds after a push it is "complete, nothing".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from release_pipelines.adapters import tools
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.finding import Finding, Rating, ScanResult, Score
from release_pipelines.core.model.image import ATTESTATION, PlatformImage

NAME = "ecr"

HOST = re.compile(r"(?P<account>\d{12})\.dkr[.-]ecr(-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z.]+/(?P<name>.+)")

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")

GOING_ON = ("PENDING", "IN_PROGRESS")
DONE = ("COMPLETE", "ACTIVE")
"""COMPLETE: it looked once. ACTIVE: it looks again whenever there are new advisories, and is never complete."""

NOT_YET = ("ScanNotFoundException", "ImageNotFoundException")
"""What it says right after a push."""

BUSY = (
    "ThrottlingException",
    "TooManyRequestsException",
    "LimitExceededException",
    "ServerException",
    "RequestTimeout",
)
REFUSED = ("AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException")

RATINGS: dict[str, Rating] = {
    "INFORMATIONAL": "low", "LOW": "low", "MEDIUM": "medium", "HIGH": "high", "CRITICAL": "critical",
}  # fmt: skip

PACKAGES = {
    "pypi": ("PYTHON", "PIP", "POETRY", "PIPENV"),
    "npm": ("NODE", "NPM", "YARN", "PNPM"),
    "maven": ("JAR", "POM", "MAVEN", "GRADLE"),
    "golang": ("GO",),
    "gem": ("GEM", "BUNDLER"),
    "cargo": ("CARGO", "RUST"),
    "nuget": ("NUGET", "DOTNET"),
    "composer": ("COMPOSER",),
}
"""Types of package URLs, and how names of package managers begin."""

SYSTEMS = {
    "DEBIAN": ("deb", "debian"), "UBUNTU": ("deb", "ubuntu"), "ALPINE": ("apk", "alpine"), "AMAZON": ("rpm", "amzn"),
    "REDHAT": ("rpm", "redhat"), "RHEL": ("rpm", "redhat"), "ORACLE": ("rpm", "oracle"), "ROCKY": ("rpm", "rocky"),
    "ALMA": ("rpm", "almalinux"), "CENTOS": ("rpm", "centos"), "SUSE": ("rpm", "suse"),
}  # fmt: skip
"""Types and namespaces of package URLs, and how names of platforms begin."""


class Repository(NamedTuple):
    """Where an image lies.

    :ivar account: the registry's id; None: that of the credentials.
    :ivar region: None: that of the connection.
    """

    name: str
    account: str | None = None
    region: str | None = None


def repository_of(image: str) -> Repository:
    """What ECR calls an image, with or without the registry's host."""
    found = HOST.fullmatch(image)
    return Repository(found["name"], found["account"], found["region"]) if found else Repository(image)


def platforms(client: Any, repository: Repository, digest: str) -> list[PlatformImage]:
    """The images that a digest stands for, without what a builder has put beside them: ECR scans no index.

    :raises PlatformError: when it is not there, or is none.
    """
    with_errors = _asked(
        client.batch_get_image,
        **_where(repository),
        imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=[*INDEXES, *MANIFESTS],
    )
    images = [it for it in with_errors.get("images") or [] if it["imageId"].get("imageDigest") == digest]
    if not images:
        failures = ", ".join(str(it.get("failureCode")) for it in with_errors.get("failures") or []) or "nothing"
        raise PlatformError(f"Amazon ECR has no image {repository.name}@{digest} ({failures}): push it again.")
    try:
        document = json.loads(images[0]["imageManifest"])
        entries = document.get("manifests")
        if entries is None:
            return [PlatformImage(media_type=document.get("mediaType", MANIFESTS[0]), digest=digest, platform="")]
        return [
            PlatformImage(media_type=it["mediaType"], digest=it["digest"], platform=_platform(it.get("platform") or {}))
            for it in entries
            if ATTESTATION not in (it.get("annotations") or {})
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlatformError(f"The manifest of {repository.name}@{digest} in Amazon ECR cannot be read.") from error


def look(client: Any, repository: Repository, image: PlatformImage) -> ScanResult | str:
    """What is known of one platform's image now; a text: why it has to be waited for, in the end of a sentence.

    :raises PlatformError: when it refuses to tell.
    :raises PlatformUnavailable: when it does not answer.
    """
    answer: dict[str, Any] = {}
    findings: list[Mapping[str, Any]] = []
    enhanced: list[Mapping[str, Any]] | None = None
    token: dict[str, str] = {}
    while True:  # the paginator of boto3 gives one list alone, and leaves out the rest of the answer
        try:
            page = _asked(
                client.describe_image_scan_findings,
                **_where(repository),
                imageId={"imageDigest": image.digest},
                **token,
            )
        except _NotYet as error:
            return f"it knows of no scan of {image.digest} yet ({error})"
        part = page.get("imageScanFindings") or {}
        findings += part.get("findings") or []
        if "enhancedFindings" in part:
            enhanced = [*(enhanced or []), *part["enhancedFindings"]]
        answer = answer or page
        if not page.get("nextToken"):
            break
        token = {"nextToken": page["nextToken"]}
    return verdict(answer, findings, enhanced, image)


def verdict(
    answer: Mapping[str, Any],
    findings: list[Mapping[str, Any]],
    enhanced: list[Mapping[str, Any]] | None,
    image: PlatformImage,
) -> ScanResult | str:
    """What an answer comes to; a text: why it has to be waited for, in the end of a sentence.

    :param answer: its first page.
    :param findings: those of a basic scan, of all pages.
    :param enhanced: those of an enhanced scan, of all pages; None: no page has such a list.
    """
    state = answer.get("imageScanStatus") or {}
    status = str(state.get("status") or "without a status")
    summary = answer.get("imageScanFindings") or {}
    subject = (answer.get("imageId") or {}).get("imageDigest")
    if subject != image.digest:
        return tools.unknown(NAME, f"its answer is about {subject}, and {image.digest} was asked for", image.digest)
    if status in GOING_ON:
        return f"the scan of {image.digest} is {status}"
    if status not in DONE:
        said = f": {state['description']}" if state.get("description") else ""
        return tools.unknown(NAME, f"the scan is {status}{said}", image.digest)
    counted = sum((summary.get("findingSeverityCounts") or {}).values())
    found = enhanced or findings
    if not found and (counted or not summary.get("imageScanCompletedAt") or (status == "ACTIVE" and enhanced is None)):
        return f"the scan of {image.digest} is {status}, and its findings are not there yet"
    if len(findings) < counted and not enhanced:
        return f"the scan of {image.digest} has {counted} findings, and {len(findings)} of them are there yet"
    made = summary.get("vulnerabilitySourceUpdatedAt")
    data_at = made.timestamp() if made else None
    platform = image.platform or None
    read = [*(it for one in enhanced or [] for it in _enhanced(one)), *map(_basic, findings)]
    read = [it.model_copy(update={"platform": platform}) for it in read]
    return tools.found(NAME, read, image.digest, data_at)


class _NotYet(PlatformError):
    """It does not know of the image, or of a scan."""


def _asked(call: Any, **arguments: Any) -> Any:
    """An answer of the API.

    :raises _NotYet: when it does not know of it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call(**arguments)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        if code in NOT_YET:
            raise _NotYet(code) from None
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in BUSY or status >= 500:
            raise PlatformUnavailable(f"Amazon ECR does not answer now ({code}).") from error
        if code in REFUSED:
            raise Forbidden(f"Amazon ECR refuses to tell of its scans ({code}).") from error
        raise PlatformError(f"Amazon ECR cannot tell of its scans ({code}).") from error
    except BotoCoreError as error:
        raise PlatformUnavailable(f"Amazon ECR cannot be reached ({type(error).__name__}).") from error


def _where(repository: Repository) -> dict[str, str]:
    account = {"registryId": repository.account} if repository.account else {}
    return {"repositoryName": repository.name, **account}


def _platform(platform: Mapping[str, Any]) -> str:
    parts = (platform.get("os"), platform.get("architecture"), platform.get("variant"))
    return "/".join(it for it in parts if it) or "unknown"


def _rating(word: object) -> Rating:
    return RATINGS.get(str(word), "unknown")


def _basic(it: Mapping[str, Any]) -> Finding:
    """A finding of a basic scan; which kind of package it is about is not said."""
    more = {part["key"]: part.get("value", "") for part in it.get("attributes") or []}
    package = " ".join(more[key] for key in ("package_name", "package_version") if more.get(key))
    return Finding(
        kind="vulnerability",
        severity=_rating(it.get("severity")),
        rule=it["name"],
        file=package,  # what tells one package's flaw from another's, where there is no package URL
        text=it.get("description") or it["name"],
    )


def _enhanced(it: Mapping[str, Any]) -> Iterator[Finding]:
    """The findings of an enhanced scan: one for each package that it is about."""
    if it.get("status") == "CLOSED":
        return
    details = it.get("packageVulnerabilityDetails") or {}
    rule = details.get("vulnerabilityId") or it.get("title") or it.get("findingArn") or "without a name"
    resources = it.get("resources") or [{}]
    image = (resources[0].get("details") or {}).get("awsEcrContainerImage") or {}
    scores = [
        Score(
            source=str(one.get("source")), rating="unknown", score=one.get("baseScore"), vector=one.get("scoringVector")
        )
        for one in details.get("cvss") or []
    ]
    for package in details.get("vulnerablePackages") or [{}]:
        named = " ".join(str(package[key]) for key in ("name", "version") if package.get(key))
        fixed = package.get("fixedInVersion")
        yield Finding(
            kind="vulnerability",
            severity=_rating(it.get("severity")),
            rule=rule,
            aliases=[one for one in details.get("relatedVulnerabilities") or [] if one != rule],
            file=str(package.get("filePath") or ""),
            text=f"{named}: {it.get('description') or rule}",
            component=_component(package, str(image.get("platform") or "")),
            fixed_in=fixed if fixed not in (None, "", "NotAvailable") else None,
            layer=package.get("sourceLayerHash") or None,
            scores=scores,
        )


def _component(package: Mapping[str, Any], platform: str) -> str | None:
    """The package URL; None where it cannot be told."""
    from packageurl import PackageURL

    manager, name = str(package.get("packageManager") or ""), str(package.get("name") or "")
    if not name:
        return None
    version = str(package.get("version") or "")
    if manager == "OS":
        system = next((it for beginning, it in SYSTEMS.items() if platform.startswith(beginning)), None)
        if system is None:
            return None
        release = f"-{package['release']}" if package.get("release") else ""
        epoch = f"{package['epoch']}:" if package.get("epoch") else ""
        return str(PackageURL(system[0], system[1], name, f"{epoch}{version}{release}").to_string())
    kind = next((it for it, beginnings in PACKAGES.items() if manager.startswith(beginnings)), None)
    if kind is None:
        return None
    namespace, _, short = name.replace(":", "/").rpartition("/")
    return str(PackageURL(kind, namespace or None, short, version or None).to_string())
