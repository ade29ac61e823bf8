"""What an app allows and forbids of what scanners find: the keys of its file that decide, as data."""

from datetime import date, datetime, timezone
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from typing_extensions import Self

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.model.units import Duration, Limit
from release_pipelines.core.text import clean


def _said(raw: str) -> str:
    text = " ".join(clean(raw, 500).split())
    if not text:
        raise ValueError("a text that says something is expected")
    return text


Said = Annotated[str, AfterValidator(_said)]
"""A text that has something in it, in one line."""


def _component(raw: str) -> str:
    from release_pipelines.core.findings.components import component_in, is_purl

    text = _said(raw)
    if is_purl(text) and component_in(text) is None:
        raise ValueError("a package URL like pkg:npm/left-pad@1.3.0, or the path of a file is expected")
    return text.removeprefix("./")


def _day(raw: Any) -> date:
    try:
        return raw if type(raw) is date else date.fromisoformat(raw)
    except (TypeError, ValueError):  # also one with a time, which would not be the end of a day
        raise ValueError("a day like 2027-03-31 is expected") from None


class Exemption(Value):
    """An exception: one finding in one component that somebody lets pass for a while."""

    id: Said = Field(description="Any name of the flaw, the rule that found it, or the licence")
    component: Annotated[str, AfterValidator(_component)] = Field(
        description="Package URL; with a version only that one, without any. A finding in a file: its path, as the scanner names it"
    )
    reason: Said
    until: Annotated[date, BeforeValidator(_day)] = Field(description="The last day on which it holds, in UTC")
    who: Said = Field(description="Who answers for it")

    def holds(self, now: float) -> bool:
        """Whether it holds at a Unix time in seconds."""
        return datetime.fromtimestamp(now, timezone.utc).date() <= self.until


class Licences(Value):
    """Licences by their SPDX ids."""

    allow: list[str] = Field(default_factory=list, description="Nothing else is allowed; empty: all that is not denied")
    deny: list[str] = Field(
        default_factory=list, description="Forbidden, also where an expression needs it beside others"
    )

    @field_validator("allow", "deny")
    @classmethod
    def _are_licences(cls, names: list[str]) -> list[str]:
        from release_pipelines.core.findings.licences import key_of

        keys = []
        for name in names:
            key = key_of(name)
            if key is None:
                raise ValueError(f"licences by their SPDX ids, each alone, are expected, found `{clean(name, 100)}`")
            keys.append(key)
        return keys

    @model_validator(mode="after")
    def _say_something(self) -> Self:
        if not (self.allow or self.deny):
            raise ValueError("`allow` or `deny` with licences is expected, found neither")
        return self


class Epss(Value):
    """From which probability of being exploited on a vulnerability stops a release."""

    at_least: Limit = Field(gt=0, le=1, description="Like 10%")
    data: Said | None = Field(
        None,
        description="The feed on the workers, or its address: CSV, also packed by gzip; default: `advisories.epss` of the environment",
    )


class Rules(Value):
    """What stops a release of all that scanners find. Each key but ``block_on`` asks for something that is off without it."""

    later: ClassVar[frozenset[str]] = frozenset(
        {"only_fixable", "unknown_severity", "data_older_than", "licences", "exceptions", "known_exploited", "epss"}
    )

    block_on: Severity = Field("high", description="Findings from this severity on block")
    only_fixable: bool = Field(
        False, description="true: a vulnerability that no version ends yet does not block by its severity"
    )
    unknown_severity: Literal["block", "ignore"] = Field(
        "block", description="What a finding does whose severity nobody can say"
    )
    data_older_than: Duration | None = Field(
        None,
        gt=0,
        description="Data of scanners and feeds older than this count as none; default: their age does not matter",
    )
    licences: Licences | None = Field(None, description="Which licences components may have")
    known_exploited: bool | Said = Field(
        False,
        description="What the list of known exploited vulnerabilities (KEV) names blocks. true: the list is `advisories.kev` of the "
        "environment; a path on the workers, or an address: that one",
    )
    epss: Epss | None = Field(None, description="Vulnerabilities that are likely to be exploited block")
    exceptions: list[Exemption] = Field(default_factory=list, description="What is let pass, for how long, and by whom")

    @property
    def ask_for_more(self) -> bool:
        """Whether they ask for anything but a severity."""
        return any(
            getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True)
            for name in Rules.later
        )
