"""A search comes to its end, and is deleted, with an operator that was installed by the chart."""

from tests.cluster.cluster import Cluster
from tests.e2e.installation import Installation
from tests.e2e.search import PATIENCE, Search, quick_search


def test_an_installation_is_found_well_by_its_own_test(operator: Installation) -> None:
    assert "Succeeded" in operator.test()


def test_a_deleted_search_leaves_its_journal_unless_it_says_otherwise(
    cluster: Cluster, operator: None, namespace: str
) -> None:
    kept, gone = Search(cluster, namespace, "kept"), Search(cluster, namespace, "gone")
    kept.apply(quick_search("kept", trials=4))
    gone.apply(quick_search("gone", trials=4, deletionPolicy="Delete"))
    for search in (kept, gone):
        search.wait_for_condition("Succeeded")
        search.kubectl("delete", "nassearch", search.name)
        search.wait_until_gone()

    def left() -> bool:
        claims = cluster.kubectl_json("--namespace", namespace, "get", "persistentvolumeclaims")["items"]
        return [claim["metadata"]["name"] for claim in claims] == ["journal-kept-controller-0"]

    cluster.wait_for(left, "one volume to be left", PATIENCE)
