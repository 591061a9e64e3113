"""The operator on a real API server: what it makes of a search, and how it follows what users do."""

import json
from pathlib import Path

import pytest

from tests.control_plane.operator_process import ACCOUNT, OperatorProcess, running_operator
from tests.control_plane.searches import KINDS, Namespace, digits


@pytest.mark.usefixtures("operator")
def test_a_search_gets_all_that_it_needs(space: Namespace) -> None:
    space.apply(digits(replicas=3))
    jobs = space.wait_for_workers(3)

    assert set(space.made()) == {
        "NASPool/digits-gpu",
        "StatefulSet/digits-controller",
        "Service/digits-controller",
        "ConfigMap/digits-manifest",
        "Secret/digits-ca",
        "Secret/digits-controller-tls",
        "Secret/digits-admin-tls",
        "Secret/digits-pool-gpu-tls",
        "NetworkPolicy/digits-controller",
        "NetworkPolicy/digits-workers",
        *(f"Job/{job}" for job in jobs),
    }
    search = space.json("get", "nassearch", "digits")
    for name, made in space.made().items():
        [owner] = made["metadata"]["ownerReferences"]
        assert owner["uid"] == search["metadata"]["uid"], name
    space.cluster.wait_for(lambda: space.status().get("workers", {}).get("wanted") == 3, "the status")
    assert "finalizers" not in search["metadata"]
    assert all("kopf" not in name for name in search["metadata"].get("annotations", {}))


@pytest.mark.usefixtures("operator")
def test_workers_are_made_when_the_controller_can_start(space: Namespace) -> None:
    space.kubectl("delete", "persistentvolume", f"{space.name}-digits")
    space.apply(digits(replicas=2))

    def waits_for_its_volume() -> bool:
        return bool(space.condition("ControllerAvailable").get("reason") == "VolumeClaimUnbound")

    space.cluster.wait_for(waits_for_its_volume, "the condition")
    assert "NASPool/digits-gpu" in space.made("naspools")
    assert space.jobs() == []
    space.add_volume()
    space.wait_for_workers(2)


@pytest.mark.usefixtures("operator")
def test_pools_are_scaled_with_kubectl(space: Namespace) -> None:
    space.apply(digits(replicas=1))
    first = space.wait_for_workers(1)
    space.kubectl("scale", "naspool/digits-gpu", "--replicas=5")
    assert set(first) < set(space.wait_for_workers(5))
    space.kubectl("scale", "naspool/digits-gpu", "--replicas=2")
    space.wait_for_workers(2)
    space.kubectl("scale", "naspool/digits-gpu", "--replicas=0")
    space.wait_for_workers(0)


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    "lost",
    [
        "secret/digits-pool-gpu-tls",
        "secret/digits-ca",
        "statefulset/digits-controller",
        "service/digits-controller",
        "configmap/digits-manifest",
        "networkpolicy/digits-workers",
        "naspool/digits-gpu",
    ],
)
def test_what_somebody_deletes_comes_back(lost: str, space: Namespace) -> None:
    space.apply(digits(replicas=1))
    jobs = space.wait_for_workers(1)
    before = space.json("get", lost)["metadata"]["uid"]
    space.kubectl("delete", lost)
    space.cluster.wait_for(lambda: space.json("get", lost)["metadata"]["uid"] != before, f"{lost} to come back")
    assert space.wait_for_workers(1) == jobs


@pytest.mark.usefixtures("operator")
def test_a_deleted_job_comes_back(space: Namespace) -> None:
    space.apply(digits(replicas=3))
    jobs = space.wait_for_workers(3)
    uid = space.json("get", "job", jobs[1])["metadata"]["uid"]
    space.kubectl("delete", "job", jobs[1], "--wait=false")
    space.cluster.wait_for(lambda: space.json("get", "job", jobs[1])["metadata"]["uid"] != uid, "another Job")
    assert space.wait_for_workers(3) == jobs


@pytest.mark.usefixtures("operator")
def test_an_edited_pool_replaces_its_workers(space: Namespace) -> None:
    space.apply(digits(replicas=2))
    before = space.wait_for_workers(2)
    edited = digits(replicas=3)
    edited["spec"]["trainer"]["image"] = "my-trainer:2"
    space.apply(edited)

    def replaced() -> bool:
        return not set(space.wait_for_workers(3)) & set(before)

    space.cluster.wait_for(replaced, "new workers", timeout=120)
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in space.made("jobs").values()}
    assert images == {"my-trainer:2"}


