"""The Job that builds an image, and what its pods say, as pure functions."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.source import without_login
from release_pipelines.core.ports.remote_builder import Order, Standing
from release_pipelines.core.text import one_line

Object = dict[str, Any]

BUILD = "build"
"""The container that builds; others may be put beside it at admission."""
PREFIX = "release-pipelines/"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
KEPT_SECONDS = 3600
"""So long a Job that has ended is kept, for its log."""
SCRIPT = """\
buildctl-daemonless.sh "$@" --metadata-file /tmp/metadata.json
if [ -s /tmp/metadata.json ]; then
  tr -d ' \\t\\n' < /tmp/metadata.json | sed 's/.*"containerimage.digest":"\\(sha256:[0-9a-f]*\\)".*/\\1/' > /dev/termination-log
fi
"""
"""The order's words are its arguments, never part of it. It ends with the build's exit code: nothing hides that."""
NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class Settings(Value):
    """What has to be known of the cluster."""

    image: str = Field(min_length=1, description="With BuildKit's `buildctl-daemonless.sh`, or kaniko's executor")
    tool: Literal["buildkit", "kaniko"] = "buildkit"
    namespace: str = Field("default", pattern=NAME)
    registry_secret: str | None = Field(None, pattern=NAME, description="Secret with `.dockerconfigjson`")
    git_secret: str | None = Field(None, pattern=NAME, description="Secret with the repository's `token`")
    service_account: str | None = Field(None, pattern=NAME)
    retries: int = Field(0, ge=0, le=6, description="How often Kubernetes starts another pod after one that failed")
    rootless: bool = Field(True, description="BuildKit as a user who is not root")
    resources: dict[str, dict[str, str]] = Field(default_factory=dict)


def job(order: Order, settings: Settings) -> Object:
    """A Job whose pod fetches the commit, builds, pushes, and says the digest as its termination message."""
    name = f"release-build-{hashlib.sha256(order.key.encode()).hexdigest()[:20]}"
    labels = {PREFIX + "build": name.removeprefix("release-build-")}
    container: Object = {
        "name": BUILD,
        "image": settings.image,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        **(_buildkit if settings.tool == "buildkit" else _kaniko)(order, settings),
    }
    if settings.resources:
        container["resources"] = settings.resources
    pod: Object = {
        "restartPolicy": "Never",  # a container that is started again in its pod would speak for the one before
        "containers": [container],
        "volumes": [*_volumes(settings)],
        "automountServiceAccountToken": False,
    }
    if settings.service_account:
        pod |= {"serviceAccountName": settings.service_account, "automountServiceAccountToken": True}
    return {
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {PREFIX + "commit": order.commit, PREFIX + "image": _image(order)},
        },
        "spec": {
            "backoffLimit": settings.retries,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": max(1, math.ceil(order.timeout)),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _image(order: Order) -> str:
    return f"{order.publication.name}:{order.tag}" if order.tag else order.publication.name


def _context(order: Order) -> str:
    """The repository at the commit, and the folder inside it, as BuildKit reads it."""
    folder = "" if order.context in (".", "") else f":{order.context}"
    return f"{without_login(order.repository)}#{order.commit}{folder}"


def _buildkit(order: Order, settings: Settings) -> Object:
    publication = order.publication
    plain = ["registry.insecure=true"] if publication.insecure else []
    words = ["build", "--progress=plain", "--frontend=dockerfile.v0"]
    options = {"context": _context(order), "filename": order.dockerfile}
    if order.target:
        options["target"] = order.target
    if publication.platforms:
        options["platform"] = ",".join(publication.platforms)
    args = dict(order.args)
    if publication.epoch is not None:
        args["SOURCE_DATE_EPOCH"] = str(publication.epoch)
    options |= {f"build-arg:{key}": value for key, value in args.items()}
    options |= {f"label:{key}": value for key, value in order.labels.items()}
    if publication.provenance:
        options["attest:provenance"] = "mode=min"
    words += [f"--opt={key}={value}" for key, value in options.items()]
    if settings.git_secret:
        words.append("--secret=id=GIT_AUTH_TOKEN,src=/git/token")
    if order.tag:
        output = ["type=image", _quoted(f"name={_image(order)}"), "push=true", *plain]
        if publication.epoch is not None:
            output.append("rewrite-timestamp=true")
        words.append(f"--output={','.join(output)}")
    if publication.cache:
        ref = ["type=registry", _quoted(f"ref={publication.cache}"), *plain]
        kept = [*ref, "mode=max", "image-manifest=true", "oci-mediatypes=true", "ignore-error=true"]
        words += [f"--import-cache={','.join(ref)}", f"--export-cache={','.join(kept)}"]
    own: Object = {
        "command": ["sh", "-ec", SCRIPT, BUILD, *words],
        "env": [{"name": "DOCKER_CONFIG", "value": "/registry"}],
        "volumeMounts": [*_mounts(settings, "/registry")],
    }
    if settings.rootless:
        own["env"].append({"name": "BUILDKITD_FLAGS", "value": "--oci-worker-no-process-sandbox"})
        own["securityContext"] = {
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "seccompProfile": {"type": "Unconfined"},
            "appArmorProfile": {"type": "Unconfined"},
        }
    else:
        own["securityContext"] = {"privileged": True}
    return own


def _kaniko(order: Order, settings: Settings) -> Object:
    publication = order.publication
    words = [f"--context={kaniko_context(order)}", f"--dockerfile={order.dockerfile}"]
    if order.context not in (".", ""):
        words.append(f"--context-sub-path={order.context}")
    if order.target:
        words.append(f"--target={order.target}")
    words += [f"--build-arg={key}={value}" for key, value in order.args.items()]
    words += [f"--label={key}={value}" for key, value in order.labels.items()]
    if publication.epoch is not None:
        words.append("--reproducible")
    if publication.cache:
        words += ["--cache=true", f"--cache-repo={publication.cache.rpartition(':')[0]}/cache"]
    if publication.insecure:
        words += ["--insecure", "--insecure-pull"]
    words += [f"--destination={_image(order)}", "--digest-file=/dev/termination-log"] if order.tag else ["--no-push"]
    env: list[Object] = []
    if order.repository.startswith("http://"):
        env.append({"name": "GIT_PULL_METHOD", "value": "http"})
    if settings.git_secret:
        token = {"secretKeyRef": {"name": settings.git_secret, "key": "token"}}
        env.append({"name": "GIT_TOKEN", "valueFrom": token})
    return {"args": words, "env": env, "volumeMounts": [*_mounts(settings, "/kaniko/.docker", git=False)]}


def kaniko_context(order: Order) -> str:
    """The repository at the commit, as kaniko reads it: its scheme is always ``git://``, then a ref that has the commit, then the commit."""
    address = re.sub(r"^[a-z+]+://", "", without_login(order.repository))
    ref = order.ref if order.ref.startswith("refs/") else ""
    return f"git://{address}#{ref}#{order.commit}"


