"""Who may approve a release, and shorten its checks: named people, but for whoever asked for it (R10).

People are known by several names: an auth manager tells an id and a name, a file may name an e-mail, a robot says for whom it works.
What gives a right is compared strictly; what takes one away is compared with the benefit of the doubt for four eyes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from release_pipelines.core.model.person import Identity, Person

LOOKS_LIKE_ID = re.compile(r"\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""Ids of auth managers. Nobody may become an approver by a user name that is another one's id."""


def allowed_approvers(approvers: Sequence[str | Person], *asked: str | None, self_approval: bool) -> list[str | Person]:
    """The people who may approve.

    :param approvers: those whom the environment's file names.
    :param asked: who asked for the release, and who started its run.
    :param self_approval: whether who asked may approve, too.
    """
    return [it for it in approvers if self_approval or not same_person(words_of(it), asked)]


def approves_alone(by: str | Identity | None, *asked: str | None, self_approval: bool) -> bool:
    """Whether an answer is by who asked, where a second pair of eyes is wanted."""
    return same_person(by.words if isinstance(by, Identity) else [by], asked) and not self_approval


def is_one_of(people: Iterable[str | Person], identity: Identity) -> bool:
    """Whether who has signed in is one of these people: by id, by name, or by an e-mail that is the name."""
    return any(_is(it, identity) for it in people)


def _is(person: str | Person, identity: Identity) -> bool:
    words = {it.casefold() for it in words_of(person)}
    if identity.id and identity.id.casefold() in words:
        return True
    if not identity.name or identity.name.casefold() not in words:
        return False
    named = isinstance(person, Person) and person.name is not None
    return named or not LOOKS_LIKE_ID.fullmatch(identity.name)


def same_person(some: Iterable[str | None], others: Iterable[str | None]) -> bool:
    """Whether two sets of names may be those of one person: also by the part of an e-mail before its domain."""
    return bool(_known_by(some) & _known_by(others))


def _known_by(words: Iterable[str | None]) -> set[str]:
    found = {it.strip().casefold() for it in words if it and it.strip()}
    return found | {it.partition("@")[0] for it in found if "@" in it[1:]}


def words_of(person: str | Person) -> tuple[str, ...]:
    """Every name by which somebody is known."""
    return person.words if isinstance(person, Person) else (person,)


def id_of(person: str | Person) -> str | None:
    """Somebody's id in an auth manager that has ids of its own; None where it is not known."""
    if isinstance(person, Person):
        return person.id
    return person if LOOKS_LIKE_ID.fullmatch(person) else None


def in_words(people: Iterable[str | Person], otherwise: str = "anybody") -> str:
    """Like ``bob or carol``."""
    return " or ".join(map(str, people)) or otherwise
