"""Kill training runs with SIGKILL at many moments, resume each, and compare the end with a run that was left alone.

    python tests/training/kill_runs.py --kills 20 --inside 5

Two chains run side by side, a residual net and one with dropout on its shortcuts. In a chain a process trains until it
is killed, the next one resumes in the same folder until it is killed too, and so on; the last one finishes. The moments
come from a seeded generator: some are a time since the process began, others a place in the run that is watched for
from outside, such as the file of a checkpoint that is being written. What trains is ``training.train`` as it is.

The exit code is 1 if any run ends otherwise than its reference: in a bit of the weights, in the log but for
``seconds``, or in the result but for seconds and memory.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import run_differences

CHAINS = {"identity": "identity", "dropout": "dropout"}  # name: the Spec's skip
PARTIAL = "checkpoint.partial.npz"
TIME, WRITE, LINE, VALIDATION, END = "time", "write", "line", "validation", "end"
WORKER = Path(__file__).with_name("killed_run.py")
WRITING = 0.01  # s, less than a checkpoint takes to write and to flush
POLLING = {TIME: 0.01, WRITE: 0.00005, LINE: 0.0005, VALIDATION: 0.0005, END: 0.0005}  # s between two looks
PATIENCE = 300  # s, for one process


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill: once ``epochs`` more have begun and the place is reached, plus a part of the time spent there."""

    kind: str
    epochs: int
    part: float


class Process:
    """A process that trains, and what is seen of it."""

    def __init__(self, folder, skip, precision):
        self.folder, self.events = folder, []
        self._left = _identity(folder / PARTIAL)  # by the process before
        command = [sys.executable, WORKER, folder, skip, precision]
        self.began = time.monotonic()
        with folder.with_suffix(".stderr").open("ab") as stderr:
            self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr)
        os.set_blocking(self.child.stdout.fileno(), False)
        self._size = self._log_size()

    def seconds(self):
        """Return how long ago it began."""
        return time.monotonic() - self.began

    def listen(self):
        """Take in what it has said."""
        for line in (self.child.stdout.read() or b"").splitlines():
            self.events.append((self.seconds(), line.decode()))

    def reached(self, moment):
        """Return whether the place of a moment is reached just now."""
        grown, self._size = self._log_size() > self._size, self._log_size()
        if sum(words.startswith("epoch") for _, words in self.events) < moment.epochs:
            return False
        under_way = self.events[-1][1] if self.events else None
        return {
            TIME: True,
            WRITE: self.writes(),
            LINE: grown,
            VALIDATION: under_way == VALIDATION,
            END: under_way == "trained",
        }[moment.kind]

    def writes(self):
        """Return whether it is writing a checkpoint: the file is there, and not one that was left to it."""
        return _identity(self.folder / PARTIAL) not in (None, self._left)

    def _log_size(self):
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "log.jsonl").stat().st_size
        return 0

    def finish(self):
        """Wait until it has ended by itself.

        Raises:
            RuntimeError: if it fails or takes too long.
        """
        while self.child.poll() is None and self.seconds() < PATIENCE:
            self.listen()
            time.sleep(0.001)
        self.listen()
        if self.child.poll() is None:
            self.child.kill()
        if self.child.wait() != 0:
            errors = self.folder.with_suffix(".stderr").read_text()
            raise RuntimeError(f"The process in {self.folder} ended with {self.child.returncode}:\n{errors}")

    def kill(self, moment, spans):
        """Kill it at a moment; return whether it lived until then."""
        due = None
        while self.child.poll() is None and self.seconds() < PATIENCE:
            self.listen()
            if due is None and self.reached(moment):
                start = self.began if moment.kind == TIME else time.monotonic()
                due = start + moment.part * spans[moment.kind]
            if moment.kind == WRITE and not self.writes():
                due = None  # written meanwhile: wait for the next one
            if due is not None and time.monotonic() >= due:
                self.killed_after = self.seconds()
                self.child.send_signal(signal.SIGKILL)
                self.child.wait()
                self.listen()
                return self.child.returncode == -signal.SIGKILL
            time.sleep(POLLING[moment.kind])
        self.finish()
        return False