def _mounts(settings: Settings, registry: str, *, git: bool = True) -> list[Object]:
    mounts = []
    if settings.registry_secret:
        mounts.append({"name": "registry", "mountPath": registry, "readOnly": True})
    if settings.git_secret and git:
        mounts.append({"name": "git", "mountPath": "/git", "readOnly": True})
    return mounts


def _volumes(settings: Settings) -> list[Object]:
    volumes: list[Object] = []
    if settings.registry_secret:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        volumes.append({"name": "registry", "secret": {"secretName": settings.registry_secret, "items": items}})
    if settings.git_secret and settings.tool == "buildkit":
        volumes.append({"name": "git", "secret": {"secretName": settings.git_secret}})
    return volumes


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def standing(found: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], pushes: bool) -> Standing:
    """How far a Job is.

    Only the pod that succeeded speaks: one that failed before it may have pushed, too.

    :param found: the Job.
    :param pods: those that it owns.
    :param pushes: whether a digest is expected.
    :raises PlatformError: where it failed, or nobody can tell what it pushed.
    """
    name, status = found["metadata"]["name"], found.get("status") or {}
    conditions = {it["type"]: it for it in status.get("conditions") or [] if it.get("status") == "True"}
    own = [it for it in pods if _owned(it, found)]
    if bad := conditions.get("Failed") or conditions.get("FailureTarget"):
        why = one_line(": ".join(filter(None, (bad.get("reason"), bad.get("message"))))) or "no reason given"
        raise PlatformError(f"The Job {name} failed: {why}.{_last_words(own)}")
    if "Complete" not in conditions:
        running = next((it for it in own if (it.get("status") or {}).get("phase") in ("Pending", "Running")), None)
        return Standing(f"The Job {name}: {_doing(running)}")
    good = [it for it in own if _succeeded(it) and not _before(it, status.get("startTime"))]
    if not pushes:
        return Standing(f"The Job {name} succeeded", ended=True)
    said = {_digest_of(it) for it in good}
    if len(said) != 1 or None in said:
        raise PlatformError(
            f"The Job {name} is complete, but {_said(said)}: what it pushed is not known. The digest is expected as the termination message "
            f"of its container `{BUILD}`."
        )
    return Standing(f"The Job {name} succeeded", ended=True, digest=said.pop())


def _said(said: set[str | None]) -> str:
    if not said:
        return "none of its pods that are there succeeded"
    known = sorted(it for it in said if it)
    return f"its pods say {' and '.join(known)}" if known else "its pod says no digest"


def _owned(pod: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a pod is this Job's: another one of that name may have been there before."""
    return any(it.get("uid") == found["metadata"]["uid"] for it in pod["metadata"].get("ownerReferences") or [])


def _ended(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    own = next((it.get("state") or {} for it in statuses if it["name"] == BUILD), {})
    return own.get("terminated") or {}


def _succeeded(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") == "Succeeded" and _ended(pod).get("exitCode") == 0


def _before(pod: Mapping[str, Any], start: str | None) -> bool:
    """Whether it ended before the Job began: Kubernetes writes moments in one form, so they compare as text."""
    finished = _ended(pod).get("finishedAt")
    return bool(start and finished and finished < start)


def _digest_of(pod: Mapping[str, Any]) -> str | None:
    message = str(_ended(pod).get("message") or "").strip()
    if DIGEST.fullmatch(message):
        return message
    try:
        digest = json.loads(message).get("containerimage.digest")
    except (ValueError, AttributeError):
        return None
    return digest if isinstance(digest, str) and DIGEST.fullmatch(digest) else None


def _doing(pod: Mapping[str, Any] | None) -> str:
    """What a pod waits for, or that it builds."""
    if pod is None:
        return "no pod of it runs"
    status = pod.get("status") or {}
    for it in status.get("containerStatuses") or []:
        waiting = (it.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return one_line(": ".join(filter(None, (waiting["reason"], waiting.get("message")))))
    return "it builds" if status.get("phase") == "Running" else "its pod waits for a place"


def _last_words(pods: Sequence[Mapping[str, Any]]) -> str:
    """How the last pod that failed ended."""
    ended = sorted((it for it in map(_ended, pods) if it.get("exitCode")), key=lambda it: str(it.get("finishedAt")))
    if not ended:
        return ""
    message = one_line(ended[-1].get("message") or "", 500)
    return f" Its last pod ended with exit code {ended[-1]['exitCode']}" + (f": {message}." if message else ".")
