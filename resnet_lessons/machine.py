"""What this process may use of the machine: processor, cores, memory; without Keras.

Containers and shared servers grant a process less than the machine has, so control groups and affinity are read too.
``doctor`` reports it, ``training`` records it with every run.
"""

import math
import os
import platform
import subprocess
from pathlib import Path

GB = 10**9
CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
STATUS = Path("/proc/self/status")


def processor_name():
    """Return the processor's name as the system tells it."""
    if platform.system() == "Linux":
        lines = (line.partition(":") for line in read_text(Path("/proc/cpuinfo")).splitlines())
        names = [value.strip() for key, _, value in lines if key.strip() == "model name"]
        return names[0] if names else platform.machine()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def usable_cores():
    """Return how many cores this process may use: fewer than there are under an affinity or a container's quota."""
    import psutil  # here and below not at the top: ``doctor`` must run where it is missing, and say so

    process = psutil.Process()
    allowed = len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else os.cpu_count()
    return min(allowed, core_quota())


def usable_memory():
    """Return the bytes of memory that there are, or that a container grants."""
    import psutil

    return min(psutil.virtual_memory().total, memory_limit())


def peak_memory(status=STATUS):
    """Return the most bytes of memory that this process has had resident so far.

    Args:
        status: the file in which Linux says so.
    """
    if platform.system() == "Linux":  # getrusage would give a child what its parent had
        lines = read_text(status).splitlines()
        most = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
        if most is not None:  # gVisor, for one, does not say
            return 1024 * most
    if platform.system() == "Windows":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else 1024 * most  # bytes on macOS, elsewhere kilobytes


def core_quota(root=CGROUPS, membership=MEMBERSHIP):
    """Return the cores that control groups grant this process, such as 1.5; infinity without a quota.

    Args:
        root: where control groups are mounted.
        membership: the file that says which ones this process is in.
    """
    quotas = []
    for folder in _control_groups("cpu", root, membership):
        words = read_text(folder / "cpu.max").split()  # "150000 100000" or "max 100000", microseconds
        words = (
            words or (read_text(folder / "cpu.cfs_quota_us") + " " + read_text(folder / "cpu.cfs_period_us")).split()
        )
        if len(words) == 2 and words[0].isdigit():
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=math.inf)


def memory_limit(root=CGROUPS, membership=MEMBERSHIP):
    """Return the bytes that control groups grant this process; infinity without a limit. Arguments: `core_quota`."""
    limits = []
    for folder in _control_groups("memory", root, membership):
        text = (read_text(folder / "memory.max") or read_text(folder / "memory.limit_in_bytes")).strip()
        limits += [int(text)] if text.isdigit() else []
    return min(limits, default=math.inf)


def _control_groups(controller, root, membership):
    """Yield the folders of the groups this process is in, and of those around them, of version 2 and 1."""
    for line in read_text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base = root / controllers
        group = base / path.lstrip("/")
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(base))


def read_text(path):
    """Return a system file's text, empty if there is no such file."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
