"""Fail when Keras's backend sees no GPU: ``make test-gpu`` must never pass on a CPU."""

import os
import sys


def missing_gpu(devices, backend):
    """Say what to do when no device is a GPU.

    Args:
        devices: pairs (kind, name), as ``backend.devices`` gives them.
        backend: "tensorflow" or "jax".

    Returns:
        A message, or None when there is a GPU.
    """
    kinds = [kind for kind, _ in devices]
    if "GPU" in kinds:
        return None
    pip = f'{sys.executable} -m pip install -c requirements.lock -e ".[gpu]"'
    install = pip if backend == "tensorflow" else "JAX with CUDA"
    return (
        f"No GPU is visible to {backend}. Visible: {', '.join(kinds) or 'nothing'}. "
        f"CUDA_VISIBLE_DEVICES is {os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}. "
        f"Check that nvidia-smi lists a GPU, then install: {install}"
    )


if __name__ == "__main__":
    from resnet_lessons import backend

    sys.exit(missing_gpu(backend.devices(), backend.BACKEND))
