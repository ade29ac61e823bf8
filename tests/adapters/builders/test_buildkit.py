"""What BuildKit is asked, what of it is said, and what an engine without it cannot."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.builders._abilities import Abilities
from release_pipelines.adapters.builders._buildkit import BuildFailed, BuildKit, masked
from release_pipelines.core.ports.builder import Publication, Recipe, RegistryLogin, Secret

DOCKERFILE = "FROM a\nRUN --mount=type=cache,target=/c ls\nCOPY --link a b\nCOPY <<EOF /c\nx\nEOF\n"
BUILDX = f"""\
#!{sys.executable}
# Stands for docker-buildx: keeps how it was called.
import json, os, sys
from pathlib import Path
config = json.loads((Path(os.environ["DOCKER_CONFIG"]) / "config.json").read_text())
files = sorted(it.name for it in Path(os.environ["DOCKER_CONFIG"]).iterdir())
if sys.argv[1] == "create":
    Path(__file__).with_name("created.json").write_text(json.dumps(sys.argv[1:]))
    sys.exit(0)
called = {{"words": sys.argv[1:], "env": dict(os.environ), "config": config, "files": files}}
Path(__file__).with_name("called.json").write_text(json.dumps(called))
print("#7 0.2 \\x1b[31mthe token is", os.environ.get("RELEASE_PIPELINES_SECRET_0"), flush=True)
if "--target=bad" in sys.argv:
    print("ERROR: failed to solve: process \\"/bin/sh\\" did not complete successfully: exit code: 1")
    sys.exit(1)
image = next(it for it in sys.argv if it.startswith("--iidfile=")).partition("=")[2]
Path(image).write_text("sha256:e\\n")
metadata = [it.partition("=")[2] for it in sys.argv if it.startswith("--metadata-file=")]
output = " ".join(it for it in sys.argv if it.startswith("--output"))
said = {{"broken": "{{", "odd": '{{"containerimage.digest": "latest"}}'}}
for path in metadata if "/none" not in output else []:
    digest = json.dumps({{"containerimage.digest": "sha256:" + "d" * 64}})
    Path(path).write_text(next((it for name, it in said.items() if f"/{{name}}" in output), digest))
sys.exit(1 if "/failed" in output else 0)
"""


@pytest.fixture
def buildx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("AIRFLOW_CONN_NPM", "secret of another thing")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    (tmp_path / "own").mkdir()
    own = {"auths": {"other.example": {"auth": "b3RoZXI="}}, "credsStore": "desktop", "currentContext": "elsewhere"}
    (tmp_path / "own" / "config.json").write_text(json.dumps(own))
    path = tmp_path / "docker-buildx"
    path.write_text(BUILDX)
    path.chmod(0o755)
    return path


def build(buildx: Path, engine: BuildKit, logged: list[str], **more: Any) -> tuple[str, dict[str, Any]]:
    """Build; gives the image's id, and how buildx was called."""
    secrets = {"token": Secret(value="hunter2-hunter2"), "key": Secret(path='/run/a "b", c')}
    recipe = Recipe(buildx.parent, labels={"l": "1"}, **{"secrets": secrets, **more})
    login = RegistryLogin("registry.example", "ann", "pass")
    image = engine.build(str(buildx), recipe, {"A": "1"}, "shop:1", login, logged.append)
    return image, json.loads(buildx.with_name("called.json").read_text())


