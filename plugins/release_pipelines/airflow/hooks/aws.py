"""Airflow connections of AWS → its services, by the amazon provider."""

from __future__ import annotations

from typing import Any

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


def systems_manager(connection: str) -> Any:
    """boto3's client of AWS Systems Manager. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
    return AwsBaseHook(connection, client_type="ssm", config=config).get_conn()


def ecr(connection: str | None, region: str | None = None) -> Any:
    """boto3's client of Amazon ECR. Nothing is asked before its first question.

    :param connection: of type ``aws``; where there is none of that name, the credentials of the machine.
    :param region: None: the connection's.
    """
    from airflow.providers.amazon.aws.hooks.ecr import EcrHook
    from botocore.config import Config

    config = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"max_attempts": 2})
    return EcrHook(aws_conn_id=connection, region_name=region, config=config).get_conn()