def _identity(path):
    """Return what tells one file of a name from the next one, or None if there is none."""
    with contextlib.suppress(FileNotFoundError):
        status = path.stat()
        return status.st_ino, status.st_ctime_ns, status.st_size
    return None


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill and what it left."""

    chain: str
    seconds: float  # since its process began
    place: str
    inside: bool  # a checkpoint was being written
    found: str


def look(process, chain):
    """Return the ``Kill`` that a process has just died of."""
    folder, partial = process.folder, process.folder / PARTIAL
    names = sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []
    checkpoint = process.folder / "checkpoint.npz"
    epochs = _epochs(checkpoint) if checkpoint.exists() else 0
    log = process.folder / "log.jsonl"
    lines = log.read_bytes().count(b"\n") if log.exists() else 0
    found = ", ".join(names) or "nothing"
    return Kill(
        chain=chain,
        seconds=process.killed_after,
        place=_place(process, names, lines, epochs),
        inside=process.writes(),
        found=f"{found}; {lines} lines, checkpoint of epoch {epochs}"
        + (f", partial of {partial.stat().st_size:,} bytes" if partial.exists() else ""),
    )


def _epochs(checkpoint):
    with np.load(checkpoint) as stored:
        return int(stored["progress"][0])


def _place(process, names, lines, epochs):
    epoch = next((words for _, words in reversed(process.events) if words.startswith("epoch")), None)
    under_way = process.events[-1][1] if process.events else None
    if process.writes():
        return f"{epoch}: inside a checkpoint write"
    partial = [name for name in names if ".partial" in name and name != PARTIAL]
    if partial:
        return f"{epoch or 'before its first epoch'}: inside a write of {partial[0]}"
    if epoch is None:
        return "before its first epoch"
    if "run.json" in names and "result" in json.loads((process.folder / "run.json").read_text(encoding="utf-8")):
        return "after the result was written"
    if under_way == "trained":
        return "after the last epoch: test and final weights"
    if lines > epochs:
        return f"{epoch}: between log line and checkpoint"
    if under_way == VALIDATION:
        return f"{epoch}: its checkpoint is written" if epoch == f"epoch {epochs}" else f"{epoch}: validation"
    return f"{epoch}: updates"


# The chains


def plan(kills, inside, generator):
    """Return a chain's moments: ``inside`` amid writes, a few at other places, the rest at any time of its life."""
    others = [Moment(LINE, 1, 0), Moment(END, 1, generator.uniform(0, 0.3)), Moment(VALIDATION, 2, generator.random())]
    others += [Moment(LINE, 3, 0), Moment(END, 1, generator.uniform(0.3, 1))]
    others = others[: max(0, (kills - inside) // 2)]
    free = kills - inside - len(others)
    times = [Moment(TIME, 0, (number + generator.random()) / free) for number in range(free)]
    depths = [((number + generator.random()) / inside) ** 2 for number in range(inside)]  # most of it early in a write
    rest = [*times[1:], *others[1:], *(Moment(WRITE, generator.randint(1, 4), depth) for depth in depths)]
    generator.shuffle(rest)
    first = [*times[:1], *others[:1]]  # before there is a checkpoint
    return first + sorted(rest, key=lambda moment: moment.kind == END)  # these last: after them there is no epoch left


class Chain:
    """Runs that are killed, resumed and compared, all of one network."""

    def __init__(self, name, precision, folder, moments, inside, say):
        self.name, self.precision, self.folder, self.moments, self.inside = name, precision, folder, moments, inside
        self.say, self.kills, self.compared, self.faults = say, [], 0, []

    def run(self):
        """Make the reference, then kill and resume until all moments have been and enough of them were inside."""
        spans = self._reference()
        current = self._next_folder()
        queue = list(self.moments)
        while queue or self._inside() < self.inside:
            if len(self.kills) > len(self.moments) + 10 * self.inside:
                raise RuntimeError(f"Chain {self.name}: only {self._inside()} of {len(self.kills)} kills hit a write.")
            moment = queue.pop(0) if queue else Moment(WRITE, 1, 0.3)
            current = self._kill(current, moment, spans)
        self._start(current).finish()
        self._compare(current)
        return self

    def _inside(self):
        return sum(kill.inside for kill in self.kills)

    def _start(self, folder):
        return Process(folder, CHAINS[self.name], self.precision)

    def _next_folder(self):
        return self.folder / f"{self.name}-{self.compared + 1}"

    def _reference(self):
        """Train without a kill; return how long its whole life, a validation and its end took, in s."""
        process = self._start(self.folder / f"{self.name}-reference")
        process.finish()
        life, began = process.seconds(), process.events[0][0]
        times = [seconds for seconds, words in process.events if words == VALIDATION]
        trained = next(seconds for seconds, words in process.events if words == "trained")
        self.say(f"chain {self.name}: the reference took {life:.1f} s, its first epoch began after {began:.1f} s")
        spans = {TIME: life, VALIDATION: (times[-1] - times[0]) / (5 * len(times)), END: life - trained}
        return spans | {WRITE: WRITING, LINE: 0}

    def _kill(self, folder, moment, spans):
        """Kill one process at a moment; return the folder to resume in. Runs that end before it are compared."""
        for attempt in range(10):
            process = self._start(folder)
            if process.kill(moment, spans):
                kill = look(process, self.name)
                self.kills.append(kill)
                self.say(
                    f"kill {len(self.kills):2} of chain {kill.chain}, {kill.seconds:5.2f} s after its process began, "
                    f"{kill.place}\n        found: {kill.found}"
                )
                return folder
            if attempt:
                spans[TIME] = process.seconds()  # a whole life again: the machine may be faster now
            self._compare(folder)
            folder = self._next_folder()
        raise RuntimeError(f"Chain {self.name}: ten runs ended before the moment {moment}.")

    def _compare(self, folder):
        found = run_differences.differences(self.folder / f"{self.name}-reference", folder)
        self.compared += 1
        self.faults += found
        self.say(f"{folder.name} has ended: {'DIFFERS in ' + ', '.join(found) if found else 'identical'}")


def run_chains(kills, inside, precision, seed, folder, say=print):
    """Run all chains side by side and return them."""
    generator = random.Random(seed)
    chains = []
    for number, name in enumerate(CHAINS):
        share, within = (total // len(CHAINS) + (number < total % len(CHAINS)) for total in (kills, inside))
        chains.append(Chain(name, precision, folder, plan(share, within, generator), within, say))
    with concurrent.futures.ThreadPoolExecutor(len(chains)) as pool:
        return [future.result() for future in [pool.submit(chain.run) for chain in chains]]


def options():
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="in all (20)")
    parser.add_argument("--inside", type=int, default=5, help="of them inside a checkpoint write (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the runs there, a new folder")
    chosen = parser.parse_args()
    if not 0 <= chosen.inside <= chosen.kills or chosen.kills < len(CHAINS):
        parser.error(f"--kills must be at least {len(CHAINS)}, and --inside between 0 and --kills")
    if chosen.keep and chosen.keep.exists():
        parser.error(f"{chosen.keep} exists already; name a new folder for --keep")
    return chosen


def main():
    """Run the chains and report; return the exit code."""
    chosen = options()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["KERAS_HOME"] = f"{temporary}/keras"  # the processes must not touch the user's
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)  # the temporary one is there already
        chains = run_chains(chosen.kills, chosen.inside, chosen.precision, chosen.seed, folder)
    kills = [kill for chain in chains for kill in chain.kills]
    faults = [fault for chain in chains for fault in chain.faults]
    inside, ended = sum(kill.inside for kill in kills), sum(chain.compared for chain in chains)
    print(f"{len(kills)} kills, {inside} of them inside a checkpoint write, each resumed; {ended} runs ended")
    print(f"in {time.monotonic() - began:.0f} s, precision {chosen.precision}, moments of seed {chosen.seed}")
    print("DIFFERENT: see above" if faults else "identical: weights to the bit, log but for seconds, and result")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
