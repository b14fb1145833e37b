"""The benchmark's side of a worker: start it, ask it, and never leave it behind."""

import contextlib
import dataclasses
import json
import queue
import subprocess
import sys
import tempfile
import threading

TAIL_LINES, TAIL_BYTES = 12, 4000  # of a failed worker's standard error
GRACE_SECONDS = 5.0  # to end by itself once its standard input is closed


class WorkerError(ChildProcessError):
    """A worker that died or did not answer; the message holds the end of its standard error."""


class Worker:
    """A contender in a process of its own; a context manager that ends it.

    Args:
        contender: a ``contenders.Contender``.
        settings: a ``contenders.Settings``.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, contender, settings, timeout):
        self.contender, self._timeout = contender, timeout
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        arguments = [json.dumps(dataclasses.asdict(contender)), settings.to_json()]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "resnet_lessons.bench.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then ends its workers
        )
        self._answers = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def turn(self, updates):
        """Ask for some updates and return the answer, a dict with ``seconds`` and ``peak_bytes``."""
        try:
            self.process.stdin.write(b"%d\n" % updates)
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise self._died() from error
        return self.answer()

    def answer(self):
        """Wait for an answer; the first one comes unasked, when the contender is warm.

        Raises:
            WorkerError: if the process ends or says nothing in time.
        """
        try:
            line = self._answers.get(timeout=self._timeout)
        except queue.Empty:
            raise WorkerError(
                f"The benchmark's worker {self.contender.name!r} has not answered for {self._timeout:g} s. "
                f"Ask for fewer updates, or for fewer contenders. {self._tail()}"
            ) from None
        if line is None:
            raise self._died()
        return json.loads(line)

    def _died(self):
        code = self.process.wait()
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return WorkerError(f"The benchmark's worker {self.contender.name!r} {ended}. {self._tail()}")

    def _tail(self):
        self._stderr.seek(max(0, self._stderr.seek(0, 2) - TAIL_BYTES))
        lines = self._stderr.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
        return "Its last words:\n" + "\n".join(lines) if lines else "It has written no message."

    def close(self):
        """End the process, and wait until it has ended."""
        with contextlib.suppress(BrokenPipeError):  # it has ended already
            self.process.stdin.close()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            self._reader.join()
            self.process.stdout.close()
            self._stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
