"""CIFAR-10's batches as Python pickled them, read without running what a pickle names, of NumPy or of anyone."""

import io
import pickle
from typing import ClassVar

import numpy as np


def load(content: bytes) -> object:
    """Return the object in a pickle of plain Python values, or of a dictionary of them and of arrays.

    Args:
        content: the pickle; what Python 2 wrote as text comes as bytes.

    Raises:
        Exception: of almost any type, for a pickle that is damaged or asks for anything else; nothing it names has
            been run.
    """
    found = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    if isinstance(found, dict):
        return {key: value.array if isinstance(value, _Array) else value for key, value in found.items()}
    return found


def _encode_latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


class _Dtype:
    """What a pickle says of a dtype: its name. NumPy's own believes the flags of a damaged file, even for all uint8."""

    def __init__(self, name: str | bytes, *_: object) -> None:
        self.dtype = np.dtype(name)

    def __setstate__(self, state: object) -> None:
        """Leave out byte order and flags: whole bytes, which alone are wanted, have none."""


class _Array:
    """What a pickle says of an array, and the array that it comes to."""

    array = None

    def __init__(self, *_: object) -> None:
        """Take the empty array's arguments, which say nothing."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, is_fortran, content = state
        self.array = _from_buffer(content, dtype, shape, "F" if is_fortran else "C")


def _from_buffer(content: bytes, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray:
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order)


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows arrays and nothing else, so that a crafted file can run no code, NumPy's included."""

    # NumPy 1 wrote numpy.core, NumPy 2 writes numpy._core; _codecs.encode turns Python 3's protocol-2 bytes back.
    _allowed: ClassVar = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy.core.numeric", "_frombuffer"): _from_buffer,
        ("numpy._core.numeric", "_frombuffer"): _from_buffer,
        ("_codecs", "encode"): _encode_latin1,
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data batch needs") from None
