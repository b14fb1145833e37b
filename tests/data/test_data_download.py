"""`fetch` against a server on this machine that stalls, cuts, lies, ignores ranges, refuses and resumes."""

import contextlib
import hashlib
import importlib.util
import re
import threading
import time
from collections import namedtuple
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from resnet_lessons import data
from resnet_lessons.data import DataError, download, formats

import data_samples as samples
import filelock
import numpy as np
import pytest

BLOB = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `plan`, the last one for ever; remembers what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.asked, self.released = ["good"], [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/files/blob.tar.gz"

    def next_behaviour(self):
        return self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        with contextlib.suppress(ConnectionError):
            getattr(self, f"_{self.server.next_behaviour()}")(start)

    def _reply(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _from(self, start, body, length=None):
        if start:
            span = f"bytes {start}-{len(BLOB) - 1}/{len(BLOB)}"
            self._reply(206, body, length, Content_Range=span)
        else:
            self._reply(200, body, length)

    def _good(self, start):
        if start >= len(BLOB):
            self._reply(416, b"", Content_Range=f"bytes */{len(BLOB)}")
        else:
            self._from(start, BLOB[start:])

    def _cut(self, start):
        """A third of what is missing, then a closed connection."""
        self._from(start, BLOB[start:][: (len(BLOB) - start) // 3], len(BLOB) - start)

    def _understated(self, start):
        """A Content-Length below the true size, and only so much."""
        self._from(start, BLOB[start : start + 100_000])

    def _stall(self, start):
        """A third, then silence on an open connection."""
        self._cut(start)
        self.server.released.wait(20)

    def _silent(self, _):
        self.server.released.wait(20)

    def _lie(self, start):
        self._from(start, bytes(len(BLOB) - start))

    def _longer(self, _):
        self._reply(200, BLOB + b"x" * 200_000)

    def _page(self, _):
        self._reply(200, b"<html>please log in</html>")

    def _whole(self, _):
        """No idea of ranges."""
        self._reply(200, BLOB)

    def _whole_cut(self, _):
        self._reply(200, BLOB[:100_000], len(BLOB))

    def _wrong_range(self, _):
        self._reply(206, BLOB[7:], Content_Range=f"bytes 7-{len(BLOB) - 1}/{len(BLOB)}")

    def _unsatisfiable(self, _):
        self._reply(416, b"")

    def _packed(self, start):
        """As servers do that take a .tar.gz for a packed .tar."""
        self._reply(200, BLOB[start:], Content_Encoding="gzip")

    def _missing(self, _):
        self._reply(404, b"no such file")

    def _broken(self, _):
        self._reply(500, b"oh")

    def _moved(self, _):
        self._reply(302, b"", Location="/moved/blob.tar.gz")


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        remote = download.Remote("cifar10", server.url, "blob.tar.gz", hashlib.sha256(BLOB).hexdigest(), len(BLOB))
        monkeypatch.setitem(download.REMOTES, "cifar10", remote)
        monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def fetch(timeout=5.0, **options):
    return data.fetch("cifar10", timeout=timeout, progress=False, **options)


def part(tmp_path):
    return tmp_path / "cache" / "blob.tar.gz.part"


def test_a_good_server_gives_the_file(server, tmp_path):
    path = fetch()
    assert path == tmp_path / "cache" / "blob.tar.gz"
    assert path.read_bytes() == BLOB
    assert not part(tmp_path).exists()
    assert server.asked == [("/files/blob.tar.gz", None)]


def test_a_file_that_is_there_is_not_fetched_again(server):
    fetch()
    fetch()
    assert len(server.asked) == 1


@pytest.mark.usefixtures("server")
def test_a_damaged_file_that_is_there_is_replaced(tmp_path):
    target = tmp_path / "cache" / "blob.tar.gz"
    target.parent.mkdir()
    target.write_bytes(b"x" * len(BLOB))
    assert fetch().read_bytes() == BLOB
    target.unlink()
    target.mkdir()
    with pytest.raises(DataError, match="is a folder where the file"):
        fetch()


@pytest.mark.parametrize("plan", ["cut", "understated", "cut broken cut", "wrong_range", "moved", "packed"])
def test_what_ends_early_is_resumed_within_one_call(server, plan):
    server.plan = [*plan.split(), "good"]
    assert fetch().read_bytes() == BLOB


def test_a_resumed_download_asks_only_for_the_rest(server):
    server.plan = ["cut", "good"]
    fetch()
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-"]


def test_a_server_that_only_ever_cuts_is_left_in_the_end(server):
    server.plan = ["cut"]  # each attempt brings a third of the rest, so progress never quite stops until the last byte
    with pytest.raises(DataError, match=r"attempts brought nothing new.*kept in.*resnet-lessons data fetch cifar10"):
        fetch()
    assert len(server.asked) < 100


def test_a_stall_is_a_time_limit_and_the_next_call_resumes(server, tmp_path):
    server.plan = ["stall", "silent"]
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"stalled: nothing came for 0\.2 s.*100,000 of 300,000 bytes are kept"):
        fetch(timeout=0.2)
    assert time.monotonic() - begun < 15
    assert part(tmp_path).read_bytes() == BLOB[:100_000]
    server.plan, server.asked = ["good"], []
    assert fetch().read_bytes() == BLOB
    assert server.asked == [("/files/blob.tar.gz", "bytes=100000-")]


@pytest.mark.parametrize("behaviour", ["lie", "longer"])
def test_wrong_bytes_are_caught_and_removed(server, tmp_path, behaviour):
    server.plan = [behaviour]
    with pytest.raises(DataError, match=r"is not blob\.tar\.gz: its SHA-256 .* was removed.*--mirror"):
        fetch()
    assert not part(tmp_path).exists()
    assert not (tmp_path / "cache" / "blob.tar.gz").exists()
    server.plan = ["good"]
    assert fetch().read_bytes() == BLOB


@pytest.mark.usefixtures("server")
def test_a_wrong_beginning_is_caught_after_resuming(tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"x" * 1000)
    with pytest.raises(DataError, match="SHA-256"):
        fetch()
    assert not part(tmp_path).exists()


def test_a_page_in_place_of_the_file_is_not_kept(server, tmp_path):
    server.plan = ["page"]
    with pytest.raises(DataError, match=r"sends 26 bytes where blob\.tar\.gz has 300,000"):
        fetch()
    assert not part(tmp_path).exists()


def test_a_server_that_ignores_ranges_starts_from_zero(server):
    server.plan = ["cut", "whole"]
    assert fetch().read_bytes() == BLOB


def test_a_server_that_ignores_ranges_and_cuts_is_left_in_the_end(server, tmp_path):
    server.plan = ["whole_cut"]
    with pytest.raises(DataError, match="100,000 of 300,000 bytes are kept"):
        fetch()
    assert part(tmp_path).read_bytes() == BLOB[:100_000]


@pytest.mark.parametrize("behaviour", ["wrong_range", "unsatisfiable"])
def test_a_server_that_cannot_go_on_where_we_stand_is_asked_for_everything(server, tmp_path, behaviour):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(BLOB[:1000])
    server.plan = [behaviour, "good"]
    assert fetch().read_bytes() == BLOB
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


def test_a_part_that_is_complete_needs_no_request(server, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(BLOB)
    assert fetch().read_bytes() == BLOB
    assert server.asked == []


def test_not_found_is_an_error_at_once(server):
    server.plan = ["missing"]
    with pytest.raises(DataError, match=r"answered 404 Not Found.*--mirror"):
        fetch()
    assert len(server.asked) == 1


def test_a_failing_server_is_asked_again_and_then_left(server):
    server.plan = ["broken", "broken", "good"]
    assert fetch().read_bytes() == BLOB
    (fetch()).unlink()
    server.plan, server.asked = ["broken"], []
    with pytest.raises(DataError, match="answered 500"):
        fetch()
    assert len(server.asked) == download.IDLE_ATTEMPTS


@pytest.mark.usefixtures("server")
def test_no_server_is_an_error(monkeypatch):
    with Server() as closed:
        url = closed.url
    monkeypatch.setitem(download.REMOTES, "cifar10", replace(download.REMOTES["cifar10"], url=url))
    with pytest.raises(DataError, match=r"the connection failed.*--mirror"):
        fetch()


@pytest.mark.parametrize("tail", ["", "/", "/blob.tar.gz"])
def test_a_mirror_is_a_folder_or_the_file(server, monkeypatch, tail):
    monkeypatch.setitem(
        download.REMOTES, "cifar10", replace(download.REMOTES["cifar10"], url="http://127.0.0.1:9/none")
    )
    mirror = server.url.rpartition("/files")[0] + "/mirror" + tail
    assert fetch(mirror=mirror).read_bytes() == BLOB
    assert server.asked == [("/mirror/blob.tar.gz", None)]


@pytest.mark.parametrize("mirror", ["ftp://host/x", "/a/path", "", "file:///etc/passwd", "http://"])
def test_a_mirror_that_is_no_web_address_is_refused(mirror):
    with pytest.raises(ValueError, match="starts with http"):
        data.fetch("cifar10", mirror=mirror)


@pytest.mark.parametrize("name", ["shapes10", "cifar100", None])
def test_a_name_without_a_download_is_refused(name):
    with pytest.raises(ValueError, match="Choose one of cifar10, mnist"):
        data.fetch(name)


@pytest.mark.usefixtures("server")
def test_another_folder_may_be_named(tmp_path):
    assert fetch(folder=tmp_path / "new" / "folder") == tmp_path / "new" / "folder" / "blob.tar.gz"


def test_a_second_download_does_not_touch_the_part(server, tmp_path):
    (tmp_path / "cache").mkdir()
    with (
        filelock.FileLock(tmp_path / "cache" / ".blob.tar.gz.lock"),
        pytest.raises(DataError, match="Another process is downloading"),
    ):
        fetch()
    assert server.asked == []


def test_a_full_disk_is_seen_before_it_starts(server, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(2**40, 2**40, 2**20))
    with pytest.raises(DataError, match=r"1 MB free.*RESNET_LESSONS_CACHE"):
        fetch()
    assert server.asked == []


def decoded_bytes(name):
    """Count the arrays of a whole data set by hand: 8-bit images and 64-bit labels."""
    return {"cifar10": 60_000 * (32 * 32 * 3 + 8), "mnist": 70_000 * (28 * 28 + 8)}[name]


@pytest.fixture
def room(monkeypatch):
    """A function that gives every disk so many bytes of room, and a download that brings nothing and is counted."""
    usage, started = namedtuple("usage", "total used free"), []
    monkeypatch.setattr(download, "_download", lambda *_: started.append(True))

    def give(free):
        monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage(2**40, 2**40 - free, free))
        return started

    return give


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_the_room_asked_for_is_the_file_and_its_own_decoded_copy(room, name):
    needed = download.REMOTES[name].size + decoded_bytes(name) + download.SPARE_BYTES
    started = room(needed)
    data.fetch(name, progress=False)
    assert len(started) == 1
    room(needed - 1)
    with pytest.raises(DataError, match=rf"its decoded copy need {-(-needed // 10**6)} MB\. .*RESNET_LESSONS_CACHE"):
        data.fetch(name, progress=False)
    assert len(started) == 1


def test_two_hundred_megabytes_are_room_for_mnist(room):
    assert len(room(200 * 10**6)) == 0
    data.fetch("mnist", progress=False)
    with pytest.raises(DataError, match=r"has 200 MB free; cifar-10-python\.tar\.gz and its decoded copy need 366 MB"):
        data.fetch("cifar10", progress=False)


def test_what_has_arrived_needs_no_room_again(room, tmp_path):
    remote = download.REMOTES["mnist"]
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "mnist.npz.part").write_bytes(bytes(10**6))
    started = room(remote.size - 10**6 + decoded_bytes("mnist") + download.SPARE_BYTES)
    data.fetch("mnist", progress=False)
    assert len(started) == 1


def test_another_folder_needs_room_for_the_file_alone(room, tmp_path):
    needed = download.REMOTES["cifar10"].size + download.SPARE_BYTES
    started = room(needed)
    data.fetch("cifar10", folder=tmp_path / "named", progress=False)
    assert len(started) == 1
    room(needed - 1)
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz needs 181 MB\. .*name another --folder") as caught:
        data.fetch("cifar10", folder=tmp_path / "named", progress=False)
    assert "RESNET_LESSONS_CACHE" not in str(caught.value)
    assert len(started) == 1


@pytest.mark.usefixtures("small")
def test_a_decoded_copy_is_as_large_as_is_foreseen(tmp_path):
    samples.write_npz(tmp_path / "mnist.npz", samples.arrays(shape=(28, 28)))
    dataset = data.load("mnist", source=tmp_path)
    arrays = (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    assert formats.LAYOUTS["mnist"].decoded_bytes() == sum(array.nbytes for array in arrays)


@pytest.mark.usefixtures("server")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        fetch(folder=tmp_path / "file" / "below")


@pytest.mark.usefixtures("server")
def test_what_is_already_there_is_found_in_a_folder_that_may_only_be_read(monkeypatch):
    path = data.fetch("cifar10")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert data.fetch("cifar10") == path
    path.unlink()
    with pytest.raises(DataError, match=r"cannot be written .*Permission denied.* set RESNET_LESSONS_CACHE"):
        data.fetch("cifar10")


@pytest.mark.usefixtures("server")
def test_progress_goes_to_stderr_and_says_when_the_file_is_there(capsys):
    data.fetch("cifar10")
    data.fetch("cifar10")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "blob.tar.gz: 100%" in captured.err
    assert "is already there" in captured.err


def test_an_interrupt_keeps_what_has_arrived(server, tmp_path, monkeypatch):
    server.plan = ["cut", "good"]
    monkeypatch.setattr(download.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert part(tmp_path).read_bytes() == BLOB[:100_000]


@pytest.mark.usefixtures("server", "small")
def test_load_finds_what_fetch_brought(tmp_path, monkeypatch):
    packed = samples.write_tar(tmp_path / "made.tar.gz", samples.batches(samples.arrays())).read_bytes()
    monkeypatch.setattr("test_data_download.BLOB", packed)
    remote = replace(
        download.REMOTES["cifar10"],
        filename="cifar-10-python.tar.gz",
        sha256=hashlib.sha256(packed).hexdigest(),
        size=len(packed),
    )
    monkeypatch.setitem(download.REMOTES, "cifar10", remote)
    assert data.load("cifar10").name == "shapes10"
    assert fetch().name == "cifar-10-python.tar.gz"
    np.testing.assert_array_equal(data.load("cifar10").x_test, samples.arrays()["x_test"])


def test_the_published_files_are_the_ones_keras_names():
    folder = Path(importlib.util.find_spec("keras").submodule_search_locations[0], "src", "datasets")
    for name in ("cifar10", "mnist"):
        source, remote = (folder / f"{name}.py").read_text(), download.REMOTES[name]
        assert remote.sha256 in source
        assert remote.url.rpartition("/")[0] in source
        assert remote.filename in source
