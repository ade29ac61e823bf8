"""What BuildKit can and others cannot: built and released by a Docker Engine, and refused by a Podman before anything is built."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import yaml

from release_pipelines.adapters.builders.engine import Engine
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import Publication, Recipe, Secret
from release_pipelines.features.report import operators as report
from tests.container_host import shops
from tests.container_host.conftest import APP
from tests.container_host.docker_engine import NotToBeHad, docker_engine
from tests.container_host.runs import Run
from tests.container_host.shops import Shop
from tests.container_host.stack import Stack
from tests.repositories import commit

SECRET = "correct-horse-battery"
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY <<EOF /found.py
import hashlib, pathlib
times = pathlib.Path("/cache/times")
times.write_text((times.read_text() if times.exists() else "") + "x")
secret = pathlib.Path("/run/secrets/token").read_text()
print("the token is", secret, flush=True)
pathlib.Path("/found").write_text(f"{len(times.read_text())} {hashlib.sha256(secret.encode()).hexdigest()}")
EOF
RUN --mount=type=cache,target=/cache --mount=type=secret,id=token,required=true ["python3", "/found.py"]
COPY --link server.py /server.py
ENV VERSION=1.0.0 MODE=good
CMD ["python3", "/server.py"]
"""


@pytest.fixture(scope="module")
def buildkit(stack: Stack) -> Iterator[tuple[Stack, str]]:
    """The stack with Docker as its engine, and a PATH with what asks its BuildKit."""
    try:
        with docker_engine(stack) as (docker_stack, engine):
            if not shutil.which("docker-buildx", path=engine.path):
                raise NotToBeHad("BuildKit is asked by docker-buildx, which is not installed.")
            yield docker_stack, engine.path
    except NotToBeHad as error:
        pytest.skip(f"Not run: {error}")


@pytest.fixture
def shop(tmp_path: Path, image: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch) -> Callable[[Stack], Shop]:
    """Makes an app with this Dockerfile, on an engine."""

    def made(stack: Stack) -> Shop:
        for name, connection in shops.connections(stack, tmp_path).items():
            monkeypatch.setenv(name, connection)
        monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
        monkeypatch.setenv("AIRFLOW_VAR_SHOP_TOKEN", SECRET)
        monkeypatch.setattr(report, "_draw", lambda *_: None)  # which takes seconds
        it = Shop(stack, tmp_path, image)
        files = {"Dockerfile": DOCKERFILE, "server.py": (APP / "server.py").read_text()}
        commit(tmp_path / "source", files, f"{it.app}-v1.0.0")
        it.written({"canary": {"steps": [{"weight": 50, "hold": "2s"}], "bake": "2s"}})
        path = it.apps / f"{it.app}.yaml"
        build = {
            "repository": str(tmp_path / "source"),
            "args": {"BASE": image("1.0.0").reference},
            "secrets": {"token": {"variable": "shop_token"}},
        }
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "image": it.app, "build": build}))
        return it

    return made


def files_of(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]


async def release(shop: Shop) -> Run:
    async with shop.visitors.there():
        return await shop.release("1.0.0")


