"""A real BuildKit daemon, by its address: several platforms, cache in a registry, provenance, the same digest twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from release_pipelines.adapters.builders.buildkit import BuildKitDaemon
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.adapters.remote_builders._job import Settings, job
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import REVISION, Publication, Recipe, Secret
from release_pipelines.core.ports.registry import Images
from release_pipelines.core.ports.remote_builder import Order
from release_pipelines.features.build.operators import ImageBuildOperator, ImagePushOperator, ImageTestOperator
from tests.adapters.builders.buildkitd import NotToBeHad, Stack, stack
from tests.adapters.history.conftest import free_port
from tests.features.helpers import Ti
from tests.repositories import commit

BOTH = ("linux/amd64", "linux/arm64")
INDEX = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
COPIED = "FROM scratch\nCOPY page /page\n"
PROGRAM = """\
package main

import (
	"fmt"
	"os"
)

func main() {
	secret, _ := os.ReadFile("/run/secrets/token")
	fmt.Printf("the token is %s\\n", secret)
	if len(os.Args) > 1 {
		os.Exit(3)
	}
}
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    try:
        with stack() as it:
            yield it
    except NotToBeHad as error:
        pytest.skip(f"Not run: {error}")


@pytest.fixture
def there(running: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("PATH", running.path)
    connection = {"conn_type": "buildkit", "host": running.buildkit}
    monkeypatch.setenv("AIRFLOW_CONN_BUILDKIT", json.dumps(connection))
    registry = {"conn_type": "registry", "host": running.registry, "extra": {"insecure": True}}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(registry))
    return running


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that needs no base image."""
    if not shutil.which("go"):
        pytest.skip("Not run: a program without a base image is made by Go, which is not installed.")
    folder = tmp_path_factory.mktemp("program")
    (folder / "main.go").write_text(PROGRAM)
    env = {"PATH": "/usr/local/go/bin:/usr/bin:/bin", "HOME": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-p=1"}
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=folder, env=env, check=True, capture_output=True)
    return folder / "program"


def published(there: Stack, folder: Path, publication: Publication, log: list[str] | None = None, **more: Any) -> str:
    builder = BuildKitDaemon(Connection(kind="buildkit", host=there.buildkit))
    recipe = Recipe(folder, **{"labels": {REVISION: "c" * 40}, **more})
    return builder.publish(recipe, publication, None, "Building shop", 60, (log if log is not None else []).append)


def got(there: Stack, image: str, what: str, accept: str = MANIFEST, kind: str = "manifests") -> Any:
    answer = httpx.get(f"http://{there.registry}/v2/{image}/{kind}/{what}", headers={"Accept": accept})
    answer.raise_for_status()
    return answer.json()


def images_of(there: Stack, image: str, digest: str) -> dict[str, str]:
    found = got(there, image, digest, INDEX)["manifests"]
    return {
        f"{it['platform']['os']}/{it['platform']['architecture']}": it["digest"]
        for it in found
        if "annotations" not in it
    }


def test_several_platforms_are_one_index_which_no_tag_names(there: Stack, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPIED)
    (tmp_path / "page").write_text("good")
    digest = published(there, tmp_path, Publication(f"{there.registry}/both", BOTH))
    found = images_of(there, "both", digest)
    assert sorted(found) == sorted(BOTH)
    config = got(there, "both", got(there, "both", found["linux/arm64"])["config"]["digest"], kind="blobs")
    assert (config["architecture"], config["config"]["Labels"][REVISION]) == ("arm64", "c" * 40)
    assert httpx.get(f"http://{there.registry}/v2/both/tags/list").json().get("tags") in (None, [])


def test_a_reproducible_build_has_one_digest_whatever_the_files_times_are(there: Stack, tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "Dockerfile").write_text(COPIED)
        (folder / "page").write_text("the same")
        os.utime(folder / "page", (1_000_000_000 + number * 1000,) * 2)
        publication = Publication(f"{there.registry}/same", BOTH, epoch=1_700_000_000)
        digests.append(published(there, folder, publication))
    assert digests[0] == digests[1]
    [amd64] = [it for key, it in images_of(there, "same", digests[0]).items() if key == "linux/amd64"]
    config = got(there, "same", got(there, "same", amd64)["config"]["digest"], kind="blobs")
    assert config["created"].startswith("2023-11-14T22:13:20")


def test_with_provenance_the_index_changes_and_its_images_do_not(there: Stack, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(COPIED)
    (tmp_path / "page").write_text("attested")
    publication = Publication(f"{there.registry}/attested", BOTH, provenance=True)
    first, again = published(there, tmp_path, publication), published(there, tmp_path, publication)
    assert first != again
    assert images_of(there, "attested", first) == images_of(there, "attested", again)
    kinds = [
        it.get("annotations", {}).get("vnd.docker.reference.type")
        for it in got(there, "attested", first, INDEX)["manifests"]
    ]
    assert kinds.count("attestation-manifest") == 2


def test_steps_are_kept_in_the_registry_for_a_builder_that_has_none(
    there: Stack, tmp_path: Path, program: Path
) -> None:
    shutil.copy(program, tmp_path / "program")
    (tmp_path / "Dockerfile").write_text('FROM scratch\nCOPY program /program\nRUN ["/program"]\n')
    publication = Publication(f"{there.registry}/kept", cache=f"{there.registry}/kept:buildcache")
    published(there, tmp_path, publication)
    assert got(there, "kept", "buildcache")["layers"]
    with stack() as other:  # a daemon that has built nothing yet
        log: list[str] = []
        published(Stack(other.buildkit, there.registry, other.path), tmp_path, publication, log)
    assert [line for line in log if "CACHED" in line]
    assert not [line for line in log if "the token is" in line]


def test_a_build_that_fails_pushes_nothing_and_shows_no_secret(there: Stack, tmp_path: Path, program: Path) -> None:
    shutil.copy(program, tmp_path / "program")
    step = 'RUN --mount=type=secret,id=token ["/program", "fail"]'
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY program /program\n{step}\n")
    log: list[str] = []
    secrets = {"token": Secret(value="correct-horse-battery")}
    with pytest.raises(PlatformError, match="exit code: 3") as caught:
        published(there, tmp_path, Publication(f"{there.registry}/failed"), log, secrets=secrets)
    assert "the token is ***" in str(caught.value)
    assert "correct-horse" not in str(caught.value) + "\n".join(log)
    assert httpx.get(f"http://{there.registry}/v2/failed/tags/list").status_code == 404


def test_what_needs_emulation_is_said_beforehand(there: Stack) -> None:
    builder = BuildKitDaemon(Connection(kind="buildkit", host=there.buildkit))
    foreign = Publication("shop", ("linux/s390x", "linux/amd64"))
    runs, compiles = (
        "FROM a\nRUN make\n",
        "FROM --platform=$BUILDPLATFORM a AS b\nRUN make\nFROM scratch\nCOPY --from=b /x /x\n",
    )
    sentence = str(builder.cannot_publish(foreign, lambda: runs, None))
    assert "line 2 of the Dockerfile runs one of linux/s390x: install emulation there" in sentence
    assert builder.cannot_publish(foreign, lambda: compiles, None) is None
    assert builder.cannot_publish(Publication("shop", ("linux/amd64",)), lambda: runs, None) is None


def test_a_daemon_that_is_away_is_worth_another_try(there: Stack, tmp_path: Path) -> None:
    builder = BuildKitDaemon(Connection(kind="buildkit", host=f"unix://{tmp_path}/nobody.sock"))
    with pytest.raises(PlatformUnavailable, match="BuildKit does not answer"):
        builder.check()
    assert "linux/amd64" in BuildKitDaemon(Connection(kind="buildkit", host=there.buildkit)).check()


def certificates(folder: Path) -> dict[str, Path]:
    """An authority, and a certificate of it for the daemon and for who asks it."""
    now = datetime.now(timezone.utc)
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    paths = {it: folder / f"{it}.pem" for it in ("ca", "cert", "key")}
    for name, subject, public in (
        ("ca", authority, authority_key),
        ("cert", x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), key),
    ):
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(public.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        made = made.not_valid_after(now + timedelta(hours=1))
        made = made.add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = made.add_extension(names, critical=False).sign(authority_key, hashes.SHA256())
        paths[name].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths["key"].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return paths


def test_a_daemon_behind_tls_builds_for_who_has_its_certificates(there: Stack, tmp_path: Path) -> None:
    tls = certificates(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "Dockerfile").write_text(COPIED)
    (tmp_path / "source" / "page").write_text("good")
    publication = Publication(f"{there.registry}/tls")
    with stack(tls) as other:
        extra = {"tls": {key: str(path) for key, path in tls.items()}}
        known = BuildKitDaemon(Connection(kind="buildkit", host=other.buildkit, extra=extra))
        digest = known.publish(Recipe(tmp_path / "source"), publication, None, "Building tls", 60, [].append)
        assert got(there, "tls", digest)["layers"]
        with pytest.raises(PlatformError):
            BuildKitDaemon(Connection(kind="buildkit", host=other.buildkit)).check()


@contextmanager
def served(repository: Path) -> Iterator[str]:
    """A repository over Git's own protocol: its address."""
    port = free_port()
    words = ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen([*words, f"--base-path={repository.parent}", str(repository.parent)])
    try:
        deadline = time.monotonic() + 20
        while subprocess.run(
            ["git", "ls-remote", f"git://127.0.0.1:{port}/{repository.name}"], capture_output=True
        ).returncode:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"git://127.0.0.1:{port}/{repository.name}"
    finally:
        process.terminate()
        process.wait(20)


