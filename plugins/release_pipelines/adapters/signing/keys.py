"""Keys as PEM: ECDSA P-256 and Ed25519."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import PlatformError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KINDS = "a key of ECDSA P-256 or Ed25519 as PEM is expected"
OF_COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----")


class Public:
    """A public key."""

    def __init__(self, key: EllipticCurvePublicKey | Ed25519PublicKey) -> None:
        self._key = key

    def knows(self, signature: bytes, content: bytes) -> bool:
        """Whether the key made this signature of this content."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
            else:
                self._key.verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the key in DER."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return hashlib.sha256(self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()

    @property
    def pem(self) -> str:
        """The key as ``cosign verify --key`` takes it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Private:
    """A private key. Its text shows nothing of it."""

    def __init__(self, key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> None:
        self._key = key
        self.public = Public(key.public_key())

    def sign(self, content: bytes) -> bytes:
        """A signature: ECDSA with SHA-256 in DER, or Ed25519."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(content, ec.ECDSA(hashes.SHA256()))
        return self._key.sign(content)


def private_key(pem: bytes, passphrase: bytes | None, what: str) -> Private:
    """A private key.

    :param pem: as PKCS #8, encrypted or not; or as ``cosign generate-key-pair`` writes it.
    :param what: where it comes from, for sentences; nothing of the key is ever in one.
    :raises PlatformError: where it is none of these, or the passphrase does not fit.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    try:
        if OF_COSIGN.search(pem):
            from release_pipelines.adapters.signing.cosign_key import decrypted

            key: Any = load_der_private_key(decrypted(pem, passphrase or b"", what), None)
        else:
            key = load_pem_private_key(pem, passphrase or None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PlatformError(f"The key of {what} cannot be read, or its passphrase does not fit: {KINDS}.") from None
    if not _fits(key.public_key()):
        raise PlatformError(f"The key of {what} is of another kind: {KINDS}.")
    return Private(key)


def public_key(pem: bytes, what: str) -> Public:
    """A public key.

    :raises PlatformError: where it is none that is known here.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        key: Any = load_pem_public_key(pem) if pem.lstrip().startswith(b"-----") else load_der_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PlatformError(f"The public key of {what} cannot be read: {KINDS}.") from None
    if not _fits(key):
        raise PlatformError(f"The public key of {what} is of another kind: {KINDS}.")
    return Public(key)


def _fits(key: Any) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name == "secp256r1"
    return isinstance(key, ed25519.Ed25519PublicKey)
