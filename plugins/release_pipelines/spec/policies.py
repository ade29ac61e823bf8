"""Which policies a release is judged by, and which evidence they demand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from release_pipelines.core.model.policy import Policy
from release_pipelines.spec.folders import airflow_home, policies_folder

if TYPE_CHECKING:
    from release_pipelines.core.model.policy import PolicyWaiver
    from release_pipelines.spec.release import ReleaseSpec


def policies_of(spec: ReleaseSpec, environment: str) -> list[str]:
    """The policies that a release keeps to in an environment: those of the environment, and in the last one the app's, too."""
    named = [*(spec.environment(environment).part("policies", list) or [])]
    if environment == spec.production.name:
        named += spec.app.part("policies", list) or []
    return list(dict.fromkeys(named))


def waivers_of(spec: ReleaseSpec, environment: str) -> list[PolicyWaiver]:
    """The waivers of an environment."""
    return spec.environment(environment).part("policy_waivers", list) or []


def folder_here() -> Path:
    """The folder of the policies of the project that Airflow runs."""
    return policies_folder(airflow_home())


def policies_here(names: Sequence[str], folder: Path | None = None) -> tuple[list[Policy], dict[str, str]]:
    """Policies with their texts, as they are written now, and what all of them may use.

    :param folder: where they are; default: that of the project.
    :raises ReleaseError: when a file cannot be read.
    """
    from release_pipelines.adapters.policies.folder import library_in, policies_in
    from release_pipelines.core.errors import ReleaseError

    where = folder or folder_here()
    try:
        return policies_in(where, names), library_in(where)
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"The policies in {where} cannot be read: {error}.") from None


def demanded(spec: ReleaseSpec, folder: Path | None = None) -> set[str]:
    """The evidence that policies demand of a release, like ``scans.trivy`` or ``tests.Smoke test in staging``: what gives it cannot be left out.

    :param folder: where the policies are; default: that of the project.
    :raises ReleaseError: when a policy cannot be read.
    """
    found: set[str] = set()
    for environment in spec.environments:
        policies, library = policies_here(policies_of(spec, environment.name), folder)
        for policy in policies:
            found |= _needs(policy.name, tuple(policy.files.items()), tuple(library.items()))
    return found


@lru_cache(maxsize=256)
def _needs(name: str, files: tuple[tuple[str, str], ...], library: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """What one policy needs, once for each of its texts."""
    from release_pipelines.adapters.policies.rego import Rego
    from release_pipelines.core.errors import ReleaseError
    from release_pipelines.core.policies.asking import look_at

    _, needs, wrong = look_at(Rego(), Policy(name=name, files=dict(files)), dict(library))
    if wrong:
        raise ReleaseError(wrong[0])
    return frozenset(needs)
