"""What a release states in a cluster, and what it leaves alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from release_pipelines.adapters.platforms.kubernetes import manifests, readiness
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.target import Update
from tests.adapters.platforms.kubernetes.memory import target

NEW = Artifact(app="web", version="1.1.0", image="shop/web", digest="sha256:" + "b" * 64)


def stable() -> dict[str, Any]:
    containers = [{"name": "web", "image": "shop/web:1.0.0", "env": [{"name": "A", "value": "1"}]}, {"name": "proxy"}]
    return {
        "metadata": {"name": "web", "resourceVersion": "7"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "team": "shop"}}, "spec": {"containers": containers}},
        },
    }


def test_stable_keeps_its_number_of_replicas_and_its_other_containers() -> None:  # R16
    patch = manifests.stable_patch(stable(), target(), NEW, None, False, 1.0)
    assert patch is not None
    assert "replicas" not in patch["spec"]
    changed = patch["spec"]["template"]["spec"]["containers"]
    assert changed == [{"name": "web", "image": NEW.reference, "env": [{"name": "A", "value": "1"}]}]
    assert patch["metadata"]["resourceVersion"] == "7"


def test_stable_that_runs_the_digest_already_is_not_patched() -> None:
    there = stable()
    there["spec"]["template"]["spec"]["containers"][0]["image"] = NEW.reference
    assert manifests.stable_patch(there, target(), NEW, None, True, 1.0) is None


@pytest.mark.parametrize(
    ("update", "share", "updated", "room"),
    [
        (Update(max_surge="25%"), 10, 0, {"maxSurge": 1, "maxUnavailable": 0}),
        (Update(max_surge="25%"), 50, 0, {"maxSurge": 3, "maxUnavailable": 0}),
        (Update(max_surge="25%"), 50, 4, {"maxSurge": 1, "maxUnavailable": 0}),
        (Update(max_surge=2, max_unavailable=2), 30, 0, {"maxSurge": 2, "maxUnavailable": 1}),
        (Update(max_surge=0, max_unavailable=4), 20, 0, {"maxSurge": 0, "maxUnavailable": 2}),
        (Update(max_surge="25%"), 100, 5, {"maxSurge": "25%", "maxUnavailable": 0}),
    ],
)
def test_a_batch_makes_no_more_pods_at_once_than_it_has(
    update: Update, share: int, updated: int, room: dict[str, Any]
) -> None:
    there = {**stable(), "status": {"updatedReplicas": updated}}
    there["spec"]["replicas"] = 10
    if updated:  # an earlier batch of the same release
        there["spec"]["template"]["spec"]["containers"][0]["image"] = NEW.reference
        there["spec"]["paused"] = True
        there["metadata"]["annotations"] = {readiness.SHARE: "40"}
    it = target().model_copy(update={"update": update})
    patch = manifests.stable_patch(there, it, NEW, None, False, 1.0, share)
    assert patch is not None
    assert patch["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": room}


def test_a_batch_that_is_under_way_keeps_its_room() -> None:
    there = {**stable(), "status": {"updatedReplicas": 1}}
    there["spec"]["template"]["spec"]["containers"][0]["image"] = NEW.reference
    there["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 0}}
    there["metadata"]["annotations"] = {readiness.SHARE: "50"}
    it = target().model_copy(update={"update": Update(max_surge=2)})
    assert manifests.stable_patch(there, it, NEW, None, False, 1.0, 50) is None


def test_a_way_back_from_a_batch_has_all_the_room_of_the_file() -> None:
    there = stable()
    there["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    it = target().model_copy(update={"update": Update(max_surge="50%")})
    back = manifests.restored(there, it, stable()["spec"]["template"], 100, 1.0)
    assert back["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "50%", "maxUnavailable": 0}


def test_pods_that_are_as_they_shall_be_keep_their_configuration() -> None:  # R8
    patch = manifests.stable_patch(stable(), target(env={"A": "2"}), NEW, None, False, 1.0)
    assert manifests.without_template(patch) is None
    patch = manifests.stable_patch(stable(), target(env={"A": "2"}), NEW, 5, False, 1.0)
    assert patch is not None
    assert manifests.without_template(patch) == {**patch, "spec": {"replicas": 5}}
    assert manifests.without_template(None) is None


def test_a_canary_is_a_copy_that_neither_stables_service_nor_its_autoscaler_picks() -> None:
    own = stable()
    before = copy.deepcopy(own)
    body = manifests.beside_deployment(
        "canary", own, [{"app": "web"}, {"app": "web"}], target(env={"B": "2"}), NEW, 2, False, 1.0
    )
    assert own == before
    template = body["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert labels == {
        "app": "web-canary",
        "team": "shop",
        manifests.TRACK: "canary",
        manifests.WORKLOAD: "web",
    }
    assert manifests.selects(body["spec"]["selector"]["matchLabels"], labels)
    assert template["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert template["spec"]["containers"][1] == {"name": "proxy"}


def test_a_canary_beside_stable_in_one_service_keeps_all_labels() -> None:
    body = manifests.beside_deployment("canary", stable(), [], target(), NEW, 2, False, 1.0)
    assert body["spec"]["template"]["metadata"]["labels"]["app"] == "web"


def test_the_container_to_change_is_named_or_the_only_one() -> None:
    assert manifests.container_name(target(container="proxy"), stable()) == "proxy"
    with pytest.raises(PlatformError, match="has the containers web, proxy"):
        manifests.container_name(target(container="shop"), stable())


def test_a_first_deployment_has_probe_limits_and_no_pull_secret() -> None:
    body = manifests.stable_deployment(target(cpu=0.25, memory="64Mi"), NEW, None, False, 1.0)
    pod = body["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "250m", "memory": "64Mi"}
    assert pod["containers"][0]["readinessProbe"]["httpGet"] == {"path": "/health", "port": 8080}
    assert "imagePullSecrets" not in pod
    assert body["spec"]["replicas"] == 2


def replica_set(image: str, revision: int, pods: int = 0, **labels: str) -> dict[str, Any]:
    """One that Deployment ``web`` owns; its pods have ``labels`` beside the app's own."""
    template = {
        "metadata": {"labels": {"app": "web", manifests.HASH: f"h{revision}", **labels}},
        "spec": {"containers": [{"name": "web", "image": image, "env": [{"name": "R", "value": str(revision)}]}]},
    }
    return {
        "metadata": {
            "ownerReferences": [{"uid": "d"}],
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "labels": {manifests.HASH: f"h{revision}"},
        },
        "spec": {"replicas": pods, "template": template},
        "status": {"replicas": pods},
    }


