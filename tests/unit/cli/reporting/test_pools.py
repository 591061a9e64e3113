"""What the workers did, what it has cost, and what was saved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nas_cli.failure import BadInput
from nas_cli.reporting.pools import busy_workers, pool_chart, pool_uses
from nas_cli.reporting.prices import costs, parse_prices
from nas_cli.reporting.savings import savings
from nas_controller.journal.journal import LeaseSpan, TrialState

from .records import span, trial

spans = st.lists(
    st.builds(
        lambda pool, begin, length: span(pool, begin, None if length is None else begin + length),
        st.sampled_from(["gpu", "spot"]),
        st.floats(0, 1000),
        st.none() | st.floats(0, 500),
    ),
    min_size=1,
    max_size=30,
)


@given(spans)
def test_busy_workers_over_time_are_all_the_time_that_leases_were_held(leases: list[LeaseSpan]) -> None:
    edges, busy = busy_workers(leases)
    width = edges[1] - edges[0]
    for use in pool_uses(leases):
        assert busy[use.pool].sum() * width == pytest.approx(use.busy, abs=1e-6)
        assert (busy[use.pool] >= 0).all()


def test_two_workers_that_overlap_are_two_while_they_do() -> None:
    _, busy = busy_workers([span("gpu", 0.0, 80.0), span("gpu", 40.0, 120.0), span("spot", 0.0, 120.0)])
    assert np.allclose(busy["gpu"], [1.0] * 40 + [2.0] * 40 + [1.0] * 40)
    assert np.allclose(busy["spot"], 1.0)


def test_a_lease_that_is_held_counts_as_long_as_anything_is_known() -> None:
    gpu, spot = pool_uses([span("gpu", 10.0, None), span("spot", 10.0, 40.0)])
    assert gpu.busy == 30.0
    assert spot.busy == 30.0
    assert (gpu.without_result, gpu.fruitless) == (0, 0.0)  # it may yet have one


def test_what_came_to_nothing_is_told() -> None:
    leases = [
        span("spot", 0.0, 10.0, worker="a", ended="Lost"),
        span("spot", 10.0, 15.0, worker="b", ended="Released"),
        span("spot", 20.0, 50.0, worker="a", device=60.0),
    ]
    (use,) = pool_uses(leases)
    assert (use.workers, use.trainings, use.without_result) == (2, 3, 2)
    assert (use.busy, use.fruitless, use.device) == (45.0, 15.0, 60.0)


def test_each_pool_has_a_line_and_a_search_without_leases_none() -> None:
    assert pool_chart([]) is None
    chart = pool_chart([span("gpu", 0.0, 7200.0), span("spot", 0.0, 14_400.0)])
    assert chart is not None
    assert [series.label for series in chart.series] == ["gpu", "spot"]
    assert chart.x.title == "hours since the first training began"
    assert len(chart.tips) == 240


def test_prices_are_of_an_hour_in_which_a_worker_trained() -> None:
    uses = pool_uses([span("gpu", 0.0, 7200.0), span("gpu", 0.0, 3600.0), span("spot", 0.0, 1800.0)])
    assert costs(uses, parse_prices(["gpu=2.5"], ["gpu", "spot"])) == {"gpu": 7.5}
    assert costs(uses, parse_prices(["gpu=2.5", "spot=1"], ["gpu", "spot"])) == {"gpu": 7.5, "spot": 0.5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["gpu"], "POOL=PRICE"),
        (["2.5"], "POOL=PRICE"),
        (["gpu=much"], "POOL=PRICE"),
        (["gpu=-1"], "POOL=PRICE"),
        (["gpu=nan"], "POOL=PRICE"),
        (["cpu=1"], "there is no pool cpu. There is gpu, spot"),
        (["gpu=1", "gpu=2"], "given twice"),
    ],
)
def test_a_price_that_is_none_is_refused(given: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse_prices(given, ["gpu", "spot"])


def test_a_replay_saves_what_the_earlier_training_took() -> None:
    found = savings([trial(1, 0.5, seconds=10.0), trial(2, 0.5, seconds=0.0, replay_of=1)])
    assert (found.replayed, found.replayed_seconds, found.stopped) == (1, 10.0, 0)


def test_early_stopping_saves_what_is_missing_to_a_full_training() -> None:
    stopped = [trial(n, 0.1, state=TrialState.STOPPED_EARLY, seconds=s) for n, s in ((3, 5.0), (4, 40.0))]
    found = savings([trial(1, 0.5, seconds=10.0), trial(2, 0.5, seconds=30.0), *stopped])
    assert (found.stopped, found.stopped_seconds) == (2, 15.0)  # 20 in the mean; the second has saved nothing
    assert savings(stopped).stopped_seconds is None


def test_a_cheap_first_training_alone_is_no_early_stop() -> None:
    found = savings([trial(1, 0.5), trial(2, 0.1, state=TrialState.STOPPED_EARLY, reason="NotPromoted")])
    assert (found.stopped, found.not_promoted) == (0, 1)