async def test_a_heredoc_a_cache_and_a_secret_are_built_by_docker_and_released(
    buildkit: tuple[Stack, str],
    shop: Callable[[Stack], Shop],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # R1, R11
    stack, path = buildkit
    monkeypatch.setenv("PATH", path)
    it = shop(stack)
    try:
        done = await release(it)
        assert done.outcome == "released", done.sentence
        assert done.pushed["resolve_commit", "source"].startswith(f"tag {it.app}-v1.0.0, ")
        assert done.states["scan.hadolint"] == "success"
        client = docker.DockerClient(base_url=stack.engine_url)
        built = client.images.get(done.pushed["build.build_image", "return_value"]["id"])
        made_of = done.pushed["resolve_commit", "return_value"]["commit"]
        assert built.labels["org.opencontainers.image.revision"] == made_of
        found = await asyncio.to_thread(
            client.containers.run, built.id, ["python3", "-c", "print(open('/found').read())"], remove=True
        )
        assert found.decode().split() == ["1", hashlib.sha256(SECRET.encode()).hexdigest()]
        kept = await asyncio.to_thread(files_of, tmp_path)  # the history, the specification
        said = [str(built.attrs), str(built.history()), str(done.pushed)]
        assert not [text for text in [*kept, *(it.encode() for it in said)] if SECRET.encode() in text]
    finally:
        for container in await it.containers():
            await asyncio.to_thread(container.remove, force=True)
        await shops.forgotten(stack, it.app)


async def test_the_same_file_is_refused_by_podman_before_anything_is_built(
    stack: Stack, shop: Callable[[Stack], Shop]
) -> None:  # R12
    done = await release(shop(stack))
    assert "The engine, Podman " in done.sentence
    assert done.sentence.endswith(
        ", cannot build this Dockerfile, which needs BuildKit for a heredoc (COPY <<EOF) in line 3, COPY --link in line 12 and "
        "`build.secrets`: a Docker Engine with BuildKit is expected as `connections.engine`, or a Dockerfile without it."
    )
    assert "resolve_commit" not in done.states


def recipe(folder: Path, step: str, base: Artifact, **secrets: Secret) -> Recipe:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(f"FROM {base.reference}\nRUN {step}\n")
    return Recipe(folder, secrets=secrets)


def test_a_build_that_fails_shows_what_its_step_wrote_and_no_secret(
    buildkit: tuple[Stack, str], image: Callable[..., Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R11, R12
    stack, path = buildkit
    monkeypatch.setenv("PATH", path)
    step = """--mount=type=secret,id=key ["python3", "-c", "print(open('/run/secrets/key').read()); assert 0"]"""
    file = tmp_path / "key, with a comma"
    file.write_text(f"user=ann\npassword={SECRET}\n")
    made = recipe(tmp_path / "source", step, image("1.0.0"), key=Secret(path=str(file)))
    logged: list[str] = []
    with pytest.raises(PlatformError) as caught:
        Engine(Connection(host=stack.engine_url)).build(made, None, None, "Building shop", 60, logged.append)
    assert str(caught.value).startswith("Building shop failed: process ")
    assert "AssertionError" in str(caught.value)
    assert "***" in "\n".join(logged)
    assert SECRET not in str(caught.value) + "\n".join(logged)


def test_a_build_ends_with_its_task(
    buildkit: tuple[Stack, str], image: Callable[..., Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, path = buildkit
    monkeypatch.setenv("PATH", path)
    step = """["python3", "-c", "import time; print('asleep', flush=True); time.sleep(600)"]"""
    made = recipe(tmp_path / "source", step, image("1.0.0"))
    builder = Engine(Connection(host=stack.engine_url))

    def log(line: str) -> None:
        if line.endswith("asleep"):
            builder.stop()

    began = time.monotonic()
    with pytest.raises(PlatformError):
        builder.build(made, None, None, "Building shop", 60, log)
    assert time.monotonic() - began < 300


def test_an_engine_pushes_several_platforms_at_once_or_says_why_it_cannot(
    buildkit: tuple[Stack, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, path = buildkit
    monkeypatch.setenv("PATH", path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY page /page\n")
    (tmp_path / "page").write_text("good")
    engine = Engine(Connection(host=stack.engine_url))
    publication = Publication(f"{stack.registry}/several", ("linux/amd64", "linux/arm64"), insecure=True)
    if sentence := engine.cannot_publish(publication, lambda: None, None):
        assert "keeps its images without containerd" in sentence
        with pytest.raises(PlatformError, match="keeps its images without containerd"):
            engine.publish(Recipe(tmp_path), publication, None, "Building several", 60, print)
        return
    digest = engine.publish(Recipe(tmp_path), publication, None, "Building several", 60, print)
    registry = Distribution(Connection(host=stack.registry, extra={"insecure": True}))
    assert registry.digest_of("several", digest) == digest
