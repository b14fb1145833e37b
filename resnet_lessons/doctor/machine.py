"""What the lessons run on: processor, instructions, GPU, memory and disk, within the limits of this process."""

import math
import os
import shutil
import subprocess

from resnet_lessons.machine import GB, memory_limit, processor_name, usable_cores

from .finding import Finding, pip_install, set_variable
from .software import requirements

DISK_ROOM = 1 * GB  # the CIFAR-10 archive, its decoded copy and shapes10 take 0.6 of it
MEMORY_ROOM = 2 * GB  # lesson 02 takes 1.6 of it
USEFUL_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "bf16")


def check_processor():
    """Name the processor and the cores that this process may use."""
    cores = usable_cores()
    return [Finding("processor", f"{processor_name()}, {cores:g} core{'s' * (cores != 1)} usable")]


def check_instructions(seen):
    """Say which instructions for matrix products the processor has, and in which precision training runs."""
    if seen.error:
        return [Finding("instructions", "unknown: the backend does not load", "note")]
    useful = ", ".join(flag for flag in USEFUL_FLAGS if flag in seen.flags)
    names = useful or (f"none of {', '.join(USEFUL_FLAGS)}" if seen.flags else "unknown on this system")
    return [Finding("instructions", f"{names}; training runs in {seen.precision.removeprefix('mixed_')}")]


def check_gpu(seen):
    """Name the GPU, or say how to use one that is idle."""
    if seen.error:
        return [Finding("GPU", "unknown: the backend does not load", "note")]
    names = [name for kind, name in seen.devices if kind != "CPU"]
    if names:
        return [Finding("GPU", ", ".join(names))]
    idle = idle_gpu()
    if not idle:
        return [Finding("GPU", "none: training runs on the processor, for which the lessons are sized")]
    wanted = ["jax[cuda12]"] if seen.backend == "jax" else map(str, requirements("gpu"))
    return [Finding("GPU", f"{idle}, which {seen.backend} does not see", "note", pip_install(*wanted))]


def idle_gpu():
    """Return the name of the first GPU that NVIDIA's driver lists, or an empty string."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # a driver that does not answer offers no GPU
    return listed.stdout.partition("(")[0].strip() if listed.returncode == 0 else ""


def check_memory():
    """Say how much memory there is and how much of it is free."""
    import psutil

    memory = psutil.virtual_memory()
    return [memory_finding(memory.total, memory.available, memory_limit())]


def memory_finding(total, available, limit=math.inf):
    """Judge memory in bytes; ``limit`` is a container's."""
    total, available = min(total, limit), min(available, limit)
    value = f"{total / GB:.1f} GB, {available / GB:.1f} GB of it free"
    if available >= MEMORY_ROOM:
        return Finding("memory", value)
    return Finding(
        "memory",
        f"{value}: a lesson needs {MEMORY_ROOM / GB:.0f} GB; end other programs and notebooks' kernels",
        "note",
    )


def check_disk():
    """Say how much room there is where the data cache lies."""
    from resnet_lessons.data import DataError, places

    try:
        cache = places.folders().cache
    except DataError:
        return []  # a wrong RESNET_LESSONS_DATA, which the check of the data reports
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not existing.is_dir():
        return [Finding("disk", f"{existing} is a file, where the data cache should be", "problem", _other_cache())]
    return [disk_finding(cache, shutil.disk_usage(existing).free, os.access(existing, os.W_OK))]


def disk_finding(cache, free, writable=True):
    """Judge the free bytes at the data cache's folder."""
    value = f"{free / GB:.1f} GB free for the data cache\n{cache}"
    if not writable:
        return Finding(
            "disk", f"the data cache is read-only: what it lacks cannot be added\n{cache}", "note", _other_cache()
        )
    if free < DISK_ROOM:
        return Finding("disk", f"{value}\nneeded: {DISK_ROOM / GB:.0f} GB", "problem", _other_cache())
    return Finding("disk", value)


def _other_cache():
    return set_variable("RESNET_LESSONS_CACHE", "FOLDER") + "   (a folder you may write, on a disk with room)"
