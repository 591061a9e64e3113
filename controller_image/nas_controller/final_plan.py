"""Which trainings the second stage of a search is made of (`spec.finalTraining`)."""

from collections.abc import Iterable, Iterator

from nas_api.spec import FinalTraining, Trainer
from nas_api.spec.final_training import write_settings

from nas_controller.journal.journal import FinalTrainingRecord, JournalReader, PlannedTraining

# Of the best trials that are looked at for different architectures at a time.
_PAGE = 100


def final_plan(
    wanted: FinalTraining, trainer: Trainer, journal: JournalReader, known: Iterable[FinalTrainingRecord]
) -> list[PlannedTraining]:
    """The trainings in the order in which they are to go out.

    Args:
        wanted: `spec.finalTraining`.
        trainer: `spec.trainer`.
        journal: with all results of the search.
        known: trainings that were planned before. Those that are wanted still keep their numbers, and so their results.
    """
    before = {(r.planned.trial, r.planned.settings, r.planned.repeat): r.planned for r in known}
    last = max((planned.training for planned in before.values()), default=0)
    plan = []
    for trial, settings, repeat in _combinations(wanted, trainer, journal):
        if (planned := before.get((trial, settings, repeat))) is None:
            last += 1
            planned = PlannedTraining(last, trial, settings, repeat)
        plan.append(planned)
    return plan


def _combinations(wanted: FinalTraining, trainer: Trainer, journal: JournalReader) -> Iterator[tuple[int, str, int]]:
    """The best architecture first, and every combination once before any is repeated."""
    every = [write_settings(settings) for settings in wanted.trainings(trainer)]
    for trial in _best_trials(wanted.top, journal):
        for repeat in range(wanted.repeats):
            for settings in every:
                yield trial, settings, repeat


def _best_trials(count: int, journal: JournalReader) -> list[int]:
    """The best trials of different architectures."""
    found: dict[str, int] = {}
    offset = 0
    while len(found) < count and (page := journal.best(offset=offset, limit=_PAGE)):
        for record in page:
            found.setdefault(record.sampled.digest, record.sampled.trial)
        offset += len(page)
    return list(found.values())[:count]
