"""What all operators of this package share: values in, reasons out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.domain.values import Value
from release_pipelines.hooks.prometheus import PrometheusError
from release_pipelines.platforms.base import PlatformError, PlatformUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Context

V = TypeVar("V", bound=Value)

REASON = "reason"
"""XCom key under which a failing task says why, in one sentence."""


def given(model: type[V], value: Any, what: str) -> V:
    """An operator's argument as a value: a model, a dict (another task's ``.output``) or JSON (a rendered template).

    :raises ValueError: when it is missing or does not fit.
    """
    if isinstance(value, model):
        return value
    if value in (None, "", "null", "None"):
        raise ValueError(f"{what} is missing: the task that gives it has not run, or gave nothing.")
    return model.model_validate_json(value) if isinstance(value, str) else model.model_validate(value)


@contextmanager
def explained(context: Context) -> Iterator[None]:
    """Turn every failure into one sentence: in the log's last line and in XCom ``reason``.

    What another try may mend (a platform or a metrics service that does not answer) stays retryable; everything else
    fails the task for good.
    """
    try:
        yield
    except (PlatformUnavailable, PrometheusError) as error:
        context["ti"].xcom_push(REASON, str(error))
        raise AirflowException(str(error)) from error
    except (PlatformError, ValueError) as error:
        context["ti"].xcom_push(REASON, str(error))
        raise AirflowFailException(str(error)) from error
    except AirflowFailException as error:
        context["ti"].xcom_push(REASON, str(error))
        raise


class ReleaseOperator(BaseOperator):
    """Base: a subclass writes :meth:`work`; its failures explain themselves (see :func:`explained`)."""

    def execute(self, context: Context) -> Any:
        """Do the work; called by Airflow."""
        with explained(context):
            return self.work(context)

    def work(self, context: Context) -> Any:
        """What the subclass does; returns what goes to XCom."""
        raise NotImplementedError
