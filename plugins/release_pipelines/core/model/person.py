"""People as files name them, and as Airflow's auth manager tells of them."""

from typing import Any, NamedTuple

from pydantic import field_validator, model_validator

from release_pipelines.core.model.base import Value


def as_word(value: Any) -> Any:
    """A name as text, also one that is a number, which YAML does not take for text."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Person(Value):
    """Somebody under every name that Airflow's auth manager, a robot or a command may use; at least one is given."""

    name: str | None = None
    email: str | None = None
    id: str | None = None

    @field_validator("name", "id", mode="before")
    @classmethod
    def _numbers_are_names(cls, value: Any) -> Any:
        return as_word(value)

    @model_validator(mode="after")
    def _has_a_name(self) -> "Person":
        if not any(self.words):
            raise ValueError("a `name`, an `email` or an `id` is expected")
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(it for it in (self.name, self.email, self.id) if it)

    def __str__(self) -> str:
        return next(iter(self.words))


class Identity(NamedTuple):
    """Who has signed in, as Airflow's auth manager tells it."""

    id: str | None = None
    name: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """Both."""
        return tuple(dict.fromkeys(it for it in (self.name, self.id) if it))

    def __str__(self) -> str:
        return next(iter(self.words), "nobody")


class Asked(NamedTuple):
    """Who asks for something.

    ``requester`` is the person that is named, ``started_by`` the user who started the run for that person: a robot, an account of
    the operating system; None where both are one.
    """

    requester: str | None = None
    started_by: str | None = None

    def __str__(self) -> str:
        started = f" (started by {self.started_by})" if self.started_by else ""
        return f"{self.requester or 'nobody'}{started}"
