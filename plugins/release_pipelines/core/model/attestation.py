"""Who may sign what is released, and what has to be attested of it before an environment is touched."""

import re
from datetime import date, datetime, time, timezone
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import no_number

SbomKind = Literal["any", "cyclonedx", "spdx"]
LAST_MOMENT = time(23, 59, 59, 999999)


def _moment(value: Any, at: time) -> Any:
    """A day as a moment of it, in UTC."""
    no_number(value, "a day like 2026-12-31, or a moment with its zone,")
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            return value  # more than a day: pydantic reads it
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, at, timezone.utc)
    return value


def _in_utc(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


From = Annotated[datetime, BeforeValidator(lambda it: _moment(it, time.min)), AfterValidator(_in_utc)]
Until = Annotated[datetime, BeforeValidator(lambda it: _moment(it, LAST_MOMENT)), AfterValidator(_in_utc)]


class KeySource(Value):
    """Where a key is: one of these. The file says its name, never a private key."""

    connection: str | None = Field(
        None,
        min_length=1,
        description="Airflow connection whose password is the key as PEM, and whose extra may have its `passphrase`",
    )
    variable: str | None = Field(None, min_length=1, description="Airflow variable that holds it as PEM")
    kms: str | None = Field(
        None, min_length=1, description="Key of AWS KMS by its id, ARN or alias: it signs there, and never leaves it"
    )
    aws_connection: str = Field("aws_default", description="Airflow connection by which KMS is asked")

    @model_validator(mode="after")
    def _is_one(self) -> "KeySource":
        named = [getattr(self, it) for it in self.places()]
        if sum(it is not None for it in named) != 1:
            raise ValueError(f"one of {', '.join(f'`{it}`' for it in self.places())} is expected")
        if any("PRIVATE KEY" in (it or "") for it in (self.connection, self.variable, self.kms)):
            raise ValueError("the name of what holds the key is expected, and never a private key, found one")
        return self

    @classmethod
    def places(cls) -> tuple[str, ...]:
        """The keys of which one is given."""
        return ("connection", "variable", "kms")


class TrustedKey(KeySource):
    """A key whose signatures count: a public one, or a private one of which only the public half is used."""

    name: str = Field(min_length=1, description="What sentences call it")
    public_key: str | None = Field(None, description="The public key itself, as PEM")
    signs_from: From | None = Field(None, description="From then on it may sign; a day, or a moment with its zone")
    signs_to: Until | None = Field(
        None, description="Until then it signed; afterwards only what the history knows from before is taken from it"
    )

    @classmethod
    def places(cls) -> tuple[str, ...]:
        return ("public_key", "connection", "variable", "kms")

    @model_validator(mode="after")
    def _fits(self) -> "TrustedKey":
        # Not where it stands: a sentence about a key shows what was found there, which may be a private one.
        if self.public_key is not None and not re.match(r"\s*-----BEGIN PUBLIC KEY-----\s", self.public_key):
            raise ValueError(
                "`public_key` as PEM, which begins with -----BEGIN PUBLIC KEY-----, is expected, and never a private key"
            )
        if self.signs_from and self.signs_to and self.signs_to < self.signs_from:
            raise ValueError("`signs_to` after `signs_from` is expected")
        return self


class ProvenanceDemand(Value):
    """What SLSA provenance v1 has to say. The commit is that of the release, where it has one."""

    builders: list[str] = Field(default_factory=list, description="Ids of the builders that are trusted; empty: any")
    repository: str | None = Field(None, description="The source's Git URL; default: `build.repository` of the app")
    refs: list[str] = Field(
        default_factory=list,
        description="Branches that it may be built from, or patterns like `refs/tags/v*`; empty: any",
    )


class Demand(Value):
    """What has to be attested of an image before an environment is touched, and by whose keys."""

    keys: list[TrustedKey] = Field(
        min_length=1, description="Keys whose signatures count, those of earlier times among them"
    )
    signature: bool = Field(True, description="A signature of the image, as cosign makes it")
    provenance: ProvenanceDemand | None = Field(None, description="SLSA provenance v1; `{}`: of any builder and source")
    sbom: SbomKind | None = Field(None, description="A bill of materials as an attestation")

    @model_validator(mode="after")
    def _demands_something(self) -> "Demand":
        if not (self.signature or self.provenance or self.sbom):
            raise ValueError("one of `signature`, `provenance` and `sbom` is expected")
        names = [it.name for it in self.keys]
        if len(set(names)) != len(names):
            raise ValueError("a name of its own is expected for each key")
        return self
