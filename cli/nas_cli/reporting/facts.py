"""What a report says first: how the search stands, in a sentence and a few figures."""

from collections.abc import Mapping
from typing import NamedTuple

from nas_controller.best_trainings import best_of_all, last_metrics, metrics_of_test
from nas_controller.journal.journal import TrialState

from nas_cli import wording
from nas_cli.reporting.material import Material
from nas_cli.reporting.savings import savings
from nas_cli.search_results import metric_of


class Fact(NamedTuple):
    """A figure with its name, and a remark on it that may be empty."""

    name: str
    value: str
    remark: str = ""


def state_of(material: Material) -> str:
    """How the search stands."""
    verdict = material.verdict
    if verdict is None:
        return "has not ended"
    return f"{'has ended' if verdict.state == 'SUCCEEDED' else 'has failed'}: {verdict.message}"


def _counted(material: Material, costs: Mapping[str, float]) -> str:
    """What a cost is of."""
    others = sorted({span.pool or "workers of no known pool" for span in material.leases} - costs.keys())
    return "of workers while they trained" + (f", without {', '.join(others)}" if others else "")


def key_facts(material: Material, costs: Mapping[str, float], currency: str) -> list[Fact]:
    """The figures that a report begins with."""
    progress, reward = material.progress, material.search.spec.reward
    facts = []
    if material.top:
        best = material.top[0]
        metric = metric_of(best, reward)
        measured = "" if metric is None else f", {reward.metric} {metric:.4g}"
        facts.append(Fact("best reward", f"{best.reward:.4f}", f"trial {best.sampled.trial}{measured}"))
    final = best_of_all(material.final_trainings)
    if final is not None:
        name, value = next(iter((metrics_of_test(final) or last_metrics(final)).items()))
        facts.append(Fact(f"final {name}", f"{value:.4g}", f"trial {final.planned.trial}, trained to the end"))
    limit = material.search.spec.budget.max_trials
    failed = progress.counts.get(TrialState.FAILED, 0)
    of_them = f"{failed} failed" if failed else "none failed" if progress.finished else ""
    facts.append(Fact("trials", f"{progress.finished:,}" + (f" of {limit:,}" if limit else ""), of_them))
    if progress.active_seconds:
        facts.append(Fact("time", wording.duration(progress.active_seconds), "of searching"))
    facts.append(Fact("device time", wording.duration(progress.device_seconds), "of trials in training"))
    saved = savings(material.finished)
    if stopped := saved.stopped + saved.not_promoted:
        facts.append(Fact("stopped early", f"{stopped:,}", "trials that were not trained to their end"))
    if saved.replayed:
        facts.append(Fact("replayed", f"{saved.replayed:,}", "trials of architectures that were known"))
    if costs:
        facts.append(Fact("cost", f"{sum(costs.values()):,.2f} {currency}", _counted(material, costs)))
    return facts
