"""Whether the kernel's out-of-memory killer has been at work: what it kills looks like any other killed process."""

import re
from pathlib import Path


def oom_kills(proc: Path = Path("/proc")) -> int:
    """Processes of this process's control group that the OOM killer has killed so far.

    Compare two readings. Where the group keeps no count (the root group of cgroup v2), it is that of the whole machine;
    where nothing does, 0.

    Args:
        proc: where procfs is mounted.
    """
    for file in (*_counter_files(proc), proc / "vmstat"):
        try:
            match = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
        except OSError:
            continue
        if match:
            return int(match[1])
    return 0


def _counter_files(proc: Path) -> list[Path]:
    """`memory.events` (cgroup v2) or `memory.oom_control` (v1) of this process's group, where they may be."""
    try:
        memberships = (proc / "self/cgroup").read_text().splitlines()
        mounts = (proc / "self/mountinfo").read_text().splitlines()
    except OSError:
        return []
    files: list[Path] = []
    for membership in memberships:
        _, controllers, group = membership.split(":", 2)
        if controllers == "":
            kind, name = "cgroup2", "memory.events"
        elif "memory" in controllers.split(","):
            kind, name = "cgroup", "memory.oom_control"
        else:
            continue
        for mount in mounts:
            fields, _, source = mount.partition(" - ")
            root, mount_point = fields.split()[3:5]
            kind_here, _, options = source.split(" ", 2)
            if kind_here != kind or (kind == "cgroup" and "memory" not in options.split(",")):
                continue
            # In a container the group's path can be that of the host, of which only the part below `root` is mounted.
            below = group.removeprefix(root) if root != "/" else group
            files += [Path(mount_point) / below.lstrip("/") / name, Path(mount_point) / name]
    return files
