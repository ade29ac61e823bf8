"""Amazon CodeBuild: what it is asked, and what its answers mean. Answers of builds that failed are stubs, after its API reference."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from release_pipelines.adapters.remote_builders.codebuild import REMOTE_BUILDER, CodeBuild, Settings, request, standing
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.ports.builder import Publication
from release_pipelines.core.ports.remote_builder import Order

COMMIT, OTHER = "b" * 40, "a" * 40
DIGEST = f"sha256:{'d' * 64}"


def order(**more: Any) -> Order:
    given = {
        "key": "dag/run/build/1",
        "repository": "https://git.example/shop.git",
        "commit": COMMIT,
        "publication": Publication("registry.example/shop"),
        "tag": "1.1.0",
        "version": "1.1.0",
    }
    return Order(**{**given, **more})


def build(status: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    phases = [
        {"phaseType": name, "phaseStatus": "SUCCEEDED"} for name in ("SUBMITTED", "PRE_BUILD", "BUILD", "POST_BUILD")
    ]
    exported = [{"name": "RELEASE_DIGEST", "value": DIGEST}]
    return {
        "id": "shop:1",
        "buildStatus": status,
        "sourceVersion": COMMIT,
        "resolvedSourceVersion": COMMIT,
        "phases": [*phases, {"phaseType": "COMPLETED"}],
        "exportedEnvironmentVariables": exported,
        **more,
    }


def refused(answer: dict[str, Any]) -> str:
    with pytest.raises(PlatformError) as caught:
        standing(answer, "RELEASE_DIGEST")
    return str(caught.value)


def phases(build_phase: str, message: str | None = None) -> list[dict[str, Any]]:
    contexts = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": message}] if message else []
    return [
        {"phaseType": "PRE_BUILD", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "BUILD", "phaseStatus": build_phase, "contexts": contexts},
        {"phaseType": "POST_BUILD", "phaseStatus": "SUCCEEDED"},
        {"phaseType": "COMPLETED"},
    ]


def test_a_build_that_failed_hands_no_digest_on_though_what_came_after_succeeded() -> None:
    why = "Error while executing command: make build. Reason: exit status 2"
    failed = build("FAILED", phases=phases("FAILED", why))
    assert refused(failed) == (f"The build shop:1 failed in phase BUILD (FAILED): COMMAND_EXECUTION_ERROR: {why}.")


@pytest.mark.parametrize("phase", ["FAILED", "FAULT", "TIMED_OUT", "STOPPED", "CLIENT_ERROR", "SOMETHING_NEW"])
@pytest.mark.parametrize("status", ["FAILED", "IN_PROGRESS", "SUCCEEDED"])
def test_a_phase_that_did_not_succeed_counts_whatever_the_status_says(phase: str, status: str) -> None:
    assert f"failed in phase BUILD ({phase}): CodeBuild says no more" in refused(build(status, phases=phases(phase)))


@pytest.mark.parametrize("status", ["FAILED", "FAULT", "STOPPED", "TIMED_OUT", "SOMETHING_NEW", "None"])
def test_a_status_that_is_not_succeeded_gives_no_digest(status: str) -> None:
    assert refused(build(status)) == f"The build shop:1 ended as {status}: no digest is taken from it."


@pytest.mark.parametrize("value", [None, "", "latest", DIGEST[:20], f"{DIGEST} {DIGEST}"])
def test_without_a_digest_of_its_own_a_build_that_succeeded_is_none(value: str | None) -> None:
    exported = [] if value is None else [{"name": "RELEASE_DIGEST", "value": value}]
    assert "`env: exported-variables`" in refused(build(exportedEnvironmentVariables=exported))


def test_a_build_of_another_commit_is_refused() -> None:
    assert refused(build(resolvedSourceVersion=OTHER)) == (
        f"The build shop:1 was made of commit {OTHER}, {COMMIT} was asked for."
    )


def test_a_build_that_succeeded_gives_the_digest_that_it_exports() -> None:
    found = standing(build(), "RELEASE_DIGEST")
    assert (found.ended, found.digest) == (True, DIGEST)


def test_a_build_that_runs_is_waited_for() -> None:
    running = build("IN_PROGRESS", currentPhase="BUILD", phases=[{"phaseType": "QUEUED"}])
    found = standing(running, "RELEASE_DIGEST")
    assert (found.ended, found.digest, found.sentence) == (False, None, "The build shop:1 is in phase BUILD")


def test_the_build_gets_the_order_as_variables_which_arguments_cannot_replace() -> None:
    asked = request(order(args={"RELEASE_COMMIT": OTHER, "FLAVOUR": "a b; $(x)"}, timeout=60), Settings(project="shop"))
    told = {it["name"]: it["value"] for it in asked["environmentVariablesOverride"]}
    assert (told["RELEASE_COMMIT"], told["RELEASE_IMAGE"], told["RELEASE_TAG"], told["FLAVOUR"]) == (
        COMMIT, "registry.example/shop", "1.1.0", "a b; $(x)",
    )  # fmt: skip
    assert (asked["sourceVersion"], asked["timeoutInMinutesOverride"]) == (COMMIT, 5)
    assert asked["idempotencyToken"] == request(order(), Settings(project="shop"))["idempotencyToken"]
    assert asked["idempotencyToken"] != request(order(key="another try"), Settings(project="shop"))["idempotencyToken"]


def test_settings_that_do_not_fit_are_said() -> None:
    assert REMOTE_BUILDER.misfit({"project": "shop"}) is None
    assert "`project`" in str(REMOTE_BUILDER.misfit({}))
    assert "colour" in str(REMOTE_BUILDER.misfit({"project": "shop", "colour": "red"}))
    several = order(publication=Publication("shop", ("linux/amd64", "linux/arm64")))
    assert "`build.platforms` cannot be asked of CodeBuild" in str(REMOTE_BUILDER.cannot(several, {"project": "shop"}))
    assert "`build.test_target`" in str(REMOTE_BUILDER.cannot(order(tag=None), {"project": "shop"}))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """CodeBuild as moto plays it: every build succeeds at once, and exports nothing."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with moto.mock_aws():
        made = boto3.client("codebuild", region_name="eu-central-1")
        made.create_project(
            name="shop",
            source={"type": "GITHUB", "location": "https://git.example/shop.git"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole="arn:aws:iam::123456789012:role/shop",
        )
        yield made


def test_a_build_is_started_and_one_that_says_no_digest_is_refused(client: Any) -> None:
    builder = CodeBuild(lambda: client, Settings(project="shop"))
    name = asyncio.run(builder.start(order()))
    assert client.list_builds_for_project(projectName="shop")["ids"] == [name]
    with pytest.raises(PlatformError, match="succeeded, but exports no RELEASE_DIGEST"):
        asyncio.run(builder.look(name))


def test_a_build_that_nobody_knows_is_no_success(client: Any) -> None:
    builder = CodeBuild(lambda: client, Settings(project="shop"))
    with pytest.raises(PlatformError, match="knows no build shop:gone any more: whether it succeeded is not known"):
        asyncio.run(builder.look("shop:gone"))


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, PlatformUnavailable),
        ("InternalFailure", 500, PlatformUnavailable),
        ("AccessDeniedException", 400, Forbidden),
        ("ExpiredTokenException", 400, CredentialsRefused),
        ("ResourceNotFoundException", 400, PlatformError),
    ],
)
def test_what_aws_refuses_is_told_from_what_another_try_may_mend(code: str, status: int, kind: type[Exception]) -> None:
    from botocore.exceptions import ClientError

    class Client:
        def start_build(self, **_: Any) -> Any:
            answer = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            raise ClientError(answer, "StartBuild")  # type: ignore[arg-type]

    with pytest.raises(PlatformError) as caught:
        asyncio.run(CodeBuild(Client, Settings(project="shop")).start(order()))
    assert type(caught.value) is kind
