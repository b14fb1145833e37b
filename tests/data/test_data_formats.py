"""Every accepted form gives the same arrays; every kind of damage gives one error that names the file."""

import io
import os
import pickle
import re
import tarfile

from resnet_lessons.data import DataError, formats, pickles

import data_samples as samples
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("small")


def assert_holds(arrays, expected):
    for name, array in expected.items():
        got = getattr(arrays, name)
        assert got.dtype == (np.uint8 if name.startswith("x") else np.int64)
        np.testing.assert_array_equal(got.reshape(array.shape), array)


REAL = dict(formats.LAYOUTS)  # before any test shrinks them


def test_the_layouts_are_those_of_the_full_sets():
    cifar10, mnist = REAL["cifar10"].shapes(), REAL["mnist"].shapes()
    assert cifar10["x_train"] == (50_000, 32, 32, 3)
    assert cifar10["x_test"] == (10_000, 32, 32, 3)
    assert (cifar10["y_train"], cifar10["y_test"]) == ((50_000,), (10_000,))
    assert mnist["x_train"] == (60_000, 28, 28, 1)
    assert mnist["x_test"] == (10_000, 28, 28, 1)
    assert (mnist["y_train"], mnist["y_test"]) == ((60_000,), (10_000,))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_npz_folder_and_archive_hold_the_same(tmp_path, protocol):
    content = samples.write_npz(tmp_path / "cifar10.npz")
    files = samples.batches(content, protocol)
    folder = samples.write_folder(tmp_path / "cifar-10-batches-py", files)
    tar = samples.write_tar(tmp_path / "cifar-10-python.tar.gz", files)
    for path in (tmp_path / "cifar10.npz", folder, tar):
        assert_holds(formats.read(path, "cifar10"), content)


def test_the_form_is_told_by_the_content_not_the_name(tmp_path):
    content = samples.write_npz(tmp_path / "a.npz")
    odd = (tmp_path / "a.npz").rename(tmp_path / "anything.dat")
    assert_holds(formats.read(odd, "cifar10"), content)


def test_a_python_2_pickle_of_numpy_1_is_read():
    # What Python 2 and NumPy 1 wrote: byte strings, and the module's old name.
    text = pickle.dumps({b"data": np.arange(6, dtype=np.uint8).reshape(2, 3)}, protocol=2)
    old = text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != text
    np.testing.assert_array_equal(pickles.load(old)[b"data"], [[0, 1, 2], [3, 4, 5]])
    python_2 = b"\x80\x02}U\x06labels]K\x07as."  # {"labels": [7]} with a str of bytes
    assert pickles.load(python_2) == {b"labels": [7]}


def test_labels_in_a_column_and_images_without_channel_are_accepted(tmp_path):
    content = samples.arrays(shape=(28, 28))
    columns = {key: value[:, None] if key.startswith("y") else value for key, value in content.items()}
    samples.write_npz(tmp_path / "mnist.npz", columns)
    read = formats.read(tmp_path / "mnist.npz", "mnist")
    assert read.x_train.shape == (50, 28, 28, 1)
    assert_holds(read, content)


CHANGES = {
    "short": (lambda c: {**c, "x_train": c["x_train"][:-1]}, "x_train has shape (49, 32, 32, 3)"),
    "planar": (lambda c: {**c, "x_test": c["x_test"].transpose(0, 3, 1, 2)}, "x_test has shape (10, 3, 32, 32)"),
    "labels short": (lambda c: {**c, "y_test": c["y_test"][:-1]}, "y_test has shape (9,)"),
    "float images": (lambda c: {**c, "x_train": c["x_train"] / np.float32(255)}, "x_train is float32, needs uint8"),
    "wide images": (lambda c: {**c, "x_train": c["x_train"].astype(np.int64)}, "x_train is int64, needs uint8"),
    "float labels": (lambda c: {**c, "y_train": c["y_train"] * 1.0}, "y_train is float64, needs whole numbers"),
    "label 10": (lambda c: {**c, "y_train": c["y_train"] + 1}, "labels from 1 to 10, needs 0 to 9"),
    "label -1": (lambda c: {**c, "y_test": c["y_test"].astype(int) - 1}, "labels from -1 to 8"),
    "a key lacks": (lambda c: {k: v for k, v in c.items() if k != "y_test"}, "lacks y_test"),
    "objects": (lambda c: {**c, "x_test": np.array([None])}, "plain arrays"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_npz_that_is_not_the_data_set_is_refused(tmp_path, change):
    broken, message = CHANGES[change]
    path = tmp_path / "cifar10.npz"
    samples.write_npz(path, broken(samples.arrays()))
    with pytest.raises(DataError, match=re.escape(message)) as error:
        formats.read(path, "cifar10")
    assert str(path) in str(error.value)
    assert "resnet-lessons data fetch cifar10" in str(error.value)


def test_what_is_no_data_file_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("<html>not found</html>")
    (tmp_path / "cifar10.npz").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name, message in [
        ("empty", "is empty"),
        ("text", "is not an .npz file or a .tar.gz"),
        ("cifar10.npz", "is a folder where a file"),
        ("dangling", "cannot be read"),
    ]:
        with pytest.raises(DataError, match=message):
            formats.read(tmp_path / name, "cifar10")


def test_an_archive_is_no_mnist(tmp_path):
    tar = samples.write_tar(tmp_path / "mnist.npz", samples.batches(samples.arrays()))
    with pytest.raises(DataError, match=r"is not an \.npz file"):
        formats.read(tar, "mnist")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["npz", "tar"]), share=st.floats(0.0, 0.999))
