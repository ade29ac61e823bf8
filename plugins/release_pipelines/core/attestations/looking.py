"""Documents as they hang on an image → what they say, and which keys signed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from release_pipelines.core.attestations.deciding import Attached
from release_pipelines.core.attestations.envelope import Envelope, read_bundle, read_envelope, read_simple_signing
from release_pipelines.core.attestations.reading import Unreadable, in_base64
from release_pipelines.core.attestations.statement import KINDS, SIGNATURE, read_statement
from release_pipelines.core.ports.signing import PublicKey


@dataclass(frozen=True)
class Document:
    """Something that a registry has beside an image.

    :param where: its manifest's digest, or its tag.
    :param form: how it is packed.
    :param signature: of a payload of cosign's, in base64, which stands beside it.
    """

    where: str
    form: Literal["bundle", "envelope", "simple_signing"]
    content: bytes
    signature: str = ""


def look_at(document: Document, keys: Mapping[str, PublicKey]) -> Attached:
    """What a document says, and who of the keys signed it. What cannot be read says nothing, and why. Never raises.

    :param keys: those that count, by their names.
    """
    try:
        if document.form == "simple_signing":
            return _simple_signing(document, keys)
        envelope = read_bundle(document.content) if document.form == "bundle" else read_envelope(document.content)
        said = read_statement(envelope)
        return Attached(document.where, _signers(envelope, keys), said.subjects, said.kind, said.predicate)
    except Unreadable as error:
        return Attached(document.where, unreadable=str(error))


def _signers(envelope: Envelope, keys: Mapping[str, PublicKey]) -> tuple[str, ...]:
    return tuple(
        name for name, key in keys.items() if any(key.knows(it, envelope.signed) for it in envelope.signatures)
    )


def _simple_signing(document: Document, keys: Mapping[str, PublicKey]) -> Attached:
    digest, signature = read_simple_signing(document.content), in_base64(document.signature, "signature")
    signers = tuple(name for name, key in keys.items() if key.knows(signature, document.content))
    return Attached(document.where, signers, (digest,), KINDS[SIGNATURE], {})
