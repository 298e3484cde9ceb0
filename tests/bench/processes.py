"""Memory and processor time of processes, from `/proc`."""

import os
from collections.abc import Iterable
from pathlib import Path


def descendants(process: int) -> set[int]:
    """All children of a process, their children, and so on."""
    found, left = set[int](), [process]
    while left:
        children = Path(f"/proc/{left[0]}/task/{left.pop(0)}/children").read_text().split()
        left += map(int, children)
        found |= set(map(int, children))
    return found


def resident(process: int) -> float:
    """Resident memory in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def processor_seconds(processes: Iterable[int]) -> float:
    """Processor time of processes and of their children that have ended."""
    ticks = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue  # it has ended, and its parent counts its time
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