def test_what_a_job_is_told_is_understood_by_buildkit(there: Stack, tmp_path: Path) -> None:
    if not shutil.which("buildctl"):
        pytest.skip("Not run: buildctl is not installed; tests/adapters/builders/build_buildkit builds it.")
    made = commit(
        tmp_path / "shop",
        {"app/Dockerfile": "FROM scratch\nARG WHO\nLABEL who=$WHO\nCOPY page /page\n", "app/page": "1"},
    )
    commit(tmp_path / "shop", {"app/page": "of a later commit"})
    bare = tmp_path / "shop.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(tmp_path / "shop"), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True)
    with served(bare) as address:
        order = Order(
            key="a try",
            repository=address,
            commit=made,
            publication=Publication(f"{there.registry}/by-job", BOTH, f"{there.registry}/by-job:buildcache", True, 1_700_000_000),
            tag="1.1.0",
            version="1.1.0",
            context="app",
            args={"WHO": "a, b; $(c) 'd'"},
            labels={REVISION: made},
        )  # fmt: skip
        [container] = job(order, Settings(image="builder"))["spec"]["template"]["spec"]["containers"]
        program = tmp_path / "buildctl-daemonless.sh"  # which brings a daemon of its own where it is at home
        program.write_text(f'#!/bin/sh\nexec buildctl --addr {there.buildkit} "$@"\n')
        program.chmod(0o755)
        words = [it.replace("/tmp/metadata", f"{tmp_path}/metadata") for it in container["command"]]
        words = [it.replace("/dev/termination-log", f"{tmp_path}/said") for it in words]
        env = {**os.environ, "PATH": f"{tmp_path}:{there.path}"}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    digest = (tmp_path / "said").read_text().strip()
    assert (
        Distribution(Connection(host=there.registry, extra={"insecure": True})).digest_of("by-job", "1.1.0") == digest
    )
    found = images_of(there, "by-job", digest)
    assert sorted(found) == sorted(BOTH)
    config = got(there, "by-job", got(there, "by-job", found["linux/arm64"])["config"]["digest"], kind="blobs")
    assert config["config"]["Labels"] == {REVISION: made, "who": "a, b; $(c) 'd'"}
    assert config["created"].startswith("2023-11-14T22:13:20")
    assert got(there, "by-job", "buildcache")["layers"]


