"""A new version of the operator leaves running searches alone."""

from tests.cluster.cluster import Cluster
from tests.e2e.installation import Installation
from tests.e2e.search import Search, assert_counted_once, quick_search


def test_an_upgrade_of_the_operator_restarts_no_worker_and_no_controller(
    cluster: Cluster, operator: Installation, namespace: str
) -> None:
    search = Search(cluster, namespace)
    search.apply(quick_search(epochs=10, pools={"default": 2}))
    workers = search.wait_for_workers(2)
    controller = search.get("pod", "quick-controller-0")["metadata"]["uid"]
    image = operator.image()

    with operator.upgraded():
        assert operator.image() != image
        search.wait_for_trials(search.status()["trials"]["finished"] + 4)
        assert search.workers() == workers
        assert search.get("pod", "quick-controller-0")["metadata"]["uid"] == controller

        # New searches get the new images.
        newer = Search(cluster, namespace, "newer")
        newer.apply(quick_search("newer", trials=4))
        newer.wait_for_condition("Succeeded")
        assert (
            newer.get("statefulset", "newer-controller")["spec"]["template"]["spec"]["containers"][0]["image"]
            != (search.get("statefulset", "quick-controller")["spec"]["template"]["spec"]["containers"][0]["image"])
        )

    trials = search.end_after(4)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)
