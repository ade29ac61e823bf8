"""Images that are really built and pushed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.features.build.operators import (
    ImageBuildOperator,
    ImagePushOperator,
    ImageTestOperator,
    ResolveDigestOperator,
)
from tests.airflow.test_operator import Ti
from tests.container_host.stack import Stack, free_port
from tests.repositories import commit

DOCKERFILE = """\
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS app
ARG NAME=nobody
COPY page /page
RUN ["python3", "-c", "import os; open('/greeting', 'w').write('hello ' + os.environ['NAME'])"]

FROM app AS test
RUN ["python3", "-c", "print('looking at the page', flush=True); assert 'good' in open('/page').read()"]

FROM app
ARG NAME
ENV NAME=${NAME}
CMD ["python3", "-m", "http.server"]
"""

READ = ["python3", "-c", "import os; print(open('/greeting').read(), 'and', os.environ['NAME'])"]


class Shop:
    """A repository, and operators that work on its newest commit."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.image = f"built-{number}"
        self.commit = self.write("good")

    def write(self, page: str) -> str:
        self.commit = commit(self.folder, {"Dockerfile": DOCKERFILE, "page": f"{page}\n"})
        return self.commit

    def build(self, kind: type[ImageBuildOperator] = ImageBuildOperator, **kwargs: Any) -> Any:
        source = {"repository": str(self.folder), "commit": self.commit, "image": self.image, "version": "1.0.0"}
        return run(
            kind(
                **{"task_id": "build", "engine_conn_id": "engine", "registry_conn_id": "registry", **source, **kwargs},
            )
        )

    def push(self, **kwargs: Any) -> Any:
        source = {"app": "shop", "image": self.image, "version": "1.0.0", "commit": self.commit}
        connections = {"engine_conn_id": "engine", "registry_conn_id": "registry"}
        return run(ImagePushOperator(**{"task_id": "push", **source, **connections, **kwargs}))


def run(operator: ReleaseOperator) -> Any:
    return operator.execute({"ti": Ti()})  # type: ignore[arg-type,typeddict-item]


@pytest.fixture
def client(stack: Stack) -> Any:
    import docker

    return docker.DockerClient(base_url=stack.engine_url, timeout=120)


@pytest.fixture
def shop(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    engine = {"host": stack.engine_url, "extra": {"build_args": {"BASE_IMAGE": stack.base_image}}}
    registry = {"host": stack.registry, "extra": {"insecure": True}}
    nowhere = {"host": f"127.0.0.1:{free_port()}", "extra": {"insecure": True}}
    for name, connection in {"engine": engine, "registry": registry, "nowhere": nowhere}.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "generic", **connection}))
    return Shop(tmp_path / "shop", abs(hash(tmp_path.name)) % 10**8)


def test_what_was_built_is_pushed_and_known_by_its_digest(shop: Shop, client: Any) -> None:  # R1
    assert shop.build(ImageTestOperator, target="test")["id"]
    shop.build(args={"NAME": "Ann"})
    artifact = Artifact.model_validate(shop.push())
    assert artifact.commit == shop.commit
    pulled = client.images.pull(artifact.reference)
    assert pulled.labels["org.opencontainers.image.revision"] == shop.commit
    assert pulled.labels["org.opencontainers.image.version"] == "1.0.0"
    assert client.containers.run(artifact.reference, READ, remove=True) == b"hello Ann and Ann\n"
    found = run(
        ResolveDigestOperator(
            task_id="resolve", app="shop", image=shop.image, version="1.0.0", registry_conn_id="registry"
        )
    )
    assert found["digest"] == artifact.digest


def test_arguments_that_changed_are_not_taken_from_the_cache(shop: Shop, client: Any) -> None:  # R1
    for name in ("Ann", "Bob"):
        built = shop.build(args={"NAME": name})
        greeting = client.containers.run(built["id"], READ, remove=True)
        assert greeting == f"hello {name} and {name}\n".encode()


def test_tests_that_fail_stop_the_release_with_their_last_lines(shop: Shop) -> None:  # R12
    shop.write("bad")
    with pytest.raises(AirflowFailException, match=r"(?s)\(stage test\) failed: .*looking at the page"):
        shop.build(ImageTestOperator, target="test")


def test_another_commits_image_is_not_pushed(shop: Shop) -> None:  # R1
    shop.build()
    shop.write("better and good")
    with pytest.raises(AirflowFailException, match=f"not from {shop.commit}"):
        shop.push()
    with pytest.raises(AirflowFailException, match="has no image"):
        shop.push(version="9.9.9")


def test_a_registry_that_is_away_is_worth_another_try(shop: Shop) -> None:
    shop.build(registry_conn_id="nowhere")
    with pytest.raises(AirflowException, match="cannot reach what it needs") as caught:
        shop.push(registry_conn_id="nowhere")
    assert not isinstance(caught.value, AirflowFailException)
