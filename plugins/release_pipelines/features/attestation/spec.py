"""The key `sign` of an app's file."""

from pydantic import Field

from release_pipelines.core.model.attestation import KeySource
from release_pipelines.core.model.base import Value


class SignSpec(Value):
    """What is built here is signed, and its provenance and bills of materials are attested."""

    key: KeySource = Field(description="The private key")
    builder: str = Field(
        "urn:release-pipelines:airflow",
        description="The id under which provenance names this Airflow: a URI that `verify.provenance.builders` may name",
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$",
    )
