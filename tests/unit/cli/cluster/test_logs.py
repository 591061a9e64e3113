"""`kubectl nas logs`: the part of a worker's log that is about one trial."""

from nas_cli.cluster.logs import part_of

LOG = """\
{"time": "2026-01-01T00:00:00Z", "level": "info", "message": "ready on cpu after 3.0 s"}
--- trial 1, attempt 1, worker w, 2026-01-01T00:00:01+00:00 ---
epoch 1
{"time": "2026-01-01T00:00:02Z", "level": "info", "message": "trial 1 succeeded"}
--- trial 12, attempt 1, worker w, 2026-01-01T00:00:03+00:00 ---
no memory
--- trial 1, attempt 2, worker w, 2026-01-01T00:00:04+00:00 ---
again
--- final training 3, of trial 12, attempt 1, worker w, 2026-01-01T00:00:05+00:00 ---
to the end
"""


def test_it_is_from_the_header_of_the_trial_to_the_next_one_of_all_its_attempts() -> None:
    lines = LOG.splitlines(keepends=True)
    assert list(part_of(LOG, 1)) == [*lines[1:4], *lines[6:8]]


def test_a_final_training_is_of_its_trial() -> None:
    lines = LOG.splitlines(keepends=True)
    assert list(part_of(LOG, 12)) == [*lines[4:6], *lines[8:]]


def test_of_another_trial_there_is_nothing() -> None:
    assert list(part_of(LOG, 2)) == []
