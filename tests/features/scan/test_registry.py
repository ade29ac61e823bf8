"""Images scanned as they lie in a real registry: an index, its platforms, and what a builder has put beside them."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.model.image import ATTESTATION, PlatformImage
from release_pipelines.core.ports.registry import Images
from release_pipelines.features.scan.operators import ImageScanOperator
from tests.features.helpers import Ti
from tests.images import INDEX, MANIFEST, Layout
from tests.tools import needs, program

pytestmark = [
    needs("registry", "gitleaks"),
    pytest.mark.skipif(not issubclass(Distribution, Images), reason="not run: registries do not tell of images"),
]

TOKEN = "npm_" + "a8Kd03Jf9sLq2Xw7Vb5Nz1Tc6Yh4Gm8Re2Up"  # made up, and of the form of a real one


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry in memory, on a free port, and a connection to it."""
    with subprocess.Popen([str(program("registry"))], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        at = server.stdout.readline().decode().strip()
        connection = {"conn_type": "registry", "host": at, "extra": {"insecure": True}}
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(connection))
        yield at
        server.kill()


class Pushed:
    """Pushes what lies in a layout, by the API of the distribution."""

    def __init__(self, address: str, layout: Layout) -> None:
        self.url = f"http://{address}/v2/shop"
        self.layout = layout

    def send(self, method: str, url: str, content: bytes, media_type: str) -> Any:
        headers = {"Content-Type": media_type}
        return urllib.request.urlopen(urllib.request.Request(url, content, headers, method=method), timeout=10)

    def image(self, image: PlatformImage) -> dict[str, Any]:
        """Push one platform's image; gives its entry in an index."""
        blobs = self.layout.folder / "blobs" / "sha256"
        content = (blobs / image.digest.removeprefix("sha256:")).read_bytes()
        manifest = json.loads(content)
        for it in (manifest["config"], *manifest["layers"]):
            where = self.send("POST", f"{self.url}/blobs/uploads/", b"", "application/octet-stream").headers["Location"]
            place = where if where.startswith("http") else self.url.removesuffix("/v2/shop") + where
            blob = (blobs / it["digest"].removeprefix("sha256:")).read_bytes()
            mark = "&" if "?" in place else "?"
            self.send("PUT", f"{place}{mark}digest={it['digest']}", blob, "application/octet-stream")
        self.send("PUT", f"{self.url}/manifests/{image.digest}", content, MANIFEST)
        system, _, architecture = image.platform.partition("/")
        return {
            "mediaType": MANIFEST,
            "digest": image.digest,
            "size": len(content),
            "platform": {"os": system, "architecture": architecture},
        }

    def index(self, *entries: dict[str, Any]) -> str:
        """Push an index; gives its digest."""
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        digest = self.layout.blob(content)
        self.send("PUT", f"{self.url}/manifests/1.1.0", content, INDEX)
        return digest


def scan(digest: str) -> Any:
    ti = Ti()
    operator = ImageScanOperator(task_id="scan", scanner="secrets", image="shop", digest=digest)
    try:
        return operator.execute({"ti": ti})  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        return str(error)


def test_what_one_platform_alone_holds_is_found_and_the_attestation_is_no_image(address: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    pushed = Pushed(address, layout)
    a = pushed.image(layout.image({"app/a.js": "x()\n"}))
    key = {"app/.npmrc": f"//registry.npmjs.org/:_authToken={TOKEN}\n"}
    b = pushed.image(layout.image(key, {"app/.wh..npmrc": ""}, architecture="arm64"))
    beside = pushed.image(layout.image({"in-toto.json": json.dumps({"key": TOKEN})}))
    p = {
        **beside,
        "platform": {"os": "unknown", "architecture": "unknown"},
        "annotations": {ATTESTATION: "attestation-manifest"},
    }
    assert scan(pushed.index(a, p))["status"] == "clean"
    failure = scan(pushed.index(a, b, p))
    assert "secrets found 1 critical" in failure
    assert "app/.npmrc:1 for linux/arm64 in layer sha256:" in failure
    assert TOKEN not in failure


def test_a_platform_that_is_gone_from_the_registry_is_unknown(address: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    pushed = Pushed(address, layout)
    a = pushed.image(layout.image({"app/a.js": "x()\n"}))
    b = pushed.image(layout.image({"app/b.js": "x()\n"}, architecture="arm64"))
    digest = pushed.index(a, b)
    urllib.request.urlopen(urllib.request.Request(f"{pushed.url}/manifests/{b['digest']}", method="DELETE"), timeout=10)
    failure = scan(digest)
    assert "unknown" in failure
    assert "linux/arm64" in failure
