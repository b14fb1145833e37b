"""What there is to compute on, and in which versions."""

import math
import os
import platform
import subprocess
from pathlib import Path

from resnet_lessons.backend.loading import BACKEND, jax, tf

import keras


def devices():
    """Return the devices computations can run on, as a tuple of (kind, name): kind is "CPU", "GPU" or "TPU"."""
    if BACKEND == "jax":
        return tuple((d.platform.upper(), d.device_kind) for d in jax.devices())
    found = tf.config.list_physical_devices()
    return tuple((d.device_type, _tensorflow_device_name(d)) for d in found)


def _tensorflow_device_name(device):
    details = tf.config.experimental.get_device_details(device)
    return details.get("device_name", device.name.removeprefix("/physical_device:"))


def accelerators_have_bfloat16():
    """Return whether every GPU computes in bfloat16 (NVIDIA: compute capability 8.0, Ampere); None without a GPU."""
    if BACKEND == "jax":
        found = [d for d in jax.devices() if d.platform != "cpu"]
        capabilities = [float(getattr(d, "compute_capability", 8.0)) for d in found]  # a TPU has none, and has bfloat16
    else:
        found = tf.config.list_physical_devices("GPU")
        details = (tf.config.experimental.get_device_details(d) for d in found)
        capabilities = [float("{}.{}".format(*d.get("compute_capability", (0, 0)))) for d in details]
    return min(capabilities) >= 8.0 if found else None


def threads():
    """Return how many threads an operation was told to use on the processor; infinity if it may use all of them."""
    told = os.environ.get("TF_NUM_INTRAOP_THREADS", "") if BACKEND == "tensorflow" else ""
    return int(told) if told.isdigit() and int(told) else math.inf


def versions():
    """Return the versions that decide what a computation gives: a dict of package name to version."""
    module = tf if BACKEND == "tensorflow" else jax
    return {"keras": keras.__version__, BACKEND: module.__version__}


def processor_flags():
    """Return the instruction sets of the processor in Linux's spelling, such as "avx512_bf16", as a frozenset.

    Empty where the system does not tell, which includes Windows.
    """
    if platform.system() == "Linux":
        return _flags_of_cpuinfo(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    if platform.system() == "Darwin":
        told = subprocess.run(["sysctl", "hw.optional", "machdep.cpu"], capture_output=True, text=True, check=False)
        return _flags_of_sysctl(told.stdout)
    return frozenset()


def _flags_of_cpuinfo(text):
    """Read "flags : fpu vme ..." (x86) or "Features : fp asimd ..." (ARM), the same for every core."""
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(next((flags.split() for key, _, flags in lines if key.strip() in ("flags", "Features")), ()))


def _flags_of_sysctl(text):
    """Read "hw.optional.arm.FEAT_BF16: 1" and, on Intel, "machdep.cpu.leaf7_features: AVX2 AVX512F ..."."""
    found = set()
    for key, _, value in (line.partition(":") for line in text.splitlines()):
        if key.startswith("machdep.cpu.") and key.endswith("features"):
            found.update(value.lower().split())
        elif key.startswith("hw.optional.") and value.strip() == "1":
            found.add(key.rpartition(".")[2].lower().removeprefix("feat_"))
    return frozenset(found)
