"""Is what is attested of an image what is demanded of it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any, Literal

from release_pipelines.core.attestations.provenance import Provenance, read_provenance, same_repository
from release_pipelines.core.attestations.reading import Unreadable
from release_pipelines.core.attestations.statement import CYCLONEDX, KINDS, PROVENANCE, SIGNATURE, SPDX
from release_pipelines.core.model.attestation import Demand, ProvenanceDemand, TrustedKey
from release_pipelines.core.model.image import Image
from release_pipelines.core.model.source import without_login
from release_pipelines.core.text import one_line

Why = Literal[
    "missing", "unreadable", "kind", "signer", "retired", "subject", "content", "builder", "source", "platform"
]
SHOWN = 5
"""Maximum number of objections that are told of one thing that is demanded."""


@dataclass(frozen=True)
class Attached:
    """A document that hangs on an image, or on one of its platforms.

    :param where: what sentences call it, like ``sha256:…``.
    :param signers: names of the demanded keys that signed it.
    :param subjects: digests that it speaks of.
    :param kind: what it is, in words.
    :param predicate: what it says.
    :param unreadable: what is wrong with it, as half a sentence: then nothing else is known.
    """

    where: str
    signers: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    kind: str = ""
    predicate: Any = None
    unreadable: str | None = None

    def says_as(self, other: Attached) -> bool:
        """Whether another one says the same, signed by the same: what hangs there as a bundle and in a tag is told once."""
        return not self.unreadable and self == replace(other, where=self.where)


@dataclass(frozen=True)
class Asked:
    """What is known of the image from elsewhere.

    :param commit: that it was built from, as the release knows it; None: it knows none.
    :param repository: of its source, as the app's file names it.
    :param now: the time, as a Unix time.
    :param known_since: when the history first had the digest verified, signed or promoted, as a Unix time; None: never before.
    """

    now: float
    commit: str | None = None
    repository: str | None = None
    known_since: float | None = None


@dataclass(frozen=True)
class Refusal:
    """Why something that is demanded is not there."""

    why: Why
    sentence: str


@dataclass(frozen=True)
class _Wanted:
    """One thing that is demanded.

    :param kinds: what counts as such.
    :param objection: what speaks against what a document of the right kind says.
    """

    words: str
    kinds: tuple[str, ...]
    objection: Callable[[Attached], Refusal | None]


def check(found: Sequence[Attached], demand: Demand, image: Image, asked: Asked) -> list[Refusal]:
    """Everything that is demanded and not there; empty: the image may be released.

    It makes no difference where a document hangs, but what it speaks of: the digest itself, or each of its platforms.
    """
    different = [it for n, it in enumerate(found) if not any(it.says_as(other) for other in found[:n])]
    return [it for wanted in _wanted(demand, asked) for it in _missing(different, wanted, demand, image, asked)]


def signers_of(found: Sequence[Attached], image: Image) -> list[str]:
    """Names of the keys that signed anything about an image, for sentences."""
    ours = {image.digest, *(it.digest for it in image.platforms)}
    return list(dict.fromkeys(name for it in found if ours & set(it.subjects) for name in it.signers))


def proven(found: Sequence[Attached], demand: Demand, image: Image, asked: Asked) -> Provenance | None:
    """The first provenance of the digest that counts: for policies, which may ask for more of it."""
    wanted = next(_wanted(demand.model_copy(update={"signature": False, "sbom": None}), asked), None)
    if wanted is None:
        return None
    ours = {image.digest, *(it.digest for it in image.platforms)}
    for it in found:
        if _objection(it, wanted, demand, image, ours, asked) is None:
            return read_provenance(it.predicate)
    return None


def distrust(key: TrustedKey, asked: Asked) -> str | None:
    """Why a key's signature does not count, as half a sentence; None: it does.

    A signature tells no time that its maker could not choose. So a retired key is believed only about what the history had verified,
    signed or promoted while the key still signed.
    """
    if key.signs_from and asked.now < key.signs_from.timestamp():
        return f"signs only from {_day(key.signs_from)} on"
    if key.signs_to is None or asked.now <= key.signs_to.timestamp():
        return None
    if asked.known_since is not None and asked.known_since <= key.signs_to.timestamp():
        return None
    known = datetime.fromtimestamp(asked.known_since, timezone.utc) if asked.known_since is not None else None
    since = f"knows this digest only since {_day(known)}" if known else "does not know this digest from before"
    return f"was retired on {_day(key.signs_to)}, and the history {since}"


def _wanted(demand: Demand, asked: Asked) -> Iterator[_Wanted]:
    if demand.signature:
        yield _Wanted("signature", (KINDS[SIGNATURE],), lambda _: None)
    if demand.provenance is not None:
        provenance = demand.provenance
        yield _Wanted(KINDS[PROVENANCE], (KINDS[PROVENANCE],), lambda it: _of_provenance(it, provenance, asked))
    if demand.sbom is not None:
        kinds = {"any": (KINDS[CYCLONEDX], KINDS[SPDX])}.get(demand.sbom, (demand.sbom,))
        yield _Wanted(" or ".join(kinds), kinds, _of_sbom)


def _missing(
    found: Sequence[Attached], wanted: _Wanted, demand: Demand, image: Image, asked: Asked
) -> Iterator[Refusal]:
    platforms = [it for it in image.platforms if it.digest != image.digest]
    ours = {image.digest, *(it.digest for it in platforms)}
    objections: list[Refusal] = []
    covered: set[str] = set()
    for it in found:
        objection = _objection(it, wanted, demand, image, ours, asked)
        if objection is None:
            covered |= ours & set(it.subjects)
        else:
            objections.append(objection)
    if image.digest in covered or (platforms and all(it.digest in covered for it in platforms)):
        return
    if covered:
        for one in platforms:
            if one.digest not in covered:
                yield Refusal(
                    "platform", f"{one.platform} {one.digest} has no {wanted.words}, demanded of every platform."
                )
        return
    right = [it for it in objections if it.why != "kind"]
    kinds = list(dict.fromkeys(it.kind for it in found if not it.unreadable and it.kind not in wanted.kinds))
    if right:
        yield from list(dict.fromkeys(right))[:SHOWN]
    elif kinds:
        yield Refusal("kind", f"{image.digest}: found {' and '.join(kinds[:SHOWN])}, demanded {wanted.words}.")
    else:
        yield Refusal("missing", f"{image.digest}: found nothing, demanded {wanted.words}.")


def _objection(
    it: Attached, wanted: _Wanted, demand: Demand, image: Image, ours: Iterable[str], asked: Asked
) -> Refusal | None:
    """What speaks against one document as what is wanted."""
    if it.unreadable:
        return Refusal("unreadable", f"{it.where} beside {image.digest} cannot be read: {it.unreadable}.")
    if it.kind not in wanted.kinds:
        return Refusal("kind", "")
    if not it.signers:
        names = " and ".join(key.name for key in demand.keys)
        return Refusal(
            "signer", f"The {it.kind} {it.where} is signed by none of the keys that are trusted here: {names}."
        )
    doubts = {key.name: distrust(key, asked) for key in demand.keys if key.name in it.signers}
    if all(doubts.values()):
        name, doubt = next(iter(doubts.items()))
        return Refusal("retired", f"The {it.kind} {it.where} is signed by {name}, which {doubt}.")
    if not set(ours) & set(it.subjects):
        about = " and ".join(it.subjects[:SHOWN]) or "no image"
        return Refusal("subject", f"The {it.kind} {it.where} speaks of {about}, not of {image.digest}.")
    return wanted.objection(it)


def _of_provenance(it: Attached, demand: ProvenanceDemand, asked: Asked) -> Refusal | None:
    try:
        said = read_provenance(it.predicate)
    except Unreadable as error:
        return Refusal("content", f"The provenance {it.where} cannot be read: {error}.")
    if demand.builders and said.builder not in demand.builders:
        expected = " or ".join(demand.builders)
        return Refusal("builder", f"Built by {one_line(said.builder)}, expected {expected} ({it.where}).")
    return _of_source(it, said, demand, asked)


def _of_source(it: Attached, said: Provenance, demand: ProvenanceDemand, asked: Asked) -> Refusal | None:
    wanted = demand.repository or asked.repository
    if wanted and (said.repository is None or not same_repository(said.repository, wanted)):
        named = without_login(one_line(said.repository)) if said.repository else "no repository"
        return Refusal("source", f"Built from {named}, expected {without_login(wanted)} ({it.where}).")
    if asked.commit and said.commits != {asked.commit.lower()}:
        named = " and ".join(sorted(one_line(commit, 100) for commit in said.commits)) or "no commit"
        return Refusal("source", f"Built from commit {named}, expected {asked.commit} ({it.where}).")
    if demand.refs and not (said.refs and all(_one_of(ref, demand.refs) for ref in said.refs)):
        named = " and ".join(sorted(one_line(ref, 200) for ref in said.refs)) or "no branch"
        return Refusal("source", f"Built from {named}, expected {' or '.join(demand.refs)} ({it.where}).")
    return None


def _one_of(ref: str, patterns: Iterable[str]) -> bool:
    """Whether a ref fits; a pattern without ``refs/`` is a branch."""
    full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    return any(fnmatchcase(full, it if it.startswith("refs/") else f"refs/heads/{it}") for it in patterns)


def _of_sbom(it: Attached) -> Refusal | None:
    said = it.predicate
    if it.kind == KINDS[SPDX]:
        good = isinstance(said, Mapping) and isinstance(said.get("spdxVersion"), str)
        good = good or (isinstance(said, str) and said.lstrip().startswith("SPDXVersion:"))
    else:
        good = isinstance(said, Mapping) and said.get("bomFormat") == "CycloneDX"
    return None if good else Refusal("content", f"The {it.kind} {it.where} holds no such bill of materials.")


def _day(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d")
