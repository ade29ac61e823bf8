"""What a release makes of a pod template that stands: what is its team's stays, what is the file's comes and goes."""

from __future__ import annotations

from typing import Any

from release_pipelines.adapters.platforms.kubernetes import manifests, pods
from release_pipelines.core.model.artifact import Artifact
from tests.adapters.platforms.kubernetes.test_manifests import NEW, target

SECRET = {"name": "DB_URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}
NEXT = Artifact(app="web", version="1.2.0", image="shop/web", digest="sha256:" + "c" * 64)


def stable(*variables: dict[str, Any], **pod: Any) -> dict[str, Any]:
    containers = [{"name": "web", "image": "shop/web:1.0.0", "env": [*variables]}]
    return {
        "metadata": {"name": "web", "resourceVersion": "7"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers, **pod}},
        },
    }


def after(deployment: dict[str, Any], it: Any, artifact: Artifact = NEW, secret: bool = False) -> dict[str, Any]:
    """The Deployment after a release of the artifact."""
    template = pods.released(deployment["spec"]["template"], "web", it, artifact, secret)
    return {**deployment, "spec": {**deployment["spec"], "template": template}}


def env(deployment: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    return found


def patched(deployment: dict[str, Any], it: Any, secret: bool = False) -> dict[str, Any]:
    patch = manifests.stable_patch(deployment, it, NEW, None, secret, 1.0)
    assert patch is not None
    return dict(patch["spec"]["template"]["spec"])


def test_a_variable_of_the_file_takes_the_place_of_one_from_a_secret() -> None:
    wanted = target(env={"DB_URL": "postgres://new"})
    (container,) = patched(stable(SECRET), wanted)["containers"]
    assert container["env"] == [{"name": "DB_URL", "value": "postgres://new", "valueFrom": None}]
    assert env(after(stable(SECRET), wanted)) == [{"name": "DB_URL", "value": "postgres://new"}]


def test_a_variable_that_left_the_file_goes_and_what_it_replaced_is_back() -> None:
    own = {"name": "OWN", "value": "kept"}
    first = after(stable(SECRET, own), target(env={"DB_URL": "postgres://new", "EXTRA": "1"}))
    assert env(first) == [{"name": "DB_URL", "value": "postgres://new"}, own, {"name": "EXTRA", "value": "1"}]
    second = after(first, target(env={"DB_URL": "postgres://newer", "EXTRA": "2"}), NEXT)
    third = after(second, target(), NEXT)
    assert env(third) == [SECRET, own]
    assert pods.ENV not in third["spec"]["template"]["metadata"]["annotations"]
    patch = manifests.stable_patch(second, target(), NEW, None, False, 1.0)
    assert patch
    template = patch["spec"]["template"]
    assert template["metadata"]["annotations"][pods.ENV] is None
    assert template["spec"]["containers"][0]["env"] == [
        {"value": None, **SECRET},
        own,
        {"name": "EXTRA", "$patch": "delete"},
    ]


def test_a_variable_that_its_team_takes_from_a_secret_by_now_stays() -> None:
    first = after(stable(), target(env={"DB_URL": "postgres://new"}))
    first["spec"]["template"]["spec"]["containers"][0]["env"] = [SECRET]
    assert env(after(first, target(), NEXT)) == [SECRET]


def test_an_empty_variable_is_no_change_where_the_server_left_its_value_out() -> None:
    there = after(stable(), target(env={"EMPTY": ""}))
    there["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "EMPTY"}]
    assert manifests.stable_patch(there, target(env={"EMPTY": ""}), NEW, None, False, 1.0) is None


def test_stable_gets_the_pull_secret_that_its_canary_got() -> None:
    own = stable(imagePullSecrets=[{"name": "old"}])
    body = manifests.beside_deployment("canary", own, [], target(), NEW, 1, True, 1.0)
    both = [{"name": "old"}, {"name": "release-pipelines-registry"}]
    assert body["spec"]["template"]["spec"]["imagePullSecrets"] == both
    assert patched(own, target(), secret=True)["imagePullSecrets"] == both[1:]  # merged by name
    assert after(own, target(), secret=True)["spec"]["template"]["spec"]["imagePullSecrets"] == both


def test_containers_of_the_same_image_get_the_new_one_and_others_keep_theirs() -> None:
    own = stable(initContainers=[{"name": "migrate", "image": "shop/web:1.0.0"}, {"name": "wait", "image": "tools:1"}])
    own["spec"]["template"]["spec"]["containers"] += [
        {"name": "worker", "image": "shop/web:1.0.0"},
        {"name": "proxy", "image": "envoy:1"},
    ]
    body = manifests.beside_deployment("canary", own, [], target(), NEW, 1, False, 1.0)["spec"]["template"]["spec"]
    images = {it["name"]: it["image"] for it in [*body["initContainers"], *body["containers"]]}
    new = NEW.reference
    assert images == {"web": new, "worker": new, "migrate": new, "proxy": "envoy:1", "wait": "tools:1"}
    patch = patched(own, target())
    assert [it["name"] for it in patch["containers"]] == ["web", "worker"]
    assert patch["initContainers"] == [{"name": "migrate", "image": new}]


def test_limits_of_the_file_are_applied_and_requests_fit_below_them() -> None:
    own = stable()
    own["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "limits": {"memory": "1Gi", "cpu": "2"},
        "requests": {"memory": "512Mi", "cpu": "100m"},
    }
    (container,) = patched(own, target(memory="256Mi", cpu=1))["containers"]
    assert container["resources"] == {
        "limits": {"memory": "256Mi", "cpu": "1000m"},
        "requests": {"memory": "256Mi", "cpu": "100m"},
    }
    (container,) = patched(own, target())["containers"]
    assert "resources" not in container


def test_a_limit_that_stands_in_other_words_is_no_change() -> None:
    there = after(stable(), target(memory="1024Mi", cpu=1))
    resources = {"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"cpu": "250m"}}
    there["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
    assert manifests.stable_patch(there, target(memory="1024Mi", cpu=1), NEW, None, False, 1.0) is None


def test_a_canary_gets_what_admission_gave_stables_pods() -> None:
    own = stable()
    own["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "limits": {"memory": "64Mi"},
        "requests": {"cpu": "50m", "memory": "64Mi"},
    }
    grown = {"limits": {"memory": "2Gi"}, "requests": {"cpu": "20m", "memory": "1Gi"}}
    running = [{"spec": {"containers": [{"name": "web", "resources": grown}, {"name": "istio-proxy"}]}}]
    body = manifests.beside_deployment("canary", own, [], target(), NEW, 1, False, 1.0, running)
    (container,) = body["spec"]["template"]["spec"]["containers"]
    assert container["resources"] == {"limits": {"memory": "2Gi"}, "requests": {"cpu": "50m", "memory": "1Gi"}}
    same = [{"spec": {"containers": [{"name": "web", **own["spec"]["template"]["spec"]["containers"][0]}]}}]
    body = manifests.beside_deployment("canary", own, [], target(memory="32Mi"), NEW, 1, False, 1.0, same)
    (container,) = body["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "32Mi"}  # the file's own word, which admission did not change


def test_a_template_that_comes_back_is_stables() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}
    back = manifests.restored(stable(), target(), template, 100, 1.0)
    assert back["spec"]["template"]["metadata"]["labels"] == {"app": "web", manifests.TRACK: "stable"}


def test_a_canarys_objects_have_the_labels_that_a_cluster_may_ask_for_but_no_owners() -> None:
    own = stable()
    own["metadata"]["labels"] = {"team": "shop", "app.kubernetes.io/instance": "shop", "helm.sh/chart": "shop-1"}
    body = manifests.beside_deployment("canary", own, [], target(), NEW, 1, False, 1.0)
    assert body["metadata"]["labels"] == {"team": "shop", **manifests.track_labels(target(), "canary")}
