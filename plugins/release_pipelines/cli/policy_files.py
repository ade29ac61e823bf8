"""The files of policies, as ``release validate`` looks at them: those that are named are there, and can be asked."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_pipelines.core.model.policy import Policy
    from release_pipelines.spec.loader import SpecError

EXPECTED = "what `release policy --check` finds nothing wrong with"


class PolicyFiles:
    """The policies of a project; each is looked at once.

    :param folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._seen: set[str] = set()

    def named(self, file: str, names: Sequence[str]) -> Iterator[SpecError]:
        """What is wrong with the policies that a file names."""
        from release_pipelines.adapters.policies.folder import names_in
        from release_pipelines.core.text import one_of
        from release_pipelines.spec.loader import SpecError

        known = names_in(self.folder) if names else []
        for number, name in enumerate(names):
            if name in known:
                yield from self._looked_at(name)
                continue
            expected = one_of(known, name) if known else f"a file {name}.rego in {self.folder.name}/"
            yield SpecError(file, f"policies[{number}]", f"`{name}`, which has no file", expected)

    def others(self) -> Iterator[SpecError]:
        """Policies that nobody names, and that are no Rego."""
        from release_pipelines.adapters.policies.folder import names_in
        from release_pipelines.adapters.policies.rego import Rego
        from release_pipelines.core.policies.asking import EngineFailed
        from release_pipelines.spec.loader import SpecError

        for name in names_in(self.folder):
            if name in self._seen or not self._readable:
                continue
            try:
                policy, library = self._texts(name)
                Rego().parse({**library, **policy.files})
            except (EngineFailed, OSError, UnicodeDecodeError) as error:
                yield SpecError(f"policy {name}", "", f"what cannot be read ({error})", EXPECTED)

    @cached_property
    def _readable(self) -> bool:
        found = importlib.util.find_spec("regorus") is not None
        if not found:
            self.warnings.append("Policies were not looked at: regorus (extra `policy`) is not installed here")
        return found

    def _texts(self, name: str) -> tuple[Policy, dict[str, str]]:
        from release_pipelines.adapters.policies.folder import library_in, policies_in

        [policy] = policies_in(self.folder, [name])
        return policy, library_in(self.folder)

    def _looked_at(self, name: str) -> Iterator[SpecError]:
        from release_pipelines.adapters.policies.rego import Rego
        from release_pipelines.core.policies.asking import look_at, unusable
        from release_pipelines.spec.loader import SpecError

        if name in self._seen or not self._readable:
            return
        self._seen.add(name)
        try:
            policy, library = self._texts(name)
            _, _, wrong = look_at(Rego(), policy, library)
            self.warnings += [it.removesuffix(".") for it in unusable(Rego(), policy, library)]
        except (OSError, UnicodeDecodeError) as error:
            wrong = [f"it cannot be read: {error}"]
        for sentence in wrong:
            yield SpecError(f"policy {name}", "", f"what cannot be asked ({sentence.removesuffix('.')})", EXPECTED)
