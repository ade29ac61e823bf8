"""``release verify``: is a version attested as its environment demands it? The decision of the release's own task, without Airflow."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from release_pipelines.cli.commands import spec_in_file
from release_pipelines.cli.connections import connection_here
from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import (
    AsJson,
    Database,
    errors_as_sentences,
    examples,
    open_history_at,
    print_json,
)

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.attestation import Demand, TrustedKey
    from release_pipelines.core.ports.registry import Registry
    from release_pipelines.core.ports.signing import PublicKey
    from release_pipelines.spec.environment import EnvironmentSpec
    from release_pipelines.spec.release import ReleaseSpec


def add_verify(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    epilog = examples("release verify shop 1.4.0", "release verify shop 1.4.0 --environment staging --json")
    app.command("verify", epilog=epilog, rich_help_panel="See what happened")(verify)


def verify(
    name: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version, as the history knows it.")],
    environment: Annotated[str | None, typer.Option(help="Whose demand counts; default: the app's last one.")] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Verify a version's signature and attestations, as its release does before the environment is touched.

    The exit code is 0 only when all that is demanded is there. Registry and keys are those of the files: an Airflow connection or
    variable that they name is read from AIRFLOW_CONN_… or AIRFLOW_VAR_…; without one the registry is asked as anybody.
    """
    from release_pipelines.adapters.signing.attesting import verify as verified
    from release_pipelines.core.attestations.deciding import Asked

    with errors_as_sentences():
        spec = spec_in_file(name)
        where = _environment(spec, environment)
        demand = _demand(where)
        history = open_history_at(database)
        artifact = _artifact(history, name, version)
        source = getattr(spec.app, "build", None)
        asked = Asked(
            now=time.time(),
            commit=artifact.commit,
            repository=source.repository if source else None,
            known_since=history.known_since(name, artifact.digest),
        )
        keys = {key.name: _public_key(key) for key in demand.keys}
        came = verified(_registry(where, artifact), artifact.image, artifact.digest, demand, keys, asked)
    if as_json:
        print_json(
            {
                "app": name,
                "version": version,
                "environment": where.name,
                "image": artifact.image,
                "digest": artifact.digest,
                "verified": not came.refusals,
                "signers": came.signers,
                "refusals": [{"why": it.why, "sentence": it.sentence} for it in came.refusals],
            }
        )
    elif came.refusals:
        print(f"{name} {version} is not attested as {where.name} demands it:")
        for it in came.refusals:
            print(f"  {it.sentence}")
    else:
        print(f"{name} {version} in {where.name}: {came.sentence}")
    if came.refusals:
        raise typer.Exit(1)


def _environment(spec: ReleaseSpec, asked: str | None) -> EnvironmentSpec:
    names = [it.name for it in spec.environments]
    if asked and asked not in names:
        raise ValueError(
            f"--environment: found `{asked}`, expected one of {', '.join(names)}, where {spec.app.name} goes."
        )
    return spec.environment(asked or names[-1])


def _demand(environment: EnvironmentSpec) -> Demand:
    from release_pipelines.core.model.attestation import Demand

    demand = environment.part("verify", Demand)
    if demand is None:
        raise ValueError(
            f"{environment.name}.yaml demands nothing: `verify` is expected there, with the keys that count."
        )
    return demand


def _artifact(history: History, app: str, version: str) -> Artifact:
    from release_pipelines.core.model.artifact import Artifact

    known = history.artifact_of(app, version)
    if known is not None:
        return known
    detail = found(history, app, version)
    if not detail.digest or not detail.image:
        raise ValueError(f"{app} {version} has no image that the history knows.")
    return Artifact(app=app, version=version, image=detail.image, digest=detail.digest, commit=detail.commit)


def _registry(environment: EnvironmentSpec, artifact: Artifact) -> Registry:
    from release_pipelines.core.model.connection import Connection
    from release_pipelines.core.ports.registry import registry

    connection = connection_here(environment.connections.registry)
    return registry(connection or Connection(host=artifact.image.partition("/")[0]))


def _public_key(key: TrustedKey) -> PublicKey:
    """A key's public half; see :class:`~release_pipelines.airflow.hooks.signing.SigningKeyHook`, which has it from Airflow."""
    from release_pipelines.adapters.signing.keys import private_key, public_key

    if key.kms:
        from release_pipelines.adapters.signing.kms import KmsKey, client_of_this_machine

        return KmsKey(key.kms, client_of_this_machine).public
    passphrase, pem, where = None, key.public_key, f"`{key.name}`"
    if key.variable:
        where = f"variable {key.variable}"
        pem = os.environ.get(f"AIRFLOW_VAR_{key.variable.upper()}")
    elif key.connection and (connection := connection_here(key.connection)):
        where, pem = f"connection {key.connection}", connection.password
        passphrase = connection.extra.get("passphrase")
    if not pem:
        name = f"AIRFLOW_VAR_{key.variable}" if key.variable else f"AIRFLOW_CONN_{key.connection}"
        raise ValueError(
            f"The key `{key.name}` is in Airflow: {name.upper()} is expected here, or `public_key` in the file."
        )
    pem = pem.replace("\\n", "\n")
    if "PRIVATE KEY-----" not in pem:
        return public_key(pem.encode(), where)
    return private_key(pem.encode(), str(passphrase).encode() if passphrase else None, where).public