def test_a_file_cut_anywhere_is_refused(tmp_path, form, share):
    path = tmp_path / form
    if form == "npz":
        samples.write_npz(tmp_path / "whole.npz")
        whole = (tmp_path / "whole.npz").read_bytes()
    else:
        whole = samples.write_tar(tmp_path / "whole.tar.gz", samples.batches(samples.arrays())).read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=form):
        formats.read(path, "cifar10")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.floats(0, 0.999), flip=st.integers(1, 255))
def test_a_changed_byte_never_raises_anything_but_a_data_error(tmp_path, at, flip):
    files = samples.batches(samples.arrays())
    batch = bytearray(files["data_batch_3"])
    batch[int(at * len(batch))] ^= flip
    folder = samples.write_folder(tmp_path / "batches", {**files, "data_batch_3": bytes(batch)})
    try:
        arrays = formats.read(folder, "cifar10")
    except DataError as error:
        assert "data_batch_3" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert arrays.x_train.shape == (50, 32, 32, 3)


def test_flags_of_a_dtype_in_a_damaged_file_reach_no_other_array(tmp_path):
    """Found by the test above: NumPy took them, and complained of uint8 when an array was freed."""
    files = samples.batches(samples.arrays())
    end = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK%ct"  # of the state that is given to the dtype: -1, -1, flags
    assert files["data_batch_3"].count(end % 0) == 1
    changed = files["data_batch_3"].replace(end % 0, end % 0x3F)
    arrays = formats.read(samples.write_folder(tmp_path / "batches", {**files, "data_batch_3": changed}), "cifar10")
    assert arrays.x_train.dtype.flags == 0
    assert pickles.load(changed)[b"data"].dtype.flags == 0


class Command:
    """Pickles into a call of `function`, as a hostile file would."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("call", ["system", "eval", "exec", "getattr", "scalar"])
@pytest.mark.parametrize("packed", ["folder", "tar"])
def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path, call, packed):
    trace = tmp_path / "trace"
    hostile = {
        "system": Command(os.system, f"touch {trace}"),
        "eval": Command(eval, f"open({str(trace)!r}, 'w')"),
        "exec": Command(exec, f"open({str(trace)!r}, 'w')"),
        "getattr": Command(getattr, trace, "touch"),
        "scalar": np.uint8(3),  # harmless, and still not on the list
    }[call]
    payload = pickle.dumps({b"data": hostile, b"labels": []})
    if call == "system":  # negative control: an ordinary unpickler does run it
        pickle.loads(payload)
        assert trace.exists()
        trace.unlink()
    files = {**samples.batches(samples.arrays()), "data_batch_2": payload}
    path = (
        samples.write_folder(tmp_path / "b", files) if packed == "folder" else samples.write_tar(tmp_path / "b", files)
    )
    with pytest.raises(DataError, match=r"data_batch_2: is not a pickle of arrays \(it asks for"):
        formats.read(path, "cifar10")
    assert not trace.exists()


BAD_BATCHES = {
    "list": ([1, 2], "dictionary"),
    "no labels": ({b"data": np.zeros((10, 3072), np.uint8)}, "dictionary"),
    "wrong type": ({b"data": np.zeros((10, 3072), np.float32), b"labels": [0] * 10}, "float32"),
    "wrong shape": ({b"data": np.zeros((9, 3072), np.uint8), b"labels": [0] * 9}, r"\(9, 3072\)"),
    "no array": ({b"data": [1], b"labels": [0] * 10}, "data is list"),
    "label 10": ({b"data": np.zeros((10, 3072), np.uint8), b"labels": [10] * 10}, "labels"),
    "label short": ({b"data": np.zeros((10, 3072), np.uint8), b"labels": [0] * 9}, "labels"),
    "label text": ({b"data": np.zeros((10, 3072), np.uint8), b"labels": ["0"] * 10}, "labels"),
    "label true": ({b"data": np.zeros((10, 3072), np.uint8), b"labels": [True] * 10}, "labels"),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_a_batch_of_the_wrong_content_is_refused(tmp_path, case):
    content, message = BAD_BATCHES[case]
    files = {**samples.batches(samples.arrays()), "data_batch_4": pickle.dumps(content)}
    with pytest.raises(DataError, match=message) as error:
        formats.read(samples.write_folder(tmp_path / "b", files), "cifar10")
    assert "data_batch_4" in str(error.value)


def test_a_missing_batch_is_named(tmp_path):
    files = samples.batches(samples.arrays())
    del files["data_batch_5"]
    for path in (samples.write_folder(tmp_path / "b", files), samples.write_tar(tmp_path / "t.tar.gz", files)):
        with pytest.raises(DataError, match="lacks data_batch_5"):
            formats.read(path, "cifar10")
    (tmp_path / "b" / "data_batch_5").mkdir()
    with pytest.raises(DataError, match="folder where a file should be"):
        formats.read(tmp_path / "b", "cifar10")


def test_an_archive_writes_nothing_outside_and_takes_no_links(tmp_path):
    files = samples.batches(samples.arrays())
    path = tmp_path / "in" / "evil.tar.gz"
    samples.write_tar(path, {"../../escaped": b"x", **files})
    before = sorted(tmp_path.rglob("*"))
    formats.read(path, "cifar10")
    assert sorted(tmp_path.rglob("*")) == before
    with tarfile.open(path, "w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link, io.BytesIO())
    with pytest.raises(DataError, match="lacks data_batch_1"):
        formats.read(path, "cifar10")


def test_batches_under_another_folder_are_not_taken(tmp_path):
    tar = samples.write_tar(tmp_path / "t.tar.gz", samples.batches(samples.arrays()), prefix="elsewhere/")
    with pytest.raises(DataError, match="lacks data_batch_1"):
        formats.read(tar, "cifar10")
