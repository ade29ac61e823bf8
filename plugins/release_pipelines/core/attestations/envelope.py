"""DSSE envelopes, Sigstore bundles around them, and the payload that cosign signs: bytes both ways."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from release_pipelines.core.attestations.reading import Unreadable, in_base64, json_object
from release_pipelines.core.text import one_line

IN_TOTO = "application/vnd.in-toto+json"
"""The only type of payload that is read."""
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLES = (BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.3")
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNED_BY_COSIGN = "cosign container image signature"
MOST_SIGNATURES = 20


@dataclass(frozen=True)
class Envelope:
    """A payload with signatures of it. Whether they are good is another question."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def signed(self) -> bytes:
        """What a signature is made of (DSSE's pre-authentication encoding)."""
        return pae(self.payload_type, self.payload)


def pae(payload_type: str, payload: bytes) -> bytes:
    """Type and payload as the bytes that are signed, so that neither can pass for a part of the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def read_envelope(content: bytes | dict[str, Any]) -> Envelope:
    """A DSSE envelope.

    :raises Unreadable: where it is none, or holds something else than a statement.
    """
    document = content if isinstance(content, dict) else json_object(content, "envelope")
    kind, signatures = document.get("payloadType"), document.get("signatures")
    if kind != IN_TOTO:
        raise Unreadable(f"its payload is of type {one_line(kind, 100)}, where {IN_TOTO} is expected")
    if not isinstance(signatures, list) or not 0 < len(signatures) <= MOST_SIGNATURES:
        raise Unreadable(f"its envelope has no list of 1 to {MOST_SIGNATURES} signatures")
    made = [in_base64(it.get("sig") if isinstance(it, dict) else None, "signature") for it in signatures]
    return Envelope(kind, in_base64(document.get("payload"), "payload"), tuple(made))


def read_bundle(content: bytes) -> Envelope:
    """The envelope in a Sigstore bundle.

    :raises Unreadable: where there is none.
    """
    document = json_object(content, "bundle")
    if document.get("mediaType") not in BUNDLES:
        raise Unreadable(
            f"its bundle is of type {one_line(document.get('mediaType'), 100)}, where {BUNDLE} is expected"
        )
    envelope = document.get("dsseEnvelope")
    if not isinstance(envelope, dict):
        raise Unreadable("its bundle has no envelope")
    return read_envelope(envelope)


def envelope_document(payload: bytes, signature: bytes) -> dict[str, Any]:
    """An envelope as JSON."""
    return {
        "payloadType": IN_TOTO,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"keyid": "", "sig": base64.b64encode(signature).decode()}],
    }


def bundle_document(payload: bytes, signature: bytes, fingerprint: bytes) -> dict[str, Any]:
    """A Sigstore bundle as JSON: signed by a key that whoever verifies has already."""
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": base64.b64encode(fingerprint).decode()}},
        "dsseEnvelope": envelope_document(payload, signature),
    }


def simple_signing(repository: str, digest: str) -> bytes:
    """The payload that cosign signs: this digest, and the name under which it was signed."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": SIGNED_BY_COSIGN,
    }
    return written({"critical": critical, "optional": None})


def read_simple_signing(content: bytes) -> str:
    """The digest that a payload of cosign's is about.

    :raises Unreadable: where it is none.
    """
    critical = json_object(content, "payload").get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    digest = image.get("docker-manifest-digest") if isinstance(image, dict) else None
    if not isinstance(critical, dict) or critical.get("type") != SIGNED_BY_COSIGN or not isinstance(digest, str):
        raise Unreadable("its payload is no signature of an image as cosign makes it")
    return digest


def written(document: Any) -> bytes:
    """JSON as bytes; the same document always has the same ones."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
