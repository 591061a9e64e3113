"""Where the count of killed processes is found."""

from pathlib import Path

import pytest
from nas_child.oom_killer import oom_kills


def machine(tmp_path: Path, cgroup: str, mountinfo: str, files: dict[str, str]) -> Path:
    """A machine whose paths lie below `tmp_path`. Returns where its procfs is."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(cgroup)
    (proc / "self/mountinfo").write_text(mountinfo.replace("/sys", f"{tmp_path}/sys"))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return proc


V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"


@pytest.mark.parametrize(
    ("cgroup", "mountinfo", "file"),
    [
        ("0::/user.slice/session-1.scope\n", V2_MOUNT, "sys/fs/cgroup/user.slice/session-1.scope/memory.events"),
        ("0::/\n", V2_MOUNT, "sys/fs/cgroup/memory.events"),  # a container with a cgroup namespace
        ("5:cpu:/x\n4:memory:/docker/abc\n", V1_MOUNT, "sys/fs/cgroup/memory/docker/abc/memory.oom_control"),
        (
            "4:memory:/docker/abc\n",  # without: the host's path, of which the container's part is mounted
            V1_MOUNT.replace("0:32 / ", "0:32 /docker/abc "),
            "sys/fs/cgroup/memory/memory.oom_control",
        ),
    ],
)
def test_the_count_is_that_of_the_own_control_group(tmp_path: Path, cgroup: str, mountinfo: str, file: str) -> None:
    proc = machine(tmp_path, cgroup, mountinfo, {file: "low 0\noom 3\noom_kill 2\n", "proc/vmstat": "oom_kill 7\n"})
    assert oom_kills(proc) == 2


def test_where_the_group_counts_nothing_it_is_that_of_the_machine(tmp_path: Path) -> None:
    proc = machine(tmp_path, "0::/\n", V2_MOUNT, {"proc/vmstat": "nr_free_pages 1\noom_kill 7\n"})
    assert oom_kills(proc) == 7


def test_where_nothing_counts_it_is_0(tmp_path: Path) -> None:
    assert oom_kills(tmp_path) == 0


def test_on_this_machine_it_is_a_number() -> None:
    assert oom_kills() >= 0
