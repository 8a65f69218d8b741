"""What the kernel says of a process: memory, processor time, bytes written."""

import os
from pathlib import Path


def rss_mb(pid: int) -> float:
    """Return the resident memory now, in MB of 1024 kB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


def peak_rss_mb(pid: int) -> float:
    """Return the highest resident memory since the program began (execve begins anew), in MB."""
    status = Path(f"/proc/{pid}/status").read_text().split()
    return int(status[status.index("VmHWM:") + 1]) / 1024


def cpu_s(pid: int) -> float:
    """Return the processor time used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def written_bytes(pid: int) -> int:
    """Return the bytes it has caused to be written to a disk so far; a memory file system counts as none."""
    counts = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["write_bytes"])
