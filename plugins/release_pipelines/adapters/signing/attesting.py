"""Signing and verifying an image: what is said of it, signed, and attached where cosign looks for it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release_pipelines.adapters.signing.beside import SIGNATURE_OF_LAYER, Beside
from release_pipelines.core.attestations.deciding import Asked, Refusal, check, proven, signers_of
from release_pipelines.core.attestations.envelope import (
    IN_TOTO,
    bundle_document,
    envelope_document,
    pae,
    simple_signing,
    written,
)
from release_pipelines.core.attestations.looking import look_at
from release_pipelines.core.attestations.provenance import Provenance
from release_pipelines.core.attestations.statement import SIGNATURE, kind_of, statement
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.attestation import Demand
from release_pipelines.core.model.image import Image
from release_pipelines.core.ports.registry import Registry
from release_pipelines.core.ports.signing import PublicKey, Signer

PREDICATE_TYPE = "predicateType"


@dataclass(frozen=True)
class Verified:
    """What came of looking.

    :param refusals: everything that is demanded and not there; empty: it is attested as demanded.
    :param signers: names of the keys that signed anything about the image.
    :param provenance: what counts of how it was made; None: nothing, or none is demanded.
    """

    image: Image
    refusals: list[Refusal]
    signers: list[str]
    provenance: Provenance | None = None

    @property
    def sentence(self) -> str:
        """The decision, for people."""
        if self.refusals:
            return " ".join(it.sentence for it in self.refusals)
        return f"{self.image.digest} is attested as demanded, signed by {' and '.join(self.signers)}."


def verify(
    registry: Registry, repository: str, digest: str, demand: Demand, keys: Mapping[str, PublicKey], asked: Asked
) -> Verified:
    """Look for everything that is attached to an image, and decide. Whatever is unreadable or of others is never a pass.

    :param keys: the demand's keys by their names.
    :raises PlatformError: where the registry does not answer, or the image is gone: then nothing is known.
    """
    beside = Beside(registry, repository)
    image = beside.image(digest)
    found = [look_at(it, keys) for it in beside.documents(image)]
    said = proven(found, demand, image, asked)
    return Verified(image, check(found, demand, image, asked), signers_of(found, image), said)


@dataclass(frozen=True)
class Said:
    """What came of saying something.

    :param added: whether it was not there yet.
    :param unseen: why cosign 2 does not see it, as a sentence; empty: it does.
    """

    added: bool
    unseen: str = ""


def sign(registry: Registry, repository: str, digest: str, signer: Signer) -> Said:
    """Sign an image as cosign does: as a bundle, and in the tag that cosign 2 reads. Signed already by this key: nothing is done."""
    return attest(registry, repository, digest, signer, SIGNATURE, {})


def attest(
    registry: Registry, repository: str, digest: str, signer: Signer, predicate_type: str, predicate: Any
) -> Said:
    """Say something of an image, signed. Said already by this key: nothing is done.

    :param predicate: JSON.
    :raises PlatformError: where the bundle cannot be attached. A tag of cosign 2 that cannot be changed takes nothing away from it.
    """
    beside = Beside(registry, repository)
    image = beside.image(digest)
    kind = kind_of(predicate_type)
    bundles = [it for it in beside.documents(image) if it.form == "bundle"]
    for it in (look_at(document, {"": signer.public}) for document in bundles):
        if it.signers and it.kind == kind and digest in it.subjects and (it.predicate or {}) == predicate:
            return Said(False)
    payload = statement(beside.repository, digest, predicate_type, predicate)
    signature = signer.sign(pae(IN_TOTO, payload))
    unseen = ""
    try:
        _for_cosign_2(beside, digest, signer, predicate_type, payload, signature)
    except (PlatformUnavailable, Forbidden):
        raise
    except PlatformError as error:
        unseen = f"cosign 2 does not see it: {error}"
    # Last: who finds it knows that all is there.
    beside.attach(digest, bundle_document(payload, signature, signer.public.fingerprint), predicate_type)
    return Said(True, unseen)


def _for_cosign_2(
    beside: Beside, digest: str, signer: Signer, predicate_type: str, payload: bytes, signature: bytes
) -> None:
    if predicate_type == SIGNATURE:
        simple = simple_signing(beside.repository, digest)
        of_layer = base64.b64encode(signer.sign(simple)).decode()
        beside.add(digest, "sig", simple, {SIGNATURE_OF_LAYER: of_layer})
    else:
        annotations = {SIGNATURE_OF_LAYER: "", PREDICATE_TYPE: predicate_type}
        beside.add(digest, "att", written(envelope_document(payload, signature)), annotations)
