"""Keys, images and cosign for tests of signatures."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.signing.keys import Private, private_key
from release_pipelines.core.attestations.deciding import Asked
from release_pipelines.core.attestations.provenance import Build, predicate
from release_pipelines.core.model.attestation import Demand
from tests.registries import BUILT, index, single

COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
BUILDER = "https://airflow.example/builder"
REPOSITORY = "https://git.example.org/team/shop.git"
COSIGNS = ("cosign", "cosign2")
"""Version 3, and version 2, which Debian has as `cosign`."""


def pem(kind: str = "ecdsa", passphrase: str | None = None) -> str:
    """A new private key."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ecdsa" else ed25519.Ed25519PrivateKey.generate()
    cipher = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


def key(kind: str = "ecdsa") -> Private:
    """A new private key, as an adapter."""
    return private_key(pem(kind).encode(), None, "a test")


def trusted(**keys: Private) -> list[dict[str, Any]]:
    """Keys by their names, as a demand lists them."""
    return [{"name": name, "public_key": it.public.pem} for name, it in keys.items()]


def demand(keys: list[dict[str, Any]], **more: Any) -> Demand:
    """What is demanded."""
    return Demand.model_validate({"keys": keys, **more})


def asked(**more: Any) -> Asked:
    """What is known of the image from elsewhere."""
    return Asked(**{"now": 1_800_000_000.0, **more})


def provenance(**more: Any) -> dict[str, Any]:
    """The predicate of a build."""
    built = {"builder": BUILDER, "repository": REPOSITORY, "commit": COMMIT, "ref": "refs/heads/main", **more}
    return predicate(Build(**built))


def two_platforms(registry: Distribution, name: str, content: str = "", tag: str | None = None) -> tuple[str, str, str]:
    """An index; gives its digest, and those of its images for amd64 and arm64."""
    amd, arm = (single(registry, name, f"linux/{it}", content) for it in ("amd64", "arm64"))
    return index(registry, name, [amd, arm], tag), amd["digest"], arm["digest"]


class Cosign:
    """cosign, offline: no transparency log, and no key of Sigstore's own."""

    def __init__(self, name: str, folder: Path) -> None:
        program = shutil.which(name, path=os.environ.get("TEST_TOOLS") or str(BUILT)) or shutil.which(name)
        if not program:
            pytest.skip(f"not run: {name} is not on this machine")
        self.program = program
        self.folder = folder
        self.environment = {**os.environ, "COSIGN_PASSWORD": "secret", "HOME": str(folder)}
        self.new = "--signing-config" in self.run("sign", "--help").stdout
        if self.new:
            self.run("signing-config", "create", "--out", "offline.json")
        self.run("generate-key-pair")
        self.private = (folder / "cosign.key").read_bytes()
        self.public = (folder / "cosign.pub").read_text()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Its answer; 0 or not."""
        command = [self.program, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )

    def sign(self, image: str) -> None:
        """Sign an image with its own key."""
        self._signs("sign", image)

    def attest(self, image: str, kind: str, predicate: dict[str, Any]) -> None:
        """Attest something of an image with its own key."""
        (self.folder / "predicate.json").write_text(json.dumps(predicate))
        self._signs("attest", "--type", kind, "--predicate", "predicate.json", image)

    def _signs(self, command: str, *more: str) -> None:
        offline = ["--signing-config", "offline.json"] if self.new else ["--tlog-upload=false"]
        made = self.run(command, "--yes", "--key", "cosign.key", "--allow-http-registry", *offline, *more)
        assert made.returncode == 0, made.stderr

    def verify(self, image: str, public: str) -> subprocess.CompletedProcess[str]:
        """Verify an image's signature by a public key."""
        return self._verifies("verify", public, image)

    def verify_attestation(self, image: str, kind: str, public: str) -> subprocess.CompletedProcess[str]:
        """Verify an attestation of an image by a public key."""
        return self._verifies("verify-attestation", public, "--type", kind, image)

    def _verifies(self, command: str, public: str, *more: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "their.pub").write_text(public)
        offline = ["--insecure-ignore-tlog=true", "--allow-http-registry"]
        return self.run(command, "--key", "their.pub", *offline, *more)
