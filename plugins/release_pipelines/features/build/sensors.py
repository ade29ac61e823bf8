"""Wait for an image in other regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.core.errors import PlatformUnavailable, ReleaseError

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImageReplicatedSensor(BaseSensorOperator):
    """Succeed when a registry has copied an image to other regions or accounts (Amazon ECR). A copy that failed ends the wait.

    Holds no worker slot between two looks.

    :param registry_conn_id: the registry that it was pushed to.
    :param image: its repository, with or without the registry's host.
    :param digest: its digest.
    :param places: regions like ``eu-west-1``, or accounts with regions like ``123456789012/eu-west-1``.

    Templated: ``image``, ``digest``.
    XCom: nothing.
    """

    template_fields: Sequence[str] = ("image", "digest")

    def __init__(self, *, registry_conn_id: str, image: str, digest: str, places: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**{"mode": "reschedule", "poke_interval": 15.0, "timeout": 3600.0, **kwargs})
        self.registry_conn_id = registry_conn_id
        self.image = image
        self.digest = digest
        self.places = list(places)

    def poke(self, context: Context) -> bool:
        """Whether it is everywhere."""
        from release_pipelines.core.ports.registry import Replicates

        registry = RegistryHook(self.registry_conn_id).get_conn()
        if not isinstance(registry, Replicates):
            raise AirflowFailException(f"The registry {registry.host} copies nothing to other regions.")
        try:
            found = registry.replicated(self.image, self.digest)
        except PlatformUnavailable as error:
            self.log.warning("%s", error)
            return False
        except ReleaseError as error:
            raise AirflowFailException(str(error)) from error
        words = {it: found.get(it, "not begun") for it in self.places}
        self.log.info("%s: %s.", self.digest, ", ".join(f"{it}: {word}" for it, word in words.items()))
        for it, word in words.items():
            if word.startswith("FAILED"):
                raise AirflowFailException(f"{self.image}@{self.digest} could not be copied to {it}: {word}.")
        return all(word == "COMPLETE" for word in words.values())
