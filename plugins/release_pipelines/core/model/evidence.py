"""What a policy is asked about: one document of what is known of a release. All times are Unix times in seconds.

A part that nobody has looked at is absent, never empty: a rule that asks for it is not asked, and that stops the release.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.finding import Kind, Rating

DIGEST = r"^sha256:[0-9a-f]{64}$"


class Part(BaseModel):
    """Base: what is there is whole, and nothing else is there."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Serving(Part):
    """What serves in the last environment before the release."""

    version: str | None
    digest: str | None
    commit: str | None


class PlatformDigest(Part):
    """The image of one platform."""

    platform: str = Field(description="Like linux/arm64")
    digest: str = Field(pattern=DIGEST)


class Builder(Part):
    """Who built the image."""

    id: str = Field(min_length=1, description="The builder's id, as its provenance says it")


class Provenance(Part):
    """The provenance of the image."""

    verified: bool = Field(description="Signed by a key that may sign, and about this digest")
    builder: str = Field(min_length=1)
    source: str | None = Field(description="The repository that it was built from")
    commit: str | None


class Signature(Part):
    """One signature of the image."""

    by: str = Field(min_length=1, description="The key's name, or an identity")
    verified: bool


class Sbom(Part):
    """The list of what is inside."""

    format: Literal["cyclonedx", "spdx"]
    components: int = Field(ge=0)


class Licence(Part):
    """The licence of one component."""

    component: str = Field(description="Package URL")
    licence: str | None = Field(description="SPDX expression; null: it says none")


class Counts(Part):
    """Findings by severity."""

    unknown: int = Field(ge=0)
    low: int = Field(ge=0)
    medium: int = Field(ge=0)
    high: int = Field(ge=0)
    critical: int = Field(ge=0)


class Scan(Part):
    """What one scanner came to."""

    status: Literal["clean", "findings", "unknown"]
    counts: Counts
    data_age: float | None = Field(description="How old the scanner's data are, in seconds; null: it has none")
    subjects: list[str] = Field(description="Digests of the images that it looked at; empty: source code")
    sentence: str


class FoundBy(Part):
    """One finding of a scanner."""

    scanner: str
    kind: Kind
    severity: Rating
    rule: str
    aliases: list[str]
    component: str | None
    fixed_in: str | None
    platform: str | None
    file: str
    text: str
    excepted: str | None = Field(description="Why it does not count; null: it does")


class Approved(Part):
    """The answer of who was asked."""

    by: str
    at: float
    note: str | None


class ReleaseEvidence(Part):
    """The evidence that policies are asked with."""

    schema_version: Literal[1] = 1
    at: float = Field(description="When it was put together")
    app: str
    version: str
    environment: str = Field(description="The environment that the release is about to change")
    image: str
    digest: str = Field(pattern=DIGEST)
    strategy: str
    tags: list[str] = Field(description="The app's tags")
    calendars: list[str] = Field(description="The calendars that this environment keeps to")
    requester: str | None = Field(description="Who asked for the release; null: nobody named")
    urgent: str | None = Field(description="Why it is urgent; null: it is not")
    serving: Serving | None = Field(description="Null: nothing serves in the last environment yet")
    commit: str | None = Field(None, description="Full hash")
    platforms: list[PlatformDigest] | None = Field(None, min_length=1)
    builder: Builder | None = None
    provenance: Provenance | None = None
    signatures: list[Signature] | None = None
    sbom: Sbom | None = None
    licences: list[Licence] | None = None
    scans: dict[str, Scan] | None = Field(None, min_length=1, description="Names of scanners to what they came to")
    findings: list[FoundBy] | None = Field(None, description="Of all scanners; absent where none has looked")
    tests: dict[str, str] | None = Field(
        None, min_length=1, description="Names of checks to their results, as the approval shows them"
    )
    approval: Approved | None = None
    facts: dict[str, Any] | None = Field(None, min_length=1, description="What a team's own tasks have found out")


PARTS = ("platforms", "builder", "provenance", "signatures", "sbom", "licences", "findings", "facts")
"""Parts that whoever knows them keeps with a release."""


class EvidenceUnfit(ReleaseError):
    """The evidence is not as its schema says."""


def checked(document: dict[str, Any]) -> dict[str, Any]:
    """A document that is as the schema says, without the parts that nobody knows.

    :raises EvidenceUnfit: for the first thing that is not so.
    """
    try:
        known = ReleaseEvidence.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(it) for it in first["loc"])
        if first["type"] == "missing":
            raise EvidenceUnfit(f"The evidence has no {where}: its schema demands it.") from None
        if first["type"] == "extra_forbidden":
            raise EvidenceUnfit(f"The evidence has {where}, which its schema does not know.") from None
        raise EvidenceUnfit(f"The evidence does not fit its schema at {where}: {first['msg']}.") from None
    given: dict[str, Any] = known.model_dump(mode="json")
    required = {name for name, it in ReleaseEvidence.model_fields.items() if it.is_required()}
    return {name: it for name, it in given.items() if it is not None or name in required}
