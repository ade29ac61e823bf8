"""Policies: what a release must have, what they answered, and who let a release through all the same."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from release_pipelines.core.model.base import Stored, Value
from release_pipelines.core.model.units import Sentence, no_number
from release_pipelines.core.text import clean

Words = Annotated[str, AfterValidator(lambda raw: " ".join(clean(raw, 500).split())), Field(min_length=1)]
PolicyName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""A file of the folder of policies without ``.rego``, or a folder in it."""

QUERY = "data.release.deny"
"""What every policy is asked."""


class PolicyWaiver(Value):
    """One rule does not stop one app until a day."""

    app: str = Field(min_length=1, description="The app that it is for")
    rule: str = Field(min_length=1, description="The policy, or `policy.rule` where the rule has a name")
    reason: str = Field(min_length=1)
    until: Annotated[date, BeforeValidator(lambda it: no_number(it, "a day like 2026-12-31"))] = Field(
        description="The last day on which it counts, in the environment's time zone"
    )
    who: str = Field(min_length=1, description="Who answers for it")


class Policy(Value):
    """A policy with its text."""

    name: str
    files: dict[str, str] = Field(description="Paths, as people are told them, to texts")


class Denial(Stored):
    """What a rule has against a release."""

    rule: Words = Field(description="The policy, or `policy.rule`")
    message: Words
    evidence: Any = None
    waived: Words | None = Field(None, description="Why it does not count, until when, and who says so")


class Answer(Stored):
    """What one policy answered."""

    policy: str
    rules: int = Field(0, description="Rules that were asked")
    denials: list[Denial] = Field(default_factory=list)
    unasked: list[Sentence] = Field(default_factory=list, description="Why it could not be asked")
    postponed: list[str] = Field(default_factory=list, description="Evidence that is known later, when it is asked")


class Ruling(Stored):
    """What all policies together amount to. ``unknown``: one could not be asked, which stops a release like a denial."""

    status: Literal["passed", "denied", "unknown"]
    rules: int
    answers: list[Answer]
    sentence: Sentence
