"""Private keys as ``cosign generate-key-pair`` writes them: scrypt, and NaCl's secretbox."""

from __future__ import annotations

import base64
import hashlib
import re

from release_pipelines.core.attestations.reading import Unreadable, json_object
from release_pipelines.core.errors import PlatformError

MOST_COST = 2**20
MOST_MEMORY = 2**28
"""What a passphrase may cost at most: iterations, and bytes."""


def decrypted(pem: bytes, passphrase: bytes, what: str) -> bytes:
    """The key as PKCS #8 in DER.

    :raises PlatformError: where PyNaCl is not installed.
    :raises ValueError: where it cannot be read, or the passphrase does not fit.
    """
    try:
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    except ImportError:
        raise PlatformError(
            f"The key of {what} is encrypted as cosign does it, which needs PyNaCl here (extra `cosign`); PKCS #8 needs nothing."
        ) from None
    body = re.sub(rb"-----[A-Z ]+-----|\s", b"", pem)
    try:
        box = json_object(base64.b64decode(body, validate=True), "key")
        kdf, cipher = box["kdf"], box["cipher"]
        cost = kdf["params"]
        if kdf["name"] != "scrypt" or cipher["name"] != "nacl/secretbox" or cost["N"] > MOST_COST:
            raise ValueError("another kind of encryption")
        salt, n, r, p = base64.b64decode(kdf["salt"]), cost["N"], cost["r"], cost["p"]
        key = hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=MOST_MEMORY, dklen=32)
        return bytes(SecretBox(key).decrypt(base64.b64decode(box["ciphertext"]), base64.b64decode(cipher["nonce"])))
    except (Unreadable, KeyError, TypeError, CryptoError) as error:
        raise ValueError(type(error).__name__) from None
