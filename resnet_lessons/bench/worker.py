"""One contender's process: builds it, warms it up, and times updates whenever the benchmark asks.

``python -m resnet_lessons.bench.worker CONTENDER SETTINGS``, both JSON. On standard input a line with a number asks for
so many updates; on standard output a line of JSON answers. When standard input ends, so does the process, at once and
whatever it is doing: no worker outlives the benchmark that started it.
"""

import importlib
import json
import os
import queue
import sys
import threading
import traceback

from resnet_lessons import machine

from .contenders import Contender, Settings, Turns


def main(contender, settings):
    """Run one contender until standard input ends."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not get between the answers
    requests = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()

    def answer(report):
        os.write(answers, json.dumps(report | {"peak_bytes": machine.peak_memory()}).encode() + b"\n")

    if contender.first:
        os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)  # the benchmark's own process may have set it for itself
        importlib.import_module(contender.first)
    module, _, function = contender.entry.partition(":")
    train = getattr(importlib.import_module(module), function)
    train(contender, settings, Turns(requests.get, answer, settings))


def _listen(requests):
    # os.read, not sys.stdin: a thread that waits inside a buffered file would block the interpreter's own end.
    text = b""
    while chunk := os.read(0, 1024):
        *lines, text = (text + chunk).split(b"\n")
        for line in lines:
            requests.put(int(line))
    os._exit(0)


if __name__ == "__main__":
    try:
        main(Contender(**json.loads(sys.argv[1])), Settings.from_json(sys.argv[2]))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # without waiting for a framework's threads
    print(f"{sys.argv[1]} came to an end by itself.", file=sys.stderr, flush=True)
    os._exit(1)
