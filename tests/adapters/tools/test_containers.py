"""What a program in a container gets of its worker."""

from __future__ import annotations

import pytest

from release_pipelines.adapters.tools.containers import settings_in


@pytest.mark.parametrize("name", ["TRIVY_OFFLINE_SCAN", "GRYPE_DB_AUTO_UPDATE", "SEMGREP_SEND_METRICS"])
def test_what_it_may_ask_of_the_network_goes_along(name: str) -> None:
    assert settings_in({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    "name",
    [
        "TRIVY_CACHE_DIR",
        "SEMGREP_RULES",
        "GITLEAKS_CONFIG",
        "TRIVY_PASSWORD",
        "SEMGREP_APP_TOKEN",
        "CHECKOV_API_KEY",
        "TRIVY_CLIENT_SECRET",
        "AIRFLOW__CORE__FERNET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "PATH",
    ],
)
def test_folders_secrets_and_everything_else_stay_with_the_worker(name: str) -> None:
    assert settings_in({name: "x"}) == {}
