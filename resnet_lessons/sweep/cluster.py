"""Where a sweep's runs are computed: Ray on this machine, started for the sweep alone, or a cluster that runs already.

Ray on this machine listens on the loopback address only, asks for a password of its own, reports to nobody, shows no
dashboard, and leaves no file behind.
"""

import contextlib
import functools
import math
import os
import re
import secrets
import signal
import socket
import tempfile
import threading

from resnet_lessons import machine

import psutil

from .plan import SweepError

NO_RAY = (
    "A sweep needs Ray, which is not installed. To get it, in the folder that holds pyproject.toml: "
    'python -m pip install -e ".[sweep]"'
)
STORE_BYTES = 80 * 2**20  # Ray's least; the runs pass next to nothing through it
ANSWER_SECONDS = 10  # for a cluster to say anything
END_SECONDS = 10  # for processes to end by themselves
ADDRESS = re.compile(r"(ray://)?(?P<host>[^:/]+):(?P<port>\d{1,5})")


@contextlib.contextmanager
def connected(address=None):
    """Start Ray or connect to it while the block runs.

    Args:
        address: None to start it on this machine; "auto" for the cluster that this machine is part of, "host:port" or
            "ray://host:port" for another one.

    Yields:
        The module ``ray``.

    Raises:
        SweepError: without Ray, and if no cluster answers.
    """
    check_address(address)
    with contextlib.ExitStack() as stack:
        _restore_sigterm(stack)
        ray = _local(stack) if address is None else _cluster(address, stack)
        _end_on_sigterm()
        yield ray


def _imported():
    try:
        import ray
    except ImportError as error:
        raise SweepError(f"{NO_RAY} ({error})") from error
    return ray


def _local(stack):
    with _environment(
        RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0",  # what keeps Ray to the loopback address, on Linux too; read on import
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=_token(),  # else Ray writes one into the home folder
        RAY_USAGE_STATS_ENABLED="0",
    ):
        ray = _imported()
        short = "/tmp" if os.name == "posix" else None  # a socket's path has 103 characters at most on macOS
        files = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir=short, ignore_cleanup_errors=True))
        before = set(psutil.Process().children(recursive=True))
        stack.callback(_shut_down, ray, before)
        start = functools.partial(
            ray.init,
            address="local",  # whatever RAY_ADDRESS says
            num_cpus=max(1, math.floor(machine.usable_cores())),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=files,
        )
        for last in (False, True):  # the second time is sooner: what it reads from the disk is in memory by then
            try:
                start()
                break
            except Exception as error:  # Ray gives its processes 30 seconds, and has no class of its own for that
                if "timed out during startup" not in str(error):
                    raise
                if last:
                    raise SweepError(
                        f"Ray did not start ({error}). The machine may be busy: run the sweep again; it goes on."
                    ) from error
                if _shut_down(ray, before):
                    raise KeyboardInterrupt from error
    return ray


def _shut_down(ray, before):
    """Stop Ray, and wait until all that it has started here has ended; also after a Ctrl-C while it was starting.

    Returns:
        Whether a Ctrl-C or SIGTERM has come meanwhile; it must not cut this short.
    """
    with _undisturbed() as signals:
        begun = set(psutil.Process().children(recursive=True)) - before
        started = ray.is_initialized()
        ray.shutdown()
        _, alive = psutil.wait_procs(begun, END_SECONDS if started else 0)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, END_SECONDS)
    return bool(signals)


@contextlib.contextmanager
def _undisturbed():
    """Let no Ctrl-C and no SIGTERM cut the block short, but list them; it must be a block that ends by itself."""
    came = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _restore_sigterm(stack):
    """Put the handler of SIGTERM back at the very end, after that of Ray is no longer wanted."""
    if threading.current_thread() is threading.main_thread():
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _end_on_sigterm():
    """Let SIGTERM end the sweep as Ctrl-C does; Ray, once started, would abort the process and leave files behind."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@functools.cache
def _token():
    return secrets.token_hex(32)


@contextlib.contextmanager
def _environment(**variables):
    """Set environment variables while the block runs; processes that it starts inherit them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cluster(address, stack):
    ray = _imported()
    if address != "auto":
        _knock(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise SweepError(
            f"No Ray cluster could be used at the address {address!r} ({error}). "
            "To run the sweep on this machine alone, leave --address out."
        ) from error
    stack.callback(ray.shutdown)
    return ray


def check_address(address):
    """Raise SweepError for what can be no cluster's address, nor "auto", nor None for this machine."""
    if address not in (None, "auto") and ADDRESS.fullmatch(address) is None:
        raise SweepError(f"address must be 'auto', 'host:port' or 'ray://host:port'. Received: {address!r}.")


def _knock(address):
    """Raise SweepError unless something listens at an address; Ray itself would try for minutes."""
    parts = ADDRESS.fullmatch(address)
    try:
        socket.create_connection((parts["host"], int(parts["port"])), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SweepError(
            f"Nothing answers at {address} ({error}). Look whether the cluster runs and the port is right: 6379 for "
            "host:port and 10001 for ray://host:port, unless it was started with others."
        ) from error


def share(nodes, plan, parallel=None):
    """Divide nodes among runs.

    Args:
        nodes: a dict of resources for each node, such as {"CPU": 8.0, "GPU": 1.0}.
        plan: a ``Plan``; its ``cores`` and ``gpus``, where given, are kept.
        parallel: runs at once, at the most; None: a run for each GPU, without any a run for each node.

    Returns:
        The cores and the GPUs of each run.

    Raises:
        SweepError: if not even one run has room.
    """
    gpus = plan.gpus if plan.gpus is not None else int(any(node.get("GPU", 0) >= 1 for node in nodes))
    able = [node for node in nodes if node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= gpus]
    cores = plan.cores or min((_part(node, gpus, parallel, len(able)) for node in able), default=1)
    if not room(nodes, cores, gpus):
        found = "; ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
        raise SweepError(
            f"No machine has room for a run with cores = {cores} and gpus = {gpus}. Cores and GPUs found: {found}. "
            "Ask for less, or leave both out."
        )
    return cores, gpus


def _part(node, gpus, parallel, nodes):
    """Return the cores of a run, so many that the node's runs take all of them."""
    at_once = node["GPU"] // gpus if gpus else math.ceil((parallel or 1) / nodes)
    return max(1, int(node["CPU"] // at_once))


def room(nodes, cores, gpus, parallel=None):
    """Return how many runs with so many cores and GPUs fit on the nodes at once, ``parallel`` at the most."""
    fitting = 0
    for node in nodes:
        by_cores, by_gpus = node.get("CPU", 0) // cores, node.get("GPU", 0) // gpus if gpus else math.inf
        fitting += int(min(by_cores, by_gpus))
    return fitting if parallel is None else min(fitting, parallel)
