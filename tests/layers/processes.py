"""Real processes that run one function together, started once for many cases."""

import multiprocessing
import pickle
import traceback
from datetime import timedelta

import torch
import torch.distributed as dist

PATIENCE = 30  # seconds; what is not there by then hangs


class Processes:
    """`size` processes in one gloo group; `call` runs a function in each and returns what each returned."""

    def __init__(self, size, rendezvous):
        context = multiprocessing.get_context("spawn")
        self._pipes, self._running = [], []
        for rank in range(size):
            here, there = context.Pipe()
            process = context.Process(target=_serve, args=(rank, size, str(rendezvous), there), daemon=True)
            process.start()
            self._pipes.append(here)
            self._running.append(process)

    def call(self, function, *shared, each):
        """`function(*shared, own)` in each process, with its own one of `each`; an exception comes back as a value."""
        for pipe, own in zip(self._pipes, each, strict=True):
            pipe.send_bytes(pickle.dumps((function, *shared, own)))
        results = []
        for rank, pipe in enumerate(self._pipes):
            assert pipe.poll(PATIENCE), f"process {rank} hangs"
            results.append(pickle.loads(pipe.recv_bytes()))
        for result in results:
            assert not isinstance(result, Failure), result.text
        return results

    def stop(self):
        for process in self._running:
            process.kill()
            process.join()


class Failure(Exception):
    """What went wrong in a process, as text: not every exception can be sent."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text


def _serve(rank, size, rendezvous, pipe):
    torch.set_num_threads(1)
    timeout = timedelta(seconds=PATIENCE / 2)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=size, timeout=timeout)
    while True:
        function, *arguments = pickle.loads(pipe.recv_bytes())
        try:
            answer = function(*arguments)
        except Exception:
            answer = Failure(traceback.format_exc())
        pipe.send_bytes(pickle.dumps(answer))
