"""Two searches of the same name in two namespaces do not see each other."""

from collections.abc import Iterator

import grpc
import pytest
from nas_api.rpc import trials_pb2 as pb
from nas_api.rpc import trials_pb2_grpc as rpc

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import namespace_for
from tests.e2e.search import Search, assert_counted_once, quick_search


@pytest.fixture
def other_namespace(cluster: Cluster) -> Iterator[str]:
    with namespace_for(cluster, "other", wait=True) as name:
        yield name


def test_each_search_has_its_own_workers_and_refuses_the_others(
    cluster: Cluster, operator: None, namespace: str, other_namespace: str
) -> None:
    searches = [Search(cluster, namespace), Search(cluster, other_namespace)]
    for search in searches:
        search.apply(quick_search(epochs=5))
    for search in searches:
        (worker,) = search.wait_for_workers(1)
        assert [known.worker_id for known in search.summary().workers] == [worker]

    # The certificate of one's workers, shown to the other's controller.
    first, second = searches
    foreign = first.certificate("quick-pool-default-tls")
    foreign["ca.crt"] = second.certificate("quick-pool-default-tls")["ca.crt"]
    with second.channel(foreign) as channel, pytest.raises(grpc.RpcError) as refusal:
        rpc.TrialServiceStub(channel).Register(
            pb.RegisterRequest(worker_id="spy", pool="default", device="cpu"), timeout=20
        )
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE, "refused before a word is spoken"
    # A worker of its own may not look after the search.
    with (
        second.channel(second.certificate("quick-pool-default-tls")) as channel,
        pytest.raises(grpc.RpcError) as refusal,
    ):
        rpc.SearchServiceStub(channel).GetSummary(pb.GetSummaryRequest(), timeout=20)
    assert refusal.value.code() == grpc.StatusCode.PERMISSION_DENIED

    trials = [search.end_after(more) for search, more in zip(searches, (4, 8), strict=True)]
    for search, budget in zip(searches, trials, strict=True):
        search.wait_for_condition("Succeeded")
        assert_counted_once(search, budget)