def deployed(revision: int = 2, **labels: str) -> dict[str, Any]:
    """Deployment ``web`` at a revision, which its controller has seen."""
    it = stable()
    it["metadata"] |= {"uid": "d", "generation": 3, "annotations": {"deployment.kubernetes.io/revision": str(revision)}}
    it["spec"]["template"]["metadata"]["labels"] |= labels
    it["status"] = {"observedGeneration": 3}
    return it


OURS = {manifests.TRACK: "stable"}


def test_stable_is_told_apart_by_a_label_however_many_of_its_pods_are_ready() -> None:  # R8
    old, now = replica_set("shop/web:1", 1), replica_set("shop/web:2", 2, pods=3)
    assert manifests.stable_pin(deployed(), [old, now]) == (manifests.HASH, "h2")
    ours = replica_set("shop/web:2", 2, pods=3, **OURS)
    assert manifests.stable_pin(deployed(**OURS), [old, ours]) == (manifests.TRACK, "stable")


def test_a_change_that_makes_no_other_pods_keeps_nobody_from_telling_them_apart() -> None:
    annotated = deployed()
    annotated["status"]["observedGeneration"] = 2
    now = replica_set("shop/web:1.0.0", 2, pods=3)
    now["spec"]["template"] = copy.deepcopy(annotated["spec"]["template"])
    now["spec"]["template"]["metadata"]["labels"][manifests.HASH] = "h2"
    assert manifests.stable_pin(annotated, [now]) == (manifests.HASH, "h2")
    annotated["spec"]["template"]["spec"]["containers"][0]["image"] = "shop/web:1.1.0"
    assert manifests.stable_pin(annotated, [now]) is None


def test_in_a_rolling_update_stable_is_told_apart_by_what_all_of_its_pods_have() -> None:
    old, now = (replica_set(f"shop/web:{it}", it, pods=2, **OURS) for it in (1, 2))
    assert manifests.stable_pin(deployed(**OURS), [old, now]) == (manifests.TRACK, "stable")
    unseen = deployed(**OURS)
    unseen["status"]["observedGeneration"] = 2
    assert manifests.stable_pin(unseen, [old, now]) == (manifests.TRACK, "stable")
    theirs = replica_set("shop/web:1", 1, pods=2)
    assert manifests.stable_pin(deployed(**OURS), [theirs, now]) is None


def test_what_ran_by_a_tag_comes_back_with_its_configuration_and_by_its_digest() -> None:  # R8
    ran = Artifact(app="web", version="1.0.0", image="old/web", digest="sha256:" + "a" * 64)
    sets = [replica_set("old/web:1.0.0", 1), replica_set(NEW.reference, 2, pods=3)]
    template = manifests.template_of(deployed(), sets, ran, "web")
    assert template is not None
    (container,) = template["spec"]["containers"]
    assert (container["image"], container["env"]) == (ran.reference, [{"name": "R", "value": "1"}])
    assert sets[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "old/web:1.0.0"
    moved = ran.model_copy(update={"image": "new/web"})
    assert manifests.template_of(deployed(), sets, moved, "web") is None
