"""Processes are found and killed wherever they have gone to hide. Each case runs in an interpreter of its own."""

import subprocess
import sys
from textwrap import dedent

import pytest

PREAMBLE = dedent(
    """
    import os, signal, sys, time
    from nas_child import process_tree

    def fork(child):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                child(lambda: os.write(write_end, b"%d " % os.getpid()))
            finally:
                os._exit(0)
        os.close(write_end)
        return pid, read_end

    def pids(read_end, count):
        read = b""
        while read.count(b" ") < count:
            read += os.read(read_end, 100)
        return [int(pid) for pid in read.split()]

    def is_alive(pid):
        try:
            return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def wait_for_the_end_of(pid):
        give_up = time.monotonic() + 30
        while is_alive(pid):
            assert time.monotonic() < give_up
            time.sleep(0.01)

    """
)


def run(body: str) -> None:
    """Runs code in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PREAMBLE + dedent(body)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_daemon_below_a_subreaper_is_killed() -> None:
    run(
        """
        def daemonise(note):
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                note()
                time.sleep(600)

        process_tree.adopt_orphans()
        first, read_end = fork(daemonise)
        (daemon,) = pids(read_end, 1)
        os.waitpid(first, 0)
        assert is_alive(daemon)
        assert daemon in process_tree.descendants(os.getpid())
        assert process_tree.kill_descendants() == 1
        assert not is_alive(daemon)
        """
    )


def test_processes_that_keep_forking_are_all_killed() -> None:
    run(
        """
        def breed(note):
            note()
            while True:
                if os.fork() == 0:
                    time.sleep(0.05)
                    continue
                time.sleep(0.05)
                os._exit(0)

        process_tree.adopt_orphans()
        for _ in range(5):
            _, read_end = fork(breed)
            pids(read_end, 1)
        process_tree.kill_descendants()
        assert process_tree.descendants(os.getpid()) == set()
        """
    )


def test_without_descendants_nothing_happens() -> None:
    run("assert process_tree.kill_descendants() == 0")


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_process_that_dies_with_its_parent_does(end: str) -> None:
    run(
        f"""
        def parent(note):
            me = os.getpid()
            if os.fork() == 0:
                process_tree.die_with_parent(signal.SIGKILL, me)
                note()
                time.sleep(600)
            os.read(go, 1)
            {end}

        go, went = os.pipe()
        first, read_end = fork(parent)
        (child,) = pids(read_end, 1)
        assert is_alive(child)
        os.write(went, b"x")
        wait_for_the_end_of(child)
        """
    )


def test_a_process_whose_parent_has_ended_already_ends_at_once() -> None:
    run(
        """
        def orphan(note):
            process_tree.die_with_parent(signal.SIGKILL, os.getppid() + 1)
            note()

        first, read_end = fork(orphan)
        assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 1
        assert os.read(read_end, 100) == b""
        """
    )
