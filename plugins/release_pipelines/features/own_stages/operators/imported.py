"""An Airflow operator by its import path as a stage."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
    TaskDeferred,
)

from release_pipelines.airflow.operator import NO_FAILURE, explained
from release_pipelines.core.allowed import is_allowed
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.ports.own_stage import OwnStagePlace
from release_pipelines.core.text import one_line, storable
from release_pipelines.features.own_stages.kinds.operator import OperatorOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.outputs import told

if TYPE_CHECKING:
    from airflow.sdk import Context


class ImportedStageOperator(OwnStageOperator):
    """Import an operator when the task runs, run it, and hand on what it returns. One that defers is deferred.

    ``options`` is an :class:`~release_pipelines.features.own_stages.kinds.operator.OperatorOptions` or its dict. Jinja in the arguments is
    not rendered: it could read every connection. The other arguments, and what is returned:
    :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    :param place: what the environment allows; an import path that it does not is not imported. None: any is.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``reason`` when it fails.
    """

    typed = True
    begins_again = 2

    def __init__(self, *, place: OwnStagePlace | None = None, **kwargs: Any) -> None:
        super().__init__(place=place, **kwargs)
        self._inner: Any = None

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        inner = self._made(options)
        return self._outcome(seconds, lambda: inner.execute(context))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """The operator goes on where it has deferred itself; called by Airflow."""
        with explained(context):
            inner = self._made(self.filled_options())
            seconds = min(self.timeout, self._left(context))
            result = self._outcome(seconds, lambda: inner.resume_execution(next_method, next_kwargs, context))
            return storable(self.came_to(context, result))

    def on_kill(self) -> None:
        """Ends what the operator has begun; called by Airflow."""
        if self._inner is not None:
            self._inner.on_kill()

    def _made(self, options: dict[str, Any]) -> Any:
        """The operator itself.

        :raises ReleaseError: when it is not allowed, cannot be imported, is no operator, or does not take its arguments.
        """
        wanted = OperatorOptions.model_validate(options)
        if self.place is not None and not is_allowed(wanted.path, self.place.operators_allowed):
            raise ReleaseError(
                f"{wanted.path} is not what `operators_allowed` in {self.place.environment}.yaml allows."
            )
        module, _, name = wanted.path.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
        except Exception as error:  # somebody else's module may raise anything
            raise ReleaseError(
                f"{wanted.path} cannot be imported: {type(error).__name__}: {one_line(error)}."
            ) from error
        if not (isinstance(kind, type) and issubclass(kind, BaseOperator)):
            raise ReleaseError(f"{wanted.path} is no operator: a class that is one is expected.")
        try:
            self._inner = kind(task_id=self.task_id, **wanted.arguments)
        except Exception as error:
            raise ReleaseError(
                f"{name} does not take its arguments: {type(error).__name__}: {one_line(error)}."
            ) from error
        return self._inner

    def _outcome(self, seconds: float, call: Callable[[], Any]) -> OwnStageResult:
        token = ExecutorSafeguard.tracker.set(self._inner)  # it is run by a task, if by another one's
        try:
            return _result(call())
        except TaskDeferred as deferral:
            deferral.timeout = min(filter(None, (deferral.timeout, _delta(seconds))), default=None)
            raise
        except (AirflowTaskTimeout, TaskDeferralTimeout):
            return OwnStageResult(succeeded=False, ended=False, sentence="failed: it took longer than it may")
        except AirflowSkipException as error:
            why = one_line(error)
            return OwnStageResult(
                succeeded=False,
                ended=False,
                sentence=f"skipped{': ' if why else ''}{why}: nobody knows what it would have come to",
            )
        except NO_FAILURE as signal:
            name = type(self._inner).__name__
            raise ReleaseError(
                f"{name} wants to steer the DAG ({type(signal).__name__}): an operator that works, or waits deferred, is expected."
            ) from None
        except AirflowException as error:
            self.log.exception("It failed.")
            return OwnStageResult(succeeded=False, sentence=f"failed: {one_line(error, 300) or type(error).__name__}")
        except Exception as error:  # its message may be anything, a secret, too: the log has it
            self.log.exception("It failed.")
            return OwnStageResult(
                succeeded=False, sentence=f"failed with an unforeseen {type(error).__name__}; its log says more"
            )
        finally:
            ExecutorSafeguard.tracker.reset(token)


def _delta(seconds: float) -> Any:
    from datetime import timedelta

    return timedelta(seconds=seconds)


def _result(returned: Any) -> OwnStageResult:
    try:
        values = json.loads(json.dumps(returned))
    except (TypeError, ValueError):
        raise ReleaseError(f"It returned {type(returned).__name__}: something that JSON has is expected.") from None
    words = told(values) if values is not None else ""
    return OwnStageResult(succeeded=True, sentence=f"passed: {words}" if words else "passed", values=values)
