"""Airflow connections of AWS → its services, by the amazon provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release_pipelines.adapters.registries.ecr import Amazon
    from release_pipelines.core.model.connection import Connection

TIMEOUT = 10.0
"""Maximum time for an answer, in seconds."""


async def open_client(kind: str, connection: str, region: str | None = None) -> Any:
    """A service that a metric source of ours asks: ``cloudwatch``. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    :param region: None: the connection's.
    """
    if kind != "cloudwatch":
        raise ValueError(f"`cloudwatch` is expected, found `{kind}`")
    from release_pipelines.adapters.metrics.cloudwatch import CloudWatch

    def client() -> Any:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
        from botocore.config import Config

        config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
        return AwsBaseHook(connection, client_type=kind, region_name=region, config=config).get_conn()

    return CloudWatch(client)


def ecr(connection_id: str, registry: Connection) -> Amazon:
    """How a registry of Amazon ECR is asked: by the amazon provider's hook, which masks logins in logs.

    :param connection_id: a connection of type ``aws``; where there is none of that name, the credentials of the machine.
    :param registry: its host may name the region, its extra ``registry_id`` the account.
    """
    from release_pipelines.adapters.registries.ecr import HOST, Amazon, Token
    from release_pipelines.core.address import parts_of

    found = HOST.fullmatch(parts_of(registry).server)
    region = found[2] if found else registry.extra.get("region_name")
    account = found[1] if found else registry.extra.get("registry_id")

    def hook() -> Any:
        from airflow.providers.amazon.aws.hooks.ecr import EcrHook
        from botocore.config import Config

        config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
        return EcrHook(aws_conn_id=connection_id, region_name=region, config=config)

    def token() -> Token:
        given = hook().get_temporary_credentials(account)[0]
        return Token(given.username, given.password, given.proxy_endpoint, given.expires_at.timestamp())

    return Amazon(token, lambda: hook().conn)


def systems_manager(connection: str) -> Any:
    """boto3's client of AWS Systems Manager. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
    return AwsBaseHook(connection, client_type="ssm", config=config).get_conn()


def key_management(connection: str) -> Any:
    """boto3's client of AWS KMS. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
    return AwsBaseHook(connection, client_type="kms", config=config).get_conn()


def container_registry(connection: str | None, region: str | None = None) -> Any:
    """boto3's client of Amazon ECR. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    :param region: None: the connection's.
    """
    from airflow.providers.amazon.aws.hooks.ecr import EcrHook
    from botocore.config import Config

    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
    return EcrHook(aws_conn_id=connection, region_name=region, config=config).get_conn()
