"""Keys in connections, variables and AWS KMS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from release_pipelines.adapters.signing.keys import private_key
from release_pipelines.airflow.hooks.signing import public_keys
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.attestation import KeySource, TrustedKey
from release_pipelines.hooks import SigningKeyHook
from tests.signing import pem


def connection(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> KeySource:
    monkeypatch.setenv("AIRFLOW_CONN_SIGNING", json.dumps({"conn_type": "generic", **fields}))
    return KeySource(connection="signing")


def test_a_connection_holds_the_key_and_its_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    key = pem("ecdsa", "open sesame")
    source = connection(monkeypatch, password=key, extra={"passphrase": "open sesame"})
    hook = SigningKeyHook(source)
    assert hook.public_key().knows(hook.signer().sign(b"content"), b"content")
    with pytest.raises(PlatformError, match="The key of connection signing cannot be read, or its passphrase does not"):
        SigningKeyHook(connection(monkeypatch, password=key)).signer()
    with pytest.raises(PlatformError, match="There is no key in connection signing"):
        SigningKeyHook(connection(monkeypatch)).signer()


def test_a_variable_holds_the_key_also_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    key = pem("ed25519")
    monkeypatch.setenv("AIRFLOW_VAR_SIGNING", key.replace("\n", "\\n"))
    signed = SigningKeyHook(KeySource(variable="signing")).signer().sign(b"content")
    assert private_key(key.encode(), None, "a test").public.knows(signed, b"content")


def test_of_a_trusted_key_the_public_half_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    key = private_key(pem().encode(), None, "a test")
    monkeypatch.setenv("AIRFLOW_VAR_PUBLIC", key.public.pem)
    keys = public_keys(
        [TrustedKey(name="file", public_key=key.public.pem), TrustedKey(name="variable", variable="public")]
    )
    assert {it.fingerprint for it in keys.values()} == {key.public.fingerprint}
    with pytest.raises(PlatformError, match="The key of variable public cannot be read"):
        SigningKeyHook(KeySource(variable="public")).signer()


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of a key in a service that speaks as AWS KMS does."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    extra = {"region_name": "eu-central-1", "endpoint_url": url}
    monkeypatch.setenv(
        "AIRFLOW_CONN_KEYS", json.dumps({"conn_type": "aws", "login": "a", "password": "b", "extra": extra})
    )
    access = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
    client = boto3.client("kms", region_name="eu-central-1", endpoint_url=url, **access)
    made = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    client.create_alias(AliasName="alias/signing", TargetKeyId=made)
    yield "alias/signing"
    server.stop()


def test_a_key_of_kms_is_asked_by_its_connection(kms: str) -> None:
    source = {"kms": kms, "aws_connection": "keys"}
    signature = SigningKeyHook(KeySource.model_validate(source)).signer().sign(b"content")
    [public] = public_keys([TrustedKey.model_validate({"name": "ours", **source})]).values()
    assert public.knows(signature, b"content")
