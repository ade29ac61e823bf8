"""Images are signed and attested, and verified before anything is deployed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.hooks.signing import SigningKeyHook, public_keys
from release_pipelines.airflow.operator import ReleaseOperator, as_value, is_blank
from release_pipelines.airflow.policies import keep_part
from release_pipelines.core.errors import PlatformError, PlatformUnavailable, ReleaseError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.attestation import Demand, KeySource

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.attestations.provenance import Provenance
    from release_pipelines.spec.feature import Ended

ATTESTED = "attested"
"""Kind of the event that says that a digest was attested by a key that was trusted then."""


class _AttestingOperator(ReleaseOperator):
    """Says something of an image, signed.

    :param artifact: the image: an :class:`~release_pipelines.core.model.artifact.Artifact`, or another task's that gives one.
    :param key: the :class:`~release_pipelines.core.model.attestation.KeySource` or its dict: where the private key is.
    :param registry_conn_id: connection of the registry that has the image.
    :param release: the release in whose history it is noted; None: in none.
    """

    template_fields: Any = ("artifact", "release")

    def __init__(
        self,
        *,
        artifact: Any,
        key: KeySource | dict[str, Any],
        registry_conn_id: str = RegistryHook.default_conn_name,
        release: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        self.artifact = artifact
        self.key = key
        self.registry_conn_id = registry_conn_id
        self.release = release

    def say(self, artifact: Artifact, predicate_type: str, predicate: Any, *, digest: str | None = None) -> str:
        """Attest it, unless it is attested already; what was done, as a sentence."""
        from release_pipelines.adapters.signing.attesting import attest
        from release_pipelines.core.attestations.statement import kind_of

        signer = SigningKeyHook(as_value(KeySource, self.key, "key")).signer()
        registry = RegistryHook(self.registry_conn_id).get_conn()
        of = digest or artifact.digest
        said = attest(registry, artifact.image, of, signer, predicate_type, predicate)
        kind = kind_of(predicate_type)
        sentence = f"{of} has {'a new' if said.added else 'the same'} {kind}."
        if said.unseen:
            self.log.warning("%s", said.unseen)
            sentence = f"{sentence} But {said.unseen}"
        self.log.info("%s", sentence)
        if self.release and not is_blank(self.release):
            record(
                HistoryHook().history,
                "record_event",
                self.release,
                ATTESTED,
                sentence,
                None,
                {"digest": of, "kind": kind},
            )
        return sentence


class SignImageOperator(_AttestingOperator):
    """Sign an image by its digest, so that ``cosign verify`` knows it: as a bundle beside it, and in the tag that cosign 2 reads.

    :param artifact: the image: an :class:`~release_pipelines.core.model.artifact.Artifact`, or the output of a task that gives one.
    :param key: where the private key is: ``{"connection": …}``, ``{"variable": …}`` or ``{"kms": …}``.
    :param registry_conn_id: connection of the registry that has the image.
    :param release: the release in whose history it is noted; None: in none.
    :return: ``{"digest", "sentence"}``. An image that the key has signed already is not signed again.

    Templated: ``artifact``, ``release``.
    XCom: return value; ``reason`` when it fails.
    """

    def work(self, context: Context) -> dict[str, str]:
        from release_pipelines.core.attestations.statement import SIGNATURE

        artifact = as_value(Artifact, self.artifact, "artifact")
        return {"digest": artifact.digest, "sentence": self.say(artifact, SIGNATURE, {})}


class AttestOperator(_AttestingOperator):
    """Attest something of an image: an in-toto statement in a DSSE envelope, signed, and attached so that ``cosign verify-attestation`` knows it.

    :param artifact: the image: an :class:`~release_pipelines.core.model.artifact.Artifact`, or the output of a task that gives one.
    :param predicate_type: what is said, as a URI, like ``https://cyclonedx.org/bom``.
    :param predicate: what is said, as JSON or what gives it.
    :param key: where the private key is: ``{"connection": …}``, ``{"variable": …}`` or ``{"kms": …}``.
    :param registry_conn_id: connection of the registry that has the image.
    :param release: the release in whose history it is noted; None: in none.
    :return: ``{"digest", "sentence"}``. What the key has attested already is not attested again.

    Templated: ``artifact``, ``release``, ``predicate``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("artifact", "release", "predicate")

    def __init__(self, *, predicate_type: str, predicate: Mapping[str, Any] | str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if ":" not in predicate_type:
            raise ValueError(f"A predicate's type is a URI like https://cyclonedx.org/bom, found {predicate_type!r}.")
        self.predicate_type = predicate_type
        self.predicate = predicate

    def work(self, context: Context) -> dict[str, str]:
        from release_pipelines.core.attestations.reading import Unreadable, json_object

        artifact, predicate = as_value(Artifact, self.artifact, "artifact"), self.predicate
        try:
            said = json_object(predicate, "predicate") if isinstance(predicate, str) else dict(predicate)
        except Unreadable as error:
            raise PlatformError(f"Nothing was attested of {artifact.reference}: {error}.") from None
        return {"digest": artifact.digest, "sentence": self.say(artifact, self.predicate_type, said)}


class AttestProvenanceOperator(_AttestingOperator):
    """Attest how an image was made: SLSA provenance v1, with the builder, the source's commit, the Dockerfile and its arguments.

    :param artifact: the image: an :class:`~release_pipelines.core.model.artifact.Artifact`, or the output of a task that gives one.
    :param key: where the private key is: ``{"connection": …}``, ``{"variable": …}`` or ``{"kms": …}``.
    :param builder: the builder's id, a URI.
    :param repository: the source's Git URL; a login in it is left out.
    :param commit: full hash of what was built.
    :param ref: the tag or branch by which the commit was found.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param target: stage of the Dockerfile that was built.
    :param args: build arguments. They are attested as they are, so no secret may be one.
    :param git_conn_id: connection with the credentials of a private repository.
    :param registry_conn_id: connection of the registry that has the image.
    :param release: the release in whose history it is noted, and whose id the provenance names; None: in none.
    :return: ``{"digest", "sentence"}``. What the key has attested already is not attested again.

    Base images that the Dockerfile names by their digests are materials.

    Templated: ``artifact``, ``release``, ``repository``, ``commit``, ``ref``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("artifact", "release", "repository", "commit", "ref")

    def __init__(
        self,
        *,
        builder: str,
        repository: str,
        commit: str,
        ref: str = "",
        context: str = ".",
        dockerfile: str = "Dockerfile",
        target: str | None = None,
        args: Mapping[str, str] | None = None,
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.builder = builder
        self.repository = repository
        self.commit = commit
        self.ref = ref
        self.context = context
        self.dockerfile = dockerfile
        self.target = target
        self.args = args or {}
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> dict[str, str]:
        from release_pipelines.core.attestations.provenance import Build, predicate
        from release_pipelines.core.attestations.statement import PROVENANCE

        artifact = as_value(Artifact, self.artifact, "artifact")
        if is_blank(self.commit):
            raise PlatformError(
                f"Nothing was attested of {artifact.reference}: the commit that it was built from is not known."
            )
        build = Build(
            builder=self.builder,
            repository=self.repository,
            commit=self.commit,
            ref="" if is_blank(self.ref) else self.ref,
            context=self.context,
            dockerfile=self.dockerfile,
            target=self.target,
            args=self.args,
            base_images=self._base_images(),
            invocation="" if is_blank(self.release) else str(self.release),
        )
        return {"digest": artifact.digest, "sentence": self.say(artifact, PROVENANCE, predicate(build))}

    def _base_images(self) -> dict[str, str]:
        from release_pipelines.adapters.git import folder_inside
        from release_pipelines.airflow.hooks.git import GitHook
        from release_pipelines.core.dockerfile import pinned_images

        with GitHook(self.repository, self.git_conn_id).checkout(self.commit, self.context, lfs=False) as source:
            file = folder_inside(source, self.context) / self.dockerfile
            return pinned_images(file.read_text(errors="replace")) if file.is_file() else {}


class AttestSbomOperator(_AttestingOperator):
    """Attest the bills of materials that a release has made: the texts ``sbom….cdx.json`` and ``sbom….spdx.json`` in its history.

    :return: ``{"digest", "sentence"}``; ``sentence`` is empty where it has none.

    Templated: ``artifact``, ``release``.
    XCom: return value; ``reason`` when it fails.
    """

    def work(self, context: Context) -> dict[str, str]:
        from release_pipelines.adapters.signing.beside import Beside
        from release_pipelines.core.attestations.reading import Unreadable, json_object
        from release_pipelines.core.attestations.sbom import is_sbom, subject_of, type_of

        artifact = as_value(Artifact, self.artifact, "artifact")
        made = [it for it in HistoryHook().history().attachments(str(self.release)) if is_sbom(it.name)]
        if not made:
            return {"digest": artifact.digest, "sentence": ""}
        image = Beside(RegistryHook(self.registry_conn_id).get_conn(), artifact.image).image(artifact.digest)
        done = []
        for it in made:
            try:
                document = json_object(it.content, it.name)
                digest = subject_of(it.name, document, image)
            except Unreadable as error:
                raise PlatformError(f"The bill of materials {it.name} was not attested: {error}.") from None
            done.append(self.say(artifact, type_of(it.name), document, digest=digest))
        return {"digest": artifact.digest, "sentence": " ".join(done)}


class VerifyImageOperator(ReleaseOperator):
    """Fail unless an image is signed and attested as demanded, by keys that are trusted, for exactly this digest.

    :param artifact: the image: an :class:`~release_pipelines.core.model.artifact.Artifact`, or the output of a task that gives one. Its
        commit is what provenance has to name.
    :param demand: the :class:`~release_pipelines.core.model.attestation.Demand` or its dict: what is demanded, and whose keys count.
    :param repository: the source's Git URL, where the demand names none.
    :param registry_conn_id: connection of the registry that has the image.
    :param release: the release in whose history it is noted, which then also knows what retired keys had signed; None: in none.
    :param environment: the environment that demands it, for the history.
    :return: ``{"digest", "signers", "sentence"}``.

    A registry that does not answer, or a key that cannot be read, is never a pass.

    Templated: ``artifact``, ``release``.
    XCom: return value; ``refusals``, a list of ``{"why", "sentence"}``; ``reason`` when it fails.
    """

    template_fields = ("artifact", "release")

    def __init__(
        self,
        *,
        artifact: Any,
        demand: Demand | dict[str, Any],
        repository: str | None = None,
        registry_conn_id: str = RegistryHook.default_conn_name,
        release: str | None = None,
        environment: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        self.artifact = artifact
        self.demand = demand
        self.repository = repository
        self.registry_conn_id = registry_conn_id
        self.release = release
        self.environment = environment

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.adapters.signing.attesting import verify
        from release_pipelines.core.attestations.deciding import Asked

        artifact, demand = as_value(Artifact, self.artifact, "artifact"), as_value(Demand, self.demand, "demand")
        release = None if is_blank(self.release) else self.release
        known = HistoryHook().history().known_since(artifact.app, artifact.digest) if release else None
        asked = Asked(now=time.time(), commit=artifact.commit, repository=self.repository, known_since=known)
        registry = RegistryHook(self.registry_conn_id).get_conn()
        came = verify(registry, artifact.image, artifact.digest, demand, public_keys(demand.keys), asked)
        if came.refusals:
            context["ti"].xcom_push("refusals", [{"why": it.why, "sentence": it.sentence} for it in came.refusals])
            raise PlatformError(came.sentence)
        self.log.info("%s", came.sentence)
        if release:
            data = {"digest": artifact.digest, "keys": came.signers}
            record(HistoryHook().history, "record_event", release, ATTESTED, came.sentence, self.environment, data)
            self._tell_policies(release, came.provenance)
        return {"digest": artifact.digest, "signers": came.signers, "sentence": came.sentence}

    def _tell_policies(self, release: str, said: Provenance | None) -> None:
        """What was verified of how the image was made is evidence for policies; what cannot be kept is missing there, which stops a release."""
        if said is None:
            return
        part = {
            "verified": True,
            "builder": said.builder,
            "source": said.repository,
            "commit": _one(said.commits),
        }
        try:
            keep_part(HistoryHook().history(), release, "provenance", part)
        except ReleaseError as error:
            self.log.warning("The provenance is not kept for policies: %s", error)


def _one(found: frozenset[str]) -> str | None:
    """The only one of them, if there is only one."""
    return next(iter(found)) if len(found) == 1 else None


def unreadable(keys: Sequence[KeySource], *, private: bool = False) -> list[str]:
    """Why keys cannot be used, a sentence each.

    :param private: whether they are to sign.
    :raises PlatformUnavailable: where a service that holds one does not answer.
    """
    sentences = []
    for key in keys:
        hook = SigningKeyHook(key)
        try:
            _ = hook.signer().public.fingerprint if private else hook.public_key().fingerprint
        except PlatformUnavailable:
            raise
        except PlatformError as error:
            sentences.append(str(error))
    return list(dict.fromkeys(sentences))


def tell_what_serves(ended: Ended, demand: Demand) -> None:
    """After a release that went back: what of the version that serves again is not attested as its environment demands it.

    It was not asked before, because nothing may stand in the way of the way back.
    """
    from release_pipelines.adapters.signing.attesting import verify
    from release_pipelines.airflow.hooks.platform import PlatformHook
    from release_pipelines.core.attestations.deciding import Asked

    target, history = ended.target, HistoryHook().history()
    stable = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
    repository = stable.image or ended.detail.image
    if not stable.digest or not repository:
        return
    known = history.known_since(target.app, stable.digest)
    registry = RegistryHook(target.registry_connection).get_conn()
    try:
        asked = Asked(now=time.time(), known_since=known)
        came = verify(registry, repository, stable.digest, demand, public_keys(demand.keys), asked)
    except PlatformError as error:
        why = f"it could not be verified: {error}"
    else:
        why = came.sentence if came.refusals else ""
    if why:
        sentence = f"{stable.named} serves by its recorded digest, and is not attested as {target.environment} demands it: {why}"
        ended.steps.append(sentence)
        history.record_event(ended.detail.id, "not_attested", sentence, target.environment)