@pytest.mark.usefixtures("operator")
def test_a_pool_that_is_not_listed_any_more_goes_away_and_can_come_back(space: Namespace) -> None:
    both = digits(replicas=2)
    [gpu] = both["spec"]["pools"]
    both["spec"]["pools"].append(gpu | {"name": "spot", "replicas": 1, "drainTimeout": "10m"})
    space.apply(both)
    [spot] = [job for job in space.wait_for_workers(3) if "spot" in job]
    space.apply(digits(replicas=2))

    def asked_to_go() -> bool:
        return "kubenas.dev/draining-since" in space.json("get", "job", spot)["metadata"]["annotations"]

    space.cluster.wait_for(asked_to_go, "the worker to be asked to go")
    space.kubectl("delete", "job", spot)  # as it ends when its controller has told it to
    space.wait_for_workers(2)
    certificate = "Secret/digits-pool-spot-tls"
    space.cluster.wait_for(
        lambda: not {"NASPool/digits-spot", certificate} & set(space.made()), "the pool and its certificate to be gone"
    )
    space.apply(both)
    space.wait_for_workers(3)
    [owner] = space.made()[certificate]["metadata"]["ownerReferences"]
    assert owner["kind"] == "NASSearch"


@pytest.mark.usefixtures("operator")
def test_a_suspended_search_has_no_workers(space: Namespace) -> None:
    space.apply(digits(replicas=2))
    jobs = space.wait_for_workers(2)
    space.apply(digits(replicas=2, suspend=True))
    space.wait_for_workers(0)
    space.cluster.wait_for(lambda: space.condition("Suspended").get("status") == "True", "the condition")
    assert len(space.running_pods("controller")) == 1
    space.apply(digits(replicas=2, suspend=False))
    assert space.wait_for_workers(2) == jobs


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(("policy", "left"), [("Retain", ["journal-digits-controller-0"]), ("Delete", [])])
def test_a_deleted_search_leaves_what_its_deletion_policy_says(policy: str, left: list[str], space: Namespace) -> None:
    space.apply(digits(replicas=2, deletionPolicy=policy))
    space.wait_for_workers(2)

    def is_as_the_policy_says() -> bool:
        found = space.json("get", "persistentvolumeclaims")["items"]
        return [bool(claim["metadata"].get("ownerReferences")) for claim in found] == [policy == "Delete"]

    space.cluster.wait_for(is_as_the_policy_says, "the claim for the journal")
    space.kubectl("delete", "nassearch", "digits", "--timeout=120s")
    space.cluster.wait_for(lambda: not space.made(KINDS), "everything to be gone", timeout=120)

    def claims() -> list[str]:
        found = space.json("get", "persistentvolumeclaims")["items"]
        return [claim["metadata"]["name"] for claim in found if "deletionTimestamp" not in claim["metadata"]]

    space.cluster.wait_for(lambda: claims() == left, f"the claims {left}")


@pytest.mark.usefixtures("operator")
def test_the_journal_outlives_a_stateful_set_that_somebody_deletes(space: Namespace) -> None:
    space.apply(digits(replicas=1, deletionPolicy="Delete"))
    space.wait_for_workers(1)

    def uids(kind: str) -> list[str]:
        return [item["metadata"]["uid"] for item in space.json("get", kind)["items"]]

    claims, made = uids("persistentvolumeclaims"), uids("statefulsets")
    space.kubectl("delete", "statefulset", "digits-controller")
    space.cluster.wait_for(lambda: uids("statefulsets") not in ([], made), "another StatefulSet")
    space.cluster.wait_for(lambda: space.running_pods("controller"), "its pod")
    assert uids("persistentvolumeclaims") == claims


@pytest.mark.usefixtures("operator")
def test_a_search_can_be_made_anew_under_its_name(space: Namespace) -> None:
    """The objects of the one before may still be there, waiting for the garbage collector."""
    space.apply(digits(replicas=2))
    space.wait_for_workers(2)
    space.kubectl("delete", "nassearch", "digits")
    space.apply(digits(replicas=2, deletionPolicy="Delete"))
    uid = space.json("get", "nassearch", "digits")["metadata"]["uid"]

    def all_of_the_new_one() -> bool:
        made = space.made().values()
        owners = {owner["uid"] for item in made for owner in item["metadata"]["ownerReferences"]}
        return owners == {uid} and len(made) == 12

    space.cluster.wait_for(all_of_the_new_one, "the new search's objects", timeout=120)
    space.wait_for_workers(2)


