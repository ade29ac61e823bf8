"""Connection types, for Airflow's connection forms (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def _type(
    kind: str, hook: str, relabeling: dict[str, str], placeholders: dict[str, str], hidden: list[str]
) -> dict[str, Any]:
    return {
        "connection-type": kind,
        "hook-class-name": hook,
        "ui-field-behaviour": {"hidden-fields": hidden, "relabeling": relabeling, "placeholders": placeholders},
    }


PROVIDER_INFO: dict[str, Any] = {
    "package-name": "release-pipelines",
    "name": "Release pipelines",
    "description": "Release pipelines as Airflow DAGs.",
    "connection-types": [
        _type(
            "prometheus",
            "release_pipelines.airflow.hooks.prometheus.PrometheusHook",
            {"host": "URL", "password": "Password, or bearer token without a login"},
            {"host": "https://prometheus.example.org"},
            ["schema", "port", "extra"],
        ),
        _type(
            "container_host",
            "release_pipelines.airflow.hooks.engine.EngineHook",
            {"host": "Engine address"},
            {
                "host": "unix:///var/run/docker.sock",
                "extra": '{"state_url": "redis://127.0.0.1:6379/0", "build_args": {}}',
            },
            ["schema", "port", "login", "password"],
        ),
        _type(
            "buildkit",
            "release_pipelines.airflow.hooks.engine.BuildKitHook",
            {"host": "BuildKit address"},
            {
                "host": "tcp://buildkit.example.org:1234",
                "extra": '{"tls": {"ca": "", "cert": "", "key": ""}, "build_args": {}}',
            },
            ["schema", "port", "login", "password"],
        ),
        _type(
            "registry",
            "release_pipelines.airflow.hooks.registry.RegistryHook",
            {"host": "Registry"},
            {"host": "registry.example.org", "extra": '{"insecure": false}'},
            ["schema", "port"],
        ),
    ],
}