def test_a_commit_is_tested_built_and_named_by_operators(there: Stack, tmp_path: Path) -> None:
    if not isinstance(Distribution(Connection(host=there.registry)), Images):
        pytest.skip("Not run: this registry's adapter cannot tag a digest.")
    made = commit(tmp_path / "shop", {"Dockerfile": COPIED, "page": "released"})
    given: Any = {
        "repository": str(tmp_path / "shop"),
        "commit": made,
        "image": "released",
        "version": "1.1.0",
        "engine_conn_id": "buildkit",
        "registry_conn_id": "registry",
    }
    context: Any = {"ti": Ti()}
    ImageTestOperator(task_id="test", **given).execute(context)
    more: Any = {"platforms": list(BOTH), "reproducible": True, "cache": "registry", "provenance": True}
    built = ImageBuildOperator(task_id="build", **given, **more).execute(context)
    registry = Distribution(Connection(host=there.registry, extra={"insecure": True}))
    assert registry.digest_of("released", "1.1.0") is None  # nobody finds it before it was examined
    push = ImagePushOperator(
        task_id="push", app="shop", image="released", version="1.1.0", commit=made, registry_conn_id="registry",
        digest=built["digest"], tags=["commit", "latest"],
    )  # fmt: skip
    artifact = push.execute(context)
    assert artifact["digest"] == built["digest"]
    assert {registry.digest_of("released", it) for it in ("1.1.0", "latest", made)} == {built["digest"]}
