"""The coordinator: the calls of workers against the event loop."""

import asyncio
import time

import torch
from nas_api.spec import NASSearch
from nas_controller.engine import Engine
from nas_controller.journal.sqlite import SqliteJournal
from nas_controller.leases import Grant
from nas_controller.local_job_runner import LocalJobRunner
from nas_controller.service.coordinator import Coordinator

torch.set_num_threads(1)

MANIFEST = NASSearch.model_validate(
    {
        "apiVersion": "kubenas.dev/v1alpha1",
        "kind": "NASSearch",
        "metadata": {"name": "test"},
        "spec": {
            "searchSpace": {"convNet": {"layers": {"initial": 2, "max": 2}}},
            "controller": {"algorithm": {"type": "Random"}},
        },
    }
)


def test_an_architecture_granted_in_the_instant_in_which_the_wait_ends_reaches_its_worker() -> None:
    runner = LocalJobRunner(MANIFEST.spec)
    engine = Engine(MANIFEST, SqliteJournal(":memory:", "default/test"), runner)

    async def wait_and_grant_at_once() -> Grant | None:
        coordinator = Coordinator(engine, runner)
        loop = asyncio.get_running_loop()
        worker = coordinator.register("w", "default", "cpu")
        job = engine.next_job(wanted=1)
        assert job is not None
        sampled = runner.run(job)
        before = loop.time()
        call = asyncio.create_task(coordinator.lease(worker, "request", wait_seconds=0.02))
        await asyncio.sleep(0)
        engine.absorb(sampled)
        loop.call_at(before + 0.01, coordinator._serve)
        time.sleep(0.05)  # the loop is busy, so that the grant and then the end of the wait become due together
        return await call

    granted = asyncio.run(wait_and_grant_at_once())

    assert granted is not None
    assert engine.leases.get(granted.lease.token) is granted.lease


def test_workers_that_have_long_gone_are_forgotten_and_those_that_hold_a_lease_or_speak_are_not() -> None:
    runner = LocalJobRunner(MANIFEST.spec)
    engine = Engine(MANIFEST, SqliteJournal(":memory:", "default/test"), runner)

    async def register_and_forget() -> Coordinator:
        coordinator = Coordinator(engine, runner)
        for name in ("gone", "training", "new"):
            coordinator.register(name, "default", "cpu")
        job = engine.next_job(wanted=1)
        assert job is not None
        engine.absorb(runner.run(job))
        engine.grant("training", "request")
        for name in ("gone", "training"):
            coordinator.workers[name].seen_at -= 3600
        coordinator._forget()
        return coordinator

    assert list(asyncio.run(register_and_forget()).workers) == ["training", "new"]
