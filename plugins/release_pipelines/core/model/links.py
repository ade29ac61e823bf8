"""Where people look beside Airflow."""

from typing import Annotated

from pydantic import AfterValidator, Field

from release_pipelines.core.links import PLACEHOLDERS, unknown_placeholders
from release_pipelines.core.model.base import Value


def _address(raw: str) -> str:
    scheme, separator, rest = raw.partition("://")
    if scheme.lower() not in ("http", "https") or not separator or any(ord(it) <= 32 for it in raw):
        raise ValueError("an address of http or https is expected")
    if "@" in rest.partition("/")[0]:
        raise ValueError("an address without user and password is expected, found one with them")
    if unknown := unknown_placeholders(raw):
        names = ", ".join(f"`{{{it}}}`" for it in PLACEHOLDERS)
        raise ValueError(f"placeholders {names} are expected, found `{{{unknown[0]}}}`")
    return raw


Address = Annotated[str, AfterValidator(_address)]
"""An address, in which names may stand in braces."""


class LinkSettings(Value):
    """Addresses that tasks and pages lead to. In braces: ``{app}``, ``{environment}``, ``{version}``, ``{digest}``, ``{image}``, ``{from}``, ``{to}``."""

    prometheus: Address | None = Field(
        None, description="Where people reach Prometheus: stages lead to the queries that judge them"
    )
    grafana: Address | None = Field(
        None, description="A dashboard, like https://grafana.example/d/shop?var-app={app}&from={from}&to={to}"
    )
    registry: Address | None = Field(
        None, description="The registry's page of an image, like https://harbor.example/shop/artifacts/{digest}"
    )
