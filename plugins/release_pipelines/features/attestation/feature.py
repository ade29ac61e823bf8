"""What is built here is signed and attested; an environment may demand that, and it is verified right before it is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.attestation import Demand, TrustedKey
from release_pipelines.core.model.source import Source
from release_pipelines.core.templates import field, xcom
from release_pipelines.features.attestation.spec import SignSpec
from release_pipelines.spec.feature import Ended, Feature, FeatureTask, Key, Mistake, Problem, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

VERIFY = "verify"
KINDS = "a public key of ECDSA P-256 or Ed25519 as PEM"
LATE = 900
"""Order of a task that comes after those that judge."""


class AttestationFeature(Feature):
    """The key ``sign`` of an app, and ``verify`` of an environment."""

    app_keys = {
        "sign": Key(
            SignSpec | None, description="Sign what is built here, and attest how it was made and what is in it"
        )
    }
    environment_keys = {
        VERIFY: Key(Demand | None, description="What has to be attested of an image before this environment is touched")
    }

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        if sign_of(spec) and build_of(spec) is None:
            yield Mistake("sign", "no `build`", "`build`: only what is built here is signed here")
        for number, environment in enumerate(spec.environments):
            for it in _unreadable(environment.part(VERIFY, Demand)):
                place = f"`verify.keys`, with `{it.name}`, in {environment.name}.yaml or base.yaml"
                yield Mistake(f"environments[{number}]", f"a `public_key` that cannot be read ({place})", KINDS)

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        """Keys that nobody can read are told before anything is done, and not after a build and an approval."""
        from release_pipelines.features.attestation.operators import unreadable

        demands = [demand for it in spec.environments if (demand := it.part(VERIFY, Demand))]
        yield from map(Problem, unreadable([key for demand in demands for key in demand.keys]))

    def before_build(self, spec: ReleaseSpec, version: str) -> Iterator[Problem]:
        from release_pipelines.features.attestation.operators import unreadable

        sign = sign_of(spec)
        yield from map(Problem, unreadable([sign.key], private=True) if sign else ())

    def summary(self, spec: ReleaseSpec) -> str | None:
        demanded = [it.name for it in spec.environments if it.part(VERIFY, Demand)]
        words = [
            *(["signed and attested"] if sign_of(spec) else []),
            *([f"verified before {' and '.join(demanded)}"] if demanded else []),
        ]
        return ", ".join(words) or None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None:
            yield from _verifying(spec, environment)
        elif sign_of(spec):
            # Signed last: who finds the signature finds the provenance, too.
            yield FeatureTask("attest_provenance", Slot.AFTER_BUILD, _attest_provenance)
            yield FeatureTask("sign_image", Slot.AFTER_BUILD, _sign, order=1)
            evidence = {"Bill of materials attested": field("attest_sbom", "sentence")}
            yield FeatureTask("attest_sbom", Slot.JUDGE, _attest_sbom, order=LATE, evidence=evidence)

    def explain(self, ended: Ended) -> None:
        """What went back is what served well: it is not verified before, and people are told afterwards."""
        demand = ended.environment.part(VERIFY, Demand)
        if demand and (ended.incident or ended.detail.outcome == "rolled_back"):
            from release_pipelines.features.attestation import operators

            operators.tell_what_serves(ended, demand)


def _unreadable(demand: Demand | None) -> Iterator[TrustedKey]:
    """Public keys that stand in an environment's file, and are none."""
    given = [it for it in demand.keys if it.public_key] if demand else []
    if not given:
        return
    from release_pipelines.adapters.signing.keys import public_key
    from release_pipelines.core.errors import PlatformError

    for it in given:
        try:
            public_key((it.public_key or "").encode(), it.name)
        except PlatformError:
            yield it


def sign_of(spec: ReleaseSpec) -> SignSpec | None:
    """What the app's file says under ``sign``."""
    return spec.app.part("sign", SignSpec)


def build_of(spec: ReleaseSpec) -> Source | None:
    """The source code that the app is built from; None where it is built elsewhere."""
    return spec.app.part("build", Source)


def _verifying(spec: ReleaseSpec, environment: str) -> Iterator[FeatureTask]:
    if spec.environment(environment).part(VERIFY, Demand) is None:
        return
    if environment != spec.production.name:
        evidence = {f"Attested for {environment}": field(f"before_{environment}.{VERIFY}", "sentence")}
        yield FeatureTask(VERIFY, Slot.BEFORE_ENVIRONMENT, _verify, order=LATE, evidence=evidence, unbroken=True)
        return
    # Twice: before anybody is asked, and again right before it counts, after an approval and windows that may last for days.
    evidence = {"Attested": field(f"before_{environment}.{VERIFY}", "sentence")}
    yield FeatureTask(VERIFY, Slot.BEFORE_ENVIRONMENT, _verify, order=LATE, evidence=evidence)
    yield FeatureTask(f"{VERIFY}_again", Slot.AFTER_APPROVAL, _verify, group="", order=LATE, unbroken=True)


def _key(scene: Scene) -> dict[str, Any]:
    sign = sign_of(scene.spec)
    assert sign is not None  # noqa: S101 - the task exists only with it
    return {
        "key": sign.key,
        "registry_conn_id": scene.spec.environments[0].connections.registry,
        "release": scene.release,
    }


def _sign(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.attestation.operators import SignImageOperator

    return SignImageOperator(task_id=task_id, artifact=xcom(scene.built), **_key(scene))


def _attest_provenance(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.attestation.operators import AttestProvenanceOperator

    sign, build = sign_of(scene.spec), build_of(scene.spec)
    assert sign is not None and build is not None  # noqa: S101, PT018 - the task exists only with them
    target, args = getattr(build, "target", None), getattr(build, "args", {})
    return AttestProvenanceOperator(
        task_id=task_id,
        artifact=xcom(scene.built),
        builder=sign.builder,
        repository=build.repository,
        commit=field(scene.ids[Slot.SOURCE][0], "commit"),
        ref=field(scene.ids[Slot.SOURCE][0], "ref"),
        context=build.context,
        dockerfile=build.dockerfile,
        target=target,
        args=args,
        git_conn_id=build.git_connection,
        **_key(scene),
    )


def _attest_sbom(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.attestation.operators import AttestSbomOperator

    return AttestSbomOperator(task_id=task_id, artifact=scene.artifact, **_key(scene))


def _verify(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.attestation.operators import VerifyImageOperator

    assert scene.environment is not None  # noqa: S101 - slots of environments have one
    environment, build = scene.spec.environment(scene.environment), build_of(scene.spec)
    demand = environment.part(VERIFY, Demand)
    assert demand is not None  # noqa: S101 - the task exists only with it
    return VerifyImageOperator(
        task_id=task_id,
        artifact=scene.artifact,
        demand=demand,
        repository=build.repository if build else None,
        registry_conn_id=environment.connections.registry,
        release=scene.release,
        environment=scene.environment,
        **scene.queue,
    )


FEATURE = AttestationFeature()
