"""Keys that sign, and keys that know signatures."""

from __future__ import annotations

from typing import Protocol


class PublicKey(Protocol):
    """The public half of a key."""

    def knows(self, signature: bytes, content: bytes) -> bool:
        """Whether the key made this signature of this content. What is no signature at all it does not know."""

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the key in DER: the hint by which others find it."""


class Signer(Protocol):
    """A key that signs."""

    @property
    def public(self) -> PublicKey:
        """Its public half."""

    def sign(self, content: bytes) -> bytes:
        """A signature: ECDSA with SHA-256 in DER, or Ed25519.

        :raises PlatformUnavailable: where a service that holds the key does not answer.
        """
