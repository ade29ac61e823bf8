from __future__ import annotations

from pathlib import Path

import pytest

BASE = """
platform: container_host
connections: {platform: host, engine: host, registry: registry, prometheus: prometheus}
address: {url: "http://127.0.0.1:8000", host: "{app}.example"}
approvers: [bob]
"""


class Project:
    """A folder with apps, environments and analyses."""

    def __init__(self, root: Path) -> None:
        self.apps, self.config, self.analyses = root / "apps", root / "config", root / "analyses"
        for folder in (self.apps, self.config, self.analyses):
            folder.mkdir()
        self.environment("base", BASE)
        self.environment("staging", "name: staging")
        self.environment("production", "name: production")

    def app(self, text: str = "", name: str = "storefront", suffix: str = ".yaml") -> Path:
        path = self.apps / f"{name}{suffix}"
        path.write_text(text if text.startswith("name:") else f"name: {name}\n{text}")
        return path

    def environment(self, name: str, text: str) -> None:
        (self.config / f"{name}.yaml").write_text(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