def test_secrets_and_credentials_stand_in_no_argument_and_no_log(buildx: Path) -> None:  # R11
    logged: list[str] = []
    image, called = build(buildx, BuildKit("http://engine:2375", {}), logged)
    assert image == "sha256:e"
    assert called["words"][0] == "build"
    assert {"--builder=default", "--tag=shop:1", "--build-arg=A=1", "--label=l=1"} <= set(called["words"])
    assert '--secret=id=token,"env=RELEASE_PIPELINES_SECRET_0"' in called["words"]
    assert '--secret=id=key,"src=/run/a ""b"", c"' in called["words"]
    assert not [it for it in called["words"] if "hunter2" in it or "pass" in it]
    assert logged == ["#7 0.2 the token is ***"]
    assert called["env"]["DOCKER_HOST"] == "tcp://engine:2375"
    assert called["env"]["HTTPS_PROXY"] == "http://proxy.example"
    assert "AIRFLOW_CONN_NPM" not in called["env"]
    assert called["config"] == {
        "auths": {"other.example": {"auth": "b3RoZXI="}, "registry.example": {"auth": "YW5uOnBhc3M="}},
        "credsStore": "desktop",
        "credHelpers": {"registry.example": ""},
    }
    assert not Path(called["env"]["DOCKER_CONFIG"]).exists()


def test_an_engine_behind_tls_is_asked_with_its_certificates(buildx: Path) -> None:
    tls = {"ca": "/certs/authority", "cert": "/certs/mine", "key": "/certs/key"}
    _, called = build(buildx, BuildKit("tcp://engine:2376", tls), [])
    assert called["env"]["DOCKER_TLS_VERIFY"] == "1"
    assert called["env"]["DOCKER_CERT_PATH"] == called["env"]["DOCKER_CONFIG"]
    assert called["files"] == ["ca.pem", "cert.pem", "config.json", "key.pem"]


def test_a_build_that_fails_says_why_without_secrets(buildx: Path) -> None:  # R11, R12
    with pytest.raises(BuildFailed) as caught:
        build(buildx, BuildKit("unix:///engine.sock", {}), [], target="bad")
    assert caught.value.explanation == 'failed: process "/bin/sh" did not complete successfully: exit code: 1'
    assert caught.value.log == ["the token is ***"]


def test_a_build_ends_with_who_reads_it(buildx: Path, tmp_path: Path) -> None:
    buildx.write_text("#!/bin/sh\necho $$ > pid\necho begun\nexec sleep 600\n")

    def log(line: str) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        BuildKit("unix:///engine.sock", {}).build(str(buildx), Recipe(tmp_path), {}, None, None, log)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("hunter2", "Bearer hunter2", "Bearer ***"),
        ("{\n-----BEGIN\nAAAABBBB\n}\n", "}: AAAABBBB", "}: ***"),
        (
            "//registry.example/:_authToken=npm_0123456789\n",
            "_authToken npm_0123456789 of registry.example",
            "_authToken *** of registry.example",
        ),
        (
            "machine git.example.org login ann password hunter22\n",
            "as ann with hunter22 at git.example.org",
            "as ann with *** at git.example.org",
        ),
        ("", "nothing", "nothing"),
    ],
)
def test_what_is_said_of_a_secret_is_masked(secret: str, said: str, shown: str) -> None:  # R11
    assert masked(said, [secret]) == shown


PODMAN = Abilities("Podman 4.3.1", (4, 3), buildkit=False, buildx=True)
NEEDED = "a heredoc (COPY <<EOF) in line 4"


@pytest.mark.parametrize(
    ("engine", "secrets", "sentence"),
    [
        (
            PODMAN,
            True,
            f"The engine, Podman 4.3.1, cannot build this Dockerfile, which needs BuildKit for COPY --link in line 3, {NEEDED} and "
            "`build.secrets`: a Docker Engine with BuildKit is expected as `connections.engine`, or a Dockerfile without it.",
        ),
        (Abilities("Podman 5.8.6", (5, 8), buildkit=False, buildx=False), False, None),
        (Abilities("Docker 28.5.2", None, buildkit=True, buildx=True), True, None),
        (
            Abilities("Docker 28.5.2", None, buildkit=True, buildx=False),
            False,
            "The engine, Docker 28.5.2, has BuildKit, which the build needs for RUN --mount=type=cache in line 2, COPY --link in line 3 "
            f"and {NEEDED}, but this worker has no docker-buildx to ask it by: install Docker's buildx plugin there.",
        ),
    ],
)
def test_what_an_engine_cannot_build_is_one_sentence(
    engine: Abilities, secrets: bool, sentence: str | None
) -> None:  # R12
    assert engine.obstacle(lambda: DOCKERFILE, secrets) == sentence


