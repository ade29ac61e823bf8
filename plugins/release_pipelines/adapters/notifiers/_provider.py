"""What notifiers share that send by a provider of Airflow."""

from __future__ import annotations

from importlib.util import find_spec


def provider_missing(provider: str) -> str | None:
    """A sentence where the provider is not installed.

    :param provider: the last word of its package, like ``slack``.
    """
    if find_spec(f"airflow.providers.{provider}"):
        return None
    return f"apache-airflow-providers-{provider} is not installed: install `release-pipelines[notify]`"
