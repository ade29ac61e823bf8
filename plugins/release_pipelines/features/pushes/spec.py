"""The key `forge_users` of an environment's file."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from release_pipelines.core.model.person import as_word

Name = Annotated[str, BeforeValidator(as_word), Field(min_length=1)]


def _are_told_apart(users: dict[str, str]) -> dict[str, str]:
    """Forges take logins that differ in case for one."""
    known: dict[str, str] = {}
    for login, user in users.items():
        if known.setdefault(login.casefold(), user) != user:
            raise ValueError(f"each login once is expected, found `{login}` for {known[login.casefold()]} and {user}")
    return users


ForgeUsers = Annotated[dict[Name, Name], AfterValidator(_are_told_apart)]
