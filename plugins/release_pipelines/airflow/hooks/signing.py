"""Airflow connection, variable or key of AWS KMS → a key that signs, or knows signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.attestation import KeySource, TrustedKey

if TYPE_CHECKING:
    from release_pipelines.core.ports.signing import PublicKey, Signer


class SigningKeyHook(BaseHook):
    """A key: read when it is used, and kept nowhere.

    A connection may be of any type: its password is the key as PEM, and its extra may have ``{"passphrase": …}``.

    :param source: the :class:`~release_pipelines.core.model.attestation.KeySource` or its dict: where the key is.
    """

    hook_name = "Signing key"

    def __init__(self, source: KeySource) -> None:
        super().__init__()
        self.source = source

    def signer(self) -> Signer:
        """The key that signs.

        :raises PlatformError: where there is none, or it cannot be read.
        """
        from release_pipelines.adapters.signing.keys import private_key

        if self.source.kms:
            return self._kms()
        pem, passphrase = self._read()
        return private_key(pem.encode(), passphrase.encode() if passphrase else None, self._where)

    def public_key(self) -> PublicKey:
        """Its public half, also where only that is kept.

        :raises PlatformError: where there is none, or it cannot be read.
        """
        from release_pipelines.adapters.signing.keys import public_key

        if self.source.kms:
            return self._kms().public
        if isinstance(self.source, TrustedKey) and self.source.public_key:
            return public_key(self.source.public_key.encode(), f"`{self.source.name}`")
        pem, _ = self._read()
        return self.signer().public if "PRIVATE KEY-----" in pem else public_key(pem.encode(), self._where)

    @property
    def _where(self) -> str:
        kind = "connection" if self.source.connection else "variable"
        return f"{kind} {self.source.connection or self.source.variable}"

    def _kms(self) -> Signer:
        from release_pipelines.adapters.signing.kms import KmsKey
        from release_pipelines.airflow.hooks.aws import key_management

        return KmsKey(self.source.kms or "", lambda: key_management(self.source.aws_connection))

    def _read(self) -> tuple[str, str | None]:
        """The key as PEM and its passphrase."""
        from airflow.sdk import Variable
        from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError

        passphrase = None
        try:
            if self.source.connection:
                connection = self.get_connection(self.source.connection)
                pem, extra = connection.password, connection.extra_dejson
                passphrase = extra.get("passphrase") if isinstance(extra, dict) else None
            else:
                pem = Variable.get(self.source.variable or "")
        except (AirflowNotFoundException, AirflowRuntimeError, KeyError):
            raise PlatformError(f"Airflow has no {self._where}, which should hold a key.") from None
        if not pem:
            raise PlatformError(f"There is no key in {self._where}: one as PEM is expected.")
        return str(pem).replace("\\n", "\n"), str(passphrase) if passphrase else None


def public_keys(keys: list[TrustedKey]) -> dict[str, PublicKey]:
    """Keys by their names.

    :raises PlatformError: where one cannot be read: without it nobody can say whether a signature is foreign.
    """
    return {key.name: SigningKeyHook(key).public_key() for key in keys}
