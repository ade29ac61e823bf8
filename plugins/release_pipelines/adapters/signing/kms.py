"""Keys of AWS KMS: they sign there, and never leave it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from release_pipelines.adapters.signing.keys import Public, public_key
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.text import one_line

ALGORITHM = "ECDSA_SHA_256"
MOST_BYTES = 4096
"""Of longer messages KMS takes the digest."""
DENIED = (
    "AccessDenied",
    "UnrecognizedClient",
    "InvalidClientToken",
    "ExpiredToken",
    "InvalidSignature",
    "KMSInvalidSign",
)
BUSY = ("Throttling", "KMSInternal", "DependencyTimeout", "ServiceUnavailable", "InternalFailure", "LimitExceeded")


class KmsKey:
    """A key of type ECC_NIST_P256 whose use is SIGN_VERIFY.

    :param key: its id, ARN or alias.
    :param client: opens boto3's client of KMS; called when it is first needed.
    """

    def __init__(self, key: str, client: Callable[[], Any]) -> None:
        self._key = key
        self._open = client

    @cached_property
    def _client(self) -> Any:
        return self._open()

    @cached_property
    def public(self) -> Public:
        """The public half."""
        with self._errors():
            answer = self._client.get_public_key(KeyId=self._key)
        return public_key(answer["PublicKey"], f"KMS key {self._key}")

    def sign(self, content: bytes) -> bytes:
        """A signature of ECDSA with SHA-256, in DER."""
        short = len(content) <= MOST_BYTES
        message = {
            "Message": content if short else hashlib.sha256(content).digest(),
            "MessageType": "RAW" if short else "DIGEST",
        }
        with self._errors():
            answer = self._client.sign(KeyId=self._key, SigningAlgorithm=ALGORITHM, **message)
        signature = bytes(answer["Signature"])
        if not self.public.knows(signature, content):
            raise PlatformError(f"KMS gave a signature that its key {self._key} does not know: nothing is signed.")
        return signature

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where boto3's errors become ours."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            sentence = f"KMS key {self._key}: {one_line(error)}."
            if code.startswith(DENIED):
                raise Forbidden(sentence) from error
            raise (PlatformUnavailable if code.startswith(BUSY) else PlatformError)(sentence) from error
        except BotoCoreError as error:
            raise PlatformUnavailable(f"KMS does not answer for the key {self._key}: {one_line(error)}.") from error


def client_of_this_machine() -> Any:
    """boto3's client of KMS, with the credentials of the machine."""
    import boto3

    return boto3.client("kms")
