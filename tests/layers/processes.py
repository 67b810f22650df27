"""Real processes that run one function together, started once for many cases."""

import multiprocessing
import pickle
import sys
import traceback
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist

TO_START = 300  # seconds, to import torch on a busy machine
TO_ANSWER = 120  # after which something hangs
TO_COMMUNICATE = 60


class Processes:
    """`size` processes in one gloo group, each with one thread."""

    def __init__(self, size, rendezvous):
        # On Linux they are forked from one that has made the slow imports, and none of them has to make them again.
        context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        context.set_forkserver_preload(["bnlab.layers", "torch._dynamo"])
        self._pipes, self._running = [], []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(rank, size, str(rendezvous), there), daemon=True)
            process.start()
            self._pipes.append(here)
            self._running.append(process)
        self._answers(TO_START)

    def call(self, function, *shared, each):
        """What `function(*shared, own)` returns in each process, with its own one of `each`."""
        assert self._running, "an earlier call hung"
        for pipe, own in zip(self._pipes, each, strict=True):
            pipe.send_bytes(pickle.dumps((function, *shared, own)))
        return self._answers(TO_ANSWER)

    def stop(self):
        while self._running:
            process = self._running.pop()
            process.kill()
            process.join()

    def _answers(self, seconds):
        for rank, pipe in enumerate(self._pipes):
            if not pipe.poll(seconds):
                self.stop()  # what it might still answer would be taken for the next call's answer
                raise AssertionError(f"process {rank} hangs")
        answers = [pickle.loads(pipe.recv_bytes()) for pipe in self._pipes]
        for answer in answers:
            assert not isinstance(answer, Failure), answer.text
        return answers


class Failure(NamedTuple):
    """What went wrong in a process, as text: not every exception can be sent."""

    text: str


def _serve(rank, size, rendezvous, pipe):
    torch.set_num_threads(1)
    timeout = timedelta(seconds=TO_COMMUNICATE)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size, timeout=timeout)
    pipe.send_bytes(pickle.dumps("ready"))
    while True:
        try:
            function, *arguments = pickle.loads(pipe.recv_bytes())
            answer = function(*arguments)
        except Exception:
            answer = Failure(traceback.format_exc())
        pipe.send_bytes(pickle.dumps(answer))