@pytest.mark.usefixtures("operator")
def test_what_others_have_made_is_left_alone(space: Namespace) -> None:
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "digits-manifest"}, "data": {"a": "b"}}
    space.apply(theirs)
    space.apply(digits(replicas=1))

    def told() -> bool:
        return "there is a ConfigMap digits-manifest that was not made for this search" in space.kubectl(
            "describe", "nassearch", "digits"
        )

    space.cluster.wait_for(told, "an event that says so")
    assert space.json("get", "configmap", "digits-manifest")["data"] == {"a": "b"}
    space.kubectl("delete", "configmap", "digits-manifest")
    space.wait_for_workers(1)


@pytest.mark.usefixtures("operator")
def test_a_quota_on_jobs_is_told_and_ends(space: Namespace) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "jobs"},
        "spec": {"hard": {"count/jobs.batch": "1"}},
    }
    space.apply(quota)
    space.cluster.wait_for(lambda: space.json("get", "quota", "jobs").get("status", {}).get("hard"), "the quota")
    space.apply(digits(replicas=3))
    space.cluster.wait_for(
        lambda: "exceeded quota" in space.condition("PoolsReady").get("message", ""), "a condition that says so"
    )
    assert len(space.jobs()) == 1
    space.kubectl("delete", "quota", "jobs")
    space.wait_for_workers(3)
    space.cluster.wait_for(lambda: space.condition("PoolsReady").get("status") == "True", "the condition to be true")


def test_the_same_thing_said_again_is_one_event_with_a_count(space: Namespace, operator: OperatorProcess) -> None:
    space.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "digits-controller"},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    space.apply(digits(replicas=1))

    def count() -> int:
        events = space.json("get", "events.events.k8s.io")["items"]
        return max(
            (
                event["series"]["count"]
                for event in events
                if event.get("series") and event["reason"] == "ActionRefused"
            ),
            default=0,
        )

    space.cluster.wait_for(lambda: count() >= 2, "the event to be counted")
    operator.kill()
    known = count()
    operator.start()
    space.cluster.wait_for(lambda: count() > known, "it to be counted on after a restart")


def test_sigterm_ends_it_at_once_and_well(space: Namespace, operator: OperatorProcess) -> None:
    space.apply(digits(replicas=2))
    space.wait_for_workers(2)
    assert operator.stop() == 0


def test_without_rights_it_says_so_and_waits_for_them(space: Namespace, tmp_path: Path) -> None:
    operator = OperatorProcess(space.cluster, space.name, tmp_path, (space.name,))
    rights = space.json("get", "rolebinding", ACCOUNT)
    space.kubectl("delete", "rolebinding", ACCOUNT)
    try:
        operator.start(wait=False)
        space.cluster.wait_for(lambda: operator.ask("/readyz")[0] == 503, "it to listen")
        assert operator.ask("/healthz") == (200, "ok\n")
        space.cluster.wait_for(lambda: "the operator lacks rights" in operator.log.read_text(), "it to say so")
        space.apply(
            {name: rights[name] for name in ("apiVersion", "kind", "roleRef", "subjects")}
            | {"metadata": {"name": ACCOUNT}}
        )
        operator.wait_until_ready()
        assert operator.stop() == 0
    finally:
        operator.kill()


def test_the_health_endpoint_answers(operator: OperatorProcess) -> None:
    assert operator.ask("/healthz") == (200, "ok\n")
    assert operator.ask("/readyz") == (200, "ok\n")


def test_logs_can_be_read_by_machines(space: Namespace, tmp_path: Path) -> None:
    with running_operator(space.cluster, tmp_path, space.name, log_format="json") as operator:
        space.apply(digits(replicas=1))
        space.wait_for_workers(1)
        assert operator.stop() == 0
        entries = [json.loads(line) for line in operator.log.read_text().splitlines()]
    [made] = [entry for entry in entries if "create Job" in entry["message"]]
    assert made["search"] == f"{space.name}/digits"
    assert made["level"] == "info"
    assert "PRIVATE KEY" not in operator.log.read_text()
