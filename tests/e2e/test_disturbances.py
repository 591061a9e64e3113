"""Whatever dies, the search ends with every reward counted once."""

from tests.cluster.cluster import Cluster
from tests.e2e.installation import Installation
from tests.e2e.search import Search, assert_counted_once, quick_search


def test_every_reward_is_counted_once_whatever_is_killed(
    cluster: Cluster, operator: Installation, namespace: str
) -> None:
    search = Search(cluster, namespace)
    search.apply(quick_search(epochs=5, pools={"default": 2}))
    search.wait_for_workers(2)

    # The controller.
    finished = search.wait_for_trials(4)
    search.kubectl("delete", "pod", "quick-controller-0", "--force", "--grace-period=0")
    search.wait_for_trials(finished + 4)

    # Its workers, both at once, in training.
    search.wait(lambda: search.summary().trials_leased == 2, "two trials in training")
    before = search.workers()
    search.kubectl("delete", "pod", "--force", "--grace-period=0", *before)
    search.wait_for_workers(2)
    assert not before.keys() & search.workers().keys()
    search.wait_for_trials(search.summary().trials_finished + 4)

    # The operator, in the middle of a plan.
    search.scale("default", 3)
    operator.kill()
    search.wait_for_workers(3)
    search.scale("default", 1)
    operator.kill()
    search.wait(lambda: len(search.workers()) == 1, "one worker left")
    search.scale("default", 2)
    search.wait_for_workers(2)

    # What its operator made.
    before_that = search.get("pod", "quick-controller-0")["metadata"]["uid"]
    search.kubectl("delete", "statefulset", "quick-controller")
    search.kubectl("delete", "secret", "quick-pool-default-tls", "quick-controller-tls")
    search.kubectl("delete", "service", "quick-controller")
    search.wait(lambda: search.get("pod", "quick-controller-0")["metadata"]["uid"] != before_that, "another controller")
    search.wait_for_workers(2)
    search.wait_for_trials(search.summary().trials_finished + 4)

    # The node, drained with all that runs on it.
    node = search.get("pod", next(iter(search.workers())))["spec"]["nodeName"]
    try:
        drain = ["drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=600s"]
        cluster.kubectl(*drain, "--pod-selector", "kubenas.dev/search=quick", timeout=660)
    finally:
        cluster.kubectl("uncordon", node)

    search.wait_for_workers(2)
    trials = search.end_after(8)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)
    assert search.summary().epoch >= 4, "the controller has been started several times"
