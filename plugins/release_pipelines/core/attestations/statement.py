"""in-toto statements: which images they speak of, and what kind of thing they say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from release_pipelines.core.attestations.envelope import Envelope, written
from release_pipelines.core.attestations.reading import Unreadable, json_object
from release_pipelines.core.text import one_line

STATEMENT = "https://in-toto.io/Statement/v1"
STATEMENTS = (STATEMENT, "https://in-toto.io/Statement/v0.1")
PROVENANCE = "https://slsa.dev/provenance/v1"
CYCLONEDX = "https://cyclonedx.org/bom"
SPDX = "https://spdx.dev/Document"
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"

KINDS = {PROVENANCE: "slsa provenance v1", CYCLONEDX: "cyclonedx", SPDX: "spdx", SIGNATURE: "signature"}
"""Predicate types to what sentences call them."""
EARLIER = re.compile(r"https://slsa\.dev/provenance/(v0\.\d+)")
MOST_SUBJECTS = 10_000


@dataclass(frozen=True)
class Statement:
    """Something that is said of images.

    :param subjects: their digests.
    :param kind: what it is, in words: one of :data:`KINDS`, or the predicate's type.
    :param predicate: what is said.
    """

    subjects: tuple[str, ...]
    kind: str
    predicate: Any


def kind_of(predicate_type: str) -> str:
    """What sentences call a predicate type."""
    if predicate_type in KINDS:
        return KINDS[predicate_type]
    for base in (CYCLONEDX, SPDX):
        if re.fullmatch(re.escape(base) + r"/v\d+(\.\d+)*", predicate_type):
            return KINDS[base]
    earlier = EARLIER.fullmatch(predicate_type)
    return f"slsa provenance {earlier[1]}" if earlier else one_line(predicate_type, 200)


def read_statement(envelope: Envelope) -> Statement:
    """The statement in an envelope.

    :raises Unreadable: where it is none, or speaks of nothing.
    """
    document = json_object(envelope.payload, "payload")
    if document.get("_type") not in STATEMENTS:
        raise Unreadable(
            f"its payload is of type {one_line(document.get('_type'), 100)}, where {STATEMENT} is expected"
        )
    kind, subjects = document.get("predicateType"), document.get("subject")
    if not isinstance(kind, str) or not kind:
        raise Unreadable("its statement says nothing: it has no predicate type")
    if not isinstance(subjects, list) or not 0 < len(subjects) <= MOST_SUBJECTS:
        raise Unreadable("its statement speaks of nothing: it has no subject")
    return Statement(tuple(_digests(subjects)), kind_of(kind), document.get("predicate"))


def _digests(subjects: Iterable[Any]) -> Iterable[str]:
    for it in subjects:
        given = it.get("digest") if isinstance(it, dict) else None
        if not isinstance(given, dict):
            raise Unreadable("its statement has a subject without a digest")
        digest = given.get("sha256")
        if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest):
            yield f"sha256:{digest}"


def statement(repository: str, digest: str, predicate_type: str, predicate: Any) -> bytes:
    """A statement about one image, as bytes."""
    return written(
        {
            "_type": STATEMENT,
            "subject": [{"name": repository, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
