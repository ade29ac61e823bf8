"""Keys from PEM, from cosign and from KMS; a key that cannot be used is a sentence without anything of it."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from moto.server import ThreadedMotoServer

from release_pipelines.adapters.signing.keys import private_key, public_key
from release_pipelines.adapters.signing.kms import KmsKey
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from tests.signing import COSIGNS, Cosign, pem


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_a_key_as_pem_signs_and_its_public_half_knows_it(kind: str, passphrase: str | None) -> None:
    key = private_key(pem(kind, passphrase).encode(), passphrase.encode() if passphrase else None, "a test")
    signature = key.sign(b"content")
    public = public_key(key.public.pem.encode(), "a test")
    assert public.knows(signature, b"content")
    assert not public.knows(signature, b"contenT")
    assert not public.knows(b"", b"content")
    assert public.fingerprint == key.public.fingerprint


def test_openssl_knows_the_signature(tmp_path: Path) -> None:
    key = private_key(pem().encode(), None, "a test")
    for name, content in (("pub", key.public.pem.encode()), ("sig", key.sign(b"content")), ("content", b"content")):
        (tmp_path / name).write_bytes(content)
    command = ["openssl", "dgst", "-sha256", "-verify", "pub", "-signature", "sig", "content"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def other_kinds() -> list[bytes]:
    keys: list[Any] = [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
    return [it.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for it in keys]


@pytest.mark.parametrize("content", [b"", b"hunter2", *other_kinds()], ids=["empty", "text", "rsa", "p384"])
def test_what_is_no_key_of_ours_is_a_sentence_without_it(content: bytes) -> None:
    with pytest.raises(PlatformError) as said:
        private_key(content, None, "connection signing")
    assert "connection signing" in str(said.value)
    assert "a key of ECDSA P-256 or Ed25519 as PEM is expected" in str(said.value)
    assert "hunter2" not in str(said.value)
    with pytest.raises(PlatformError, match="public key of `K1`"):
        public_key(content, "`K1`")


def test_a_passphrase_that_does_not_fit_is_a_sentence_without_it() -> None:
    with pytest.raises(PlatformError, match="or its passphrase does not fit") as said:
        private_key(pem("ecdsa", "open sesame").encode(), b"hunter2", "variable signing")
    assert "hunter2" not in str(said.value)


@pytest.mark.parametrize("name", COSIGNS)
def test_a_key_that_cosign_made_signs(tmp_path: Path, name: str) -> None:
    cosign = Cosign(name, tmp_path)
    if importlib.util.find_spec("nacl") is None:
        with pytest.raises(PlatformError, match="needs PyNaCl here"):
            private_key(cosign.private, b"secret", "connection signing")
        pytest.skip("not run: PyNaCl is not on this machine")
    key = private_key(cosign.private, b"secret", "connection signing")
    assert key.public.pem.strip() == cosign.public.strip()
    with pytest.raises(PlatformError, match="or its passphrase does not fit"):
        private_key(cosign.private, b"wrong", "connection signing")
    with pytest.raises(PlatformError, match="cannot be read"):
        private_key(cosign.private.replace(b"e", b"f", 40), b"secret", "connection signing")


# --- KMS --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    """boto3's client of a service that speaks as AWS KMS does."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield boto3.client(
        "kms",
        region_name="eu-central-1",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"max_attempts": 1}),
    )
    server.stop()


def test_a_key_of_kms_signs_there(kms: Any) -> None:
    made = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/signing", TargetKeyId=made)
    key = KmsKey("alias/signing", lambda: kms)
    assert key.public.knows(key.sign(b"content"), b"content")
    assert KmsKey(made, lambda: kms).public.fingerprint == key.public.fingerprint


class OfDigests:
    """KMS as its API reference has it for messages of over 4096 bytes, which moto signs as if they were short ones."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def get_public_key(self, KeyId: str) -> dict[str, bytes]:
        return {"PublicKey": self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)}

    def sign(self, KeyId: str, Message: bytes, MessageType: str, SigningAlgorithm: str) -> dict[str, bytes]:
        assert (MessageType, SigningAlgorithm, len(Message)) == ("DIGEST", "ECDSA_SHA_256", 32)
        return {"Signature": self._key.sign(Message, ec.ECDSA(Prehashed(hashes.SHA256())))}


def test_of_a_long_message_kms_signs_the_digest() -> None:
    client = OfDigests(ec.generate_private_key(ec.SECP256R1()))
    key = KmsKey("long", lambda: client)
    content = b"x" * 10_000
    assert key.public.knows(key.sign(content), content)


def test_a_key_of_kms_that_is_not_there_or_of_another_kind_is_a_sentence(kms: Any) -> None:
    with pytest.raises(PlatformError, match="KMS key alias/gone: "):
        KmsKey("alias/gone", lambda: kms).sign(b"content")
    rsa_key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    with pytest.raises(PlatformError, match="of another kind: a key of ECDSA P-256"):
        _ = KmsKey(rsa_key, lambda: kms).public


def test_kms_that_does_not_answer_may_be_asked_again() -> None:
    config = Config(retries={"max_attempts": 1}, connect_timeout=1)
    client = boto3.client(
        "kms",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=config,
    )
    with pytest.raises(PlatformUnavailable, match="KMS does not answer for the key alias/signing"):
        KmsKey("alias/signing", lambda: client).sign(b"content")
