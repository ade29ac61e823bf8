"""Stages of a team's own: kinds of work that an app's file can put between ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from release_pipelines.core.seams import Seam

if TYPE_CHECKING:
    from release_pipelines.core.model.base import Value
    from release_pipelines.core.model.mistake import Mistake


@dataclass(frozen=True)
class OwnStagePlace:
    """Where a stage stands, as far as its options have to fit it.

    :param environment: the environment that it works in: its platform, its address, its lists of what is allowed.
    :param last: whether that is the last environment.
    :param operators_allowed: import paths that the environment's file allows, like ``acme.operators.*``.
    :param dags_allowed: ids of DAGs that it allows.
    :param image: whether the image that is released is known by then.
    """

    environment: str
    last: bool
    operators_allowed: Sequence[str] = ()
    dags_allowed: Sequence[str] = ()
    image: bool = True


@runtime_checkable
class OwnStage(Protocol):
    """One kind of stage. Its name is the key under which a file has its options: ``{name: load, container: {…}}``.

    Only :attr:`options` and :meth:`operator` have no default. The module of a kind imports neither Airflow nor a client library at its top.
    """

    options: type[Value]
    """What a team writes under the kind's name."""

    def mistakes(self, where: str, options: Any, place: OwnStagePlace) -> Iterable[Mistake]:
        """What does not fit between the options and the place.

        :param where: the path of the options in the app's file, like ``stages[0].container``.
        """
        return ()

    def texts(self, options: Any) -> Iterator[str]:
        """The texts of the options in which placeholders like ``{version}`` and ``{stages.load.p95}`` are filled in."""
        yield from texts_in(options.model_dump(mode="json"))

    def operator(self, task_id: str, options: Any, given: Mapping[str, Any]) -> Any:
        """The Airflow operator, made inside of the DAG.

        :param options: an instance of :attr:`options`.
        :param given: keyword arguments for a :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`; another
            operator takes what it needs of them.
        """
        raise NotImplementedError


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a JSON value, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for it in value.values():
            yield from texts_in(it)
    elif isinstance(value, list | tuple):
        for it in value:
            yield from texts_in(it)


OWN_STAGES: Seam[OwnStage] = Seam(
    "own_stage",
    "release_pipelines.features.own_stages.kinds",
    OwnStage,
    first=("container", "http", "operator", "dag"),
)
