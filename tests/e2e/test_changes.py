"""What can be changed of a search that runs, and what cannot."""

import pytest
from nas_api.rpc import trials_pb2 as pb

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.e2e.search import Search, assert_counted_once, quick_search


def test_scaling_down_loses_no_trial_and_cuts_no_lease(cluster: Cluster, operator: None, namespace: str) -> None:
    search = Search(cluster, namespace)
    manifest = quick_search(epochs=40)
    # No lease expires while its worker looks for the next controller, which may take it ten seconds and more.
    manifest["spec"]["controller"]["lease"] = {"duration": "60s"}
    search.apply(manifest)
    search.wait_for_workers(1)

    search.scale("default", 3)
    search.wait_for_workers(3)
    search.wait(lambda: search.summary().trials_leased == 3, "three trials in training")

    search.scale("default", 1)
    search.wait(lambda: len(search.workers()) == 1, "one worker left")
    pool = search.get("naspool", "quick-default")
    assert pool["spec"]["replicas"] == 1
    with search.controller() as service:
        leases = service.ListLeases(pb.ListLeasesRequest(), timeout=20).leases
    assert {lease.ended for lease in leases} <= {"Finished", ""}, "none was given back"
    held = [lease.worker_id for lease in leases if not lease.ended]
    assert held in ([], list(search.workers())), "that of the worker that is left"

    trials = search.end_after(4)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)
    assert search.summary().leases_expired == 0
    assert {trial.attempts for trial in search.trials() if trial.sequence} == {1}, "no trial had to be trained twice"


def test_a_suspended_search_gives_its_workers_back_and_goes_on_where_it_was(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    search = Search(cluster, namespace)
    search.apply(quick_search(epochs=5))
    search.wait_for_trials(4)

    search.patch({"spec": {"suspend": True}})
    search.wait_for_condition("Suspended")
    search.wait(lambda: not search.owned("jobs,pods", "worker"), "no workers")
    finished = search.summary().trials_finished

    search.patch({"spec": {"suspend": False}})
    search.wait_for_condition("Suspended", "False")
    search.wait_for_trials(finished + 4)
    trials = search.end_after(4)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)


def test_budget_and_pools_of_a_running_search_can_be_edited_and_its_space_cannot(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    search = Search(cluster, namespace)
    manifest = quick_search(epochs=5)
    search.apply(manifest)
    search.wait_for_workers(1)

    manifest["spec"]["budget"]["maxTrials"] = 20_000
    manifest["spec"]["pools"] = [{"name": "default", "replicas": 1}, {"name": "more", "replicas": 1}]
    search.apply(manifest)
    search.wait_for_workers(1, "more")

    manifest["spec"]["pools"] = [{"name": "more", "replicas": 1}]
    search.apply(manifest)
    search.wait(lambda: [pool["spec"]["pool"] for pool in search.owned("naspools")] == ["more"], "the first pool to go")

    manifest["spec"]["searchSpace"]["convNet"]["filters"] = [16]
    with pytest.raises(CommandError, match="searchSpace is immutable"):
        search.apply(manifest)

    trials = search.end_after(4)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, trials)

    # More trials are wanted: the search that had ended goes on.
    more = search.end_after(4)
    search.wait_for_trials(more)
    search.wait_for_condition("Succeeded")
    assert_counted_once(search, more)
