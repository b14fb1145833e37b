"""Small files in every accepted form, made without the package's own writers."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

TRAIN, TEST = 50, 10  # what conftest shrinks the layouts to


def arrays(seed: int = 0, shape: tuple[int, ...] = (32, 32, 3)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (TRAIN, *shape), dtype=np.uint8),
        "y_train": np.arange(TRAIN, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, (TEST, *shape), dtype=np.uint8),
        "y_test": np.arange(TEST, dtype=np.uint8)[::-1] % 10,
    }


def write_npz(path: Path, content: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    content = arrays() if content is None else content
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **content)
    return content


def batches(content: dict[str, np.ndarray], protocol: int = 2) -> dict[str, bytes]:
    """Return the six batch files: planar rows (N, 3072) and a list of labels, as the university pickles them."""

    def pack(images, labels):
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        return pickle.dumps({b"data": np.ascontiguousarray(rows), b"labels": labels.tolist()}, protocol)

    size = TRAIN // 5
    files = {}
    for i in range(5):
        rows = slice(i * size, (i + 1) * size)
        files[f"data_batch_{i + 1}"] = pack(content["x_train"][rows], content["y_train"][rows])
    return {**files, "test_batch": pack(content["x_test"], content["y_test"])}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, files: dict[str, bytes], prefix: str = "cifar-10-batches-py/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