def test_an_ordinary_dockerfile_is_built_by_every_engine() -> None:
    assert PODMAN.obstacle(lambda: "# syntax=docker/dockerfile:1\nFROM a\nRUN --mount=type=cache ls\n", False) is None
    assert PODMAN.obstacle(lambda: None, False) is None


def published(buildx: Path, builder: BuildKit, publication: Publication) -> tuple[str, dict[str, Any]]:
    recipe = Recipe(buildx.parent, secrets={"token": Secret(value="hunter2-hunter2")})
    digest = builder.publish(str(buildx), recipe, {}, publication, None, [].append)
    return digest, json.loads(buildx.with_name("called.json").read_text())


WHOLE = Publication(
    "registry.example/shop", ("linux/amd64", "linux/arm64"), "registry.example/shop:buildcache", True, 7
)


def test_what_is_published_is_asked_for_by_digest_and_said_by_the_build(buildx: Path) -> None:
    digest, called = published(buildx, BuildKit("unix:///engine.sock", {}), WHOLE)
    assert digest == f"sha256:{'d' * 64}"
    words = called["words"]
    assert {"--platform=linux/amd64,linux/arm64", "--attest=type=provenance,mode=min"} <= set(words)
    assert "--build-arg=SOURCE_DATE_EPOCH=7" in words
    [output] = [it for it in words if it.startswith("--output")]
    assert output == (
        '--output=type=image,"name=registry.example/shop",push=true,push-by-digest=true,name-canonical=true'
    )  # an engine unpacks what it builds, and cannot change the times of its files
    assert '--cache-from=type=registry,"ref=registry.example/shop:buildcache"' in words
    assert [it for it in words if it.startswith("--cache-to") and it.endswith("ignore-error=true")]
    assert not [it for it in words if it.startswith("--tag")]


def test_a_daemon_is_made_known_for_one_build_and_changes_the_times_of_files(buildx: Path) -> None:
    tls = {"ca": "/certs/a", "cert": "/certs/c", "key": "/certs/k"}
    _, called = published(buildx, BuildKit("tcp://buildkit:1234", tls, daemon=True), WHOLE)
    assert "DOCKER_HOST" not in called["env"]
    assert "--builder=release" in called["words"]
    [output] = [it for it in called["words"] if it.startswith("--output")]
    assert output.endswith(",rewrite-timestamp=true")
    created = json.loads(buildx.with_name("created.json").read_text())
    assert created == [
        "create", "--name=release", "--driver=remote", '--driver-opt="cacert=/certs/a"', '--driver-opt="cert=/certs/c"',
        '--driver-opt="key=/certs/k"', "tcp://buildkit:1234",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["none", "broken", "odd", "failed"])
def test_without_a_digest_of_its_own_nothing_was_published(buildx: Path, how: str) -> None:
    publication = Publication(f"registry.example/{how}")
    with pytest.raises(BuildFailed) as caught:
        published(buildx, BuildKit("unix:///engine.sock", {}), publication)
    assert "ended without" in caught.value.explanation


@pytest.mark.parametrize(
    ("engine", "by_containerd", "said"),
    [
        (Abilities("Docker 28.5.2", None, buildkit=True, buildx=True), True, None),
        (Abilities("Docker 28.5.2", None, buildkit=True, buildx=True), False, "keeps its images without containerd"),
        (Abilities("Docker 28.5.2", None, buildkit=True, buildx=False), True, "has no docker-buildx to ask it by"),
        (PODMAN, False, "Podman 4.3.1, has no BuildKit, which the build needs for `build.platforms` and `build.cache`"),
    ],
)
def test_an_engine_that_cannot_publish_says_why(
    engine: Abilities, by_containerd: bool, said: str | None
) -> None:  # R12
    sentence = engine.cannot_publish(["`build.platforms`", "`build.cache`"], by_containerd)
    assert sentence is None if said is None else said in str(sentence)
