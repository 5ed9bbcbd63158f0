"""Where trials run: in this process, or as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kerasseq.config import replace
from kerasseq.errors import UserError
from kerasseq.installing import install_extra
from kerasseq.training.devices import hide_gpus, usable_cores
from kerasseq.training.trainer import InterruptedRunError
from kerasseq.tuning.search import Proposal
from kerasseq.tuning.trials import Job, Outcome, Trainee, run_trial

GRACE = 20
"""Seconds that trials have to write a checkpoint when a sweep is stopped."""

RETRIES = 3
"""How often Ray begins a trial again whose worker died."""


class Workers(Protocol):
    """Run trials."""

    slots: int
    """How many at once."""
    job: Job
    """What all of them have in common, as they are run here."""

    def start(self, proposal: Proposal, trainees: Sequence[Trainee]) -> None:
        """Begins a trial.

        Args:
            proposal: the trial.
            trainees: see :func:`kerasseq.tuning.trials.run_trial`.
        """

    def wait(self, stop: threading.Event) -> tuple[str, Outcome]:
        """The number of a trial that has ended, and how.

        Raises:
            KeyboardInterrupt: if it is told to stop meanwhile.
        """

    def close(self) -> None:
        """Stops what still runs."""


class Here:
    """One trial at a time, in this process."""

    slots = 1

    def __init__(self, job: Job):
        self.job = job

    def start(self, proposal: Proposal, trainees: Sequence[Trainee]) -> None:
        self._next = proposal, trainees

    def wait(self, stop: threading.Event) -> tuple[str, Outcome]:
        (number, changes), trainees = self._next
        return number, run_trial(self.job, trainees, number, changes)

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class ClusterOptions:
    """How to use Ray.

    Attributes:
        workers: trials at once.
        address: of a cluster that is there already; a local one is started without.
        gpus: that each trial takes, which may be a part of one.
    """

    workers: int
    address: str = ""
    gpus: float = 0.0


class OnRay:
    """Trials as tasks of Ray, which places them and begins those again whose worker died.

    A trial that is begun again continues from its run's last checkpoint. On several machines the
    sweep's folder must be one that all of them see.

    Raises:
        UserError: if Ray is not installed, or the cluster cannot be reached or has too little.
    """

    def __init__(self, job: Job, options: ClusterOptions):
        try:
            import ray
        except ImportError:
            command = install_extra("cluster")
            raise UserError(f"--workers and --ray-address need: {command}") from None
        self._ray = ray
        self.slots = options.workers
        wanted = job.settings.device.threads
        here = wanted or max(1, usable_cores() // options.workers)
        started = {} if options.address else {"num_cpus": here * options.workers}
        if options.address:
            _check_reached(options.address)
        try:
            with _deaf_to_sigterm():
                ray.init(
                    address=options.address or None,
                    include_dashboard=False,
                    log_to_driver=False,
                    configure_logging=False,
                    **started,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"Ray: {str(error).splitlines()[0]}") from None
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cores = max(node.get("CPU", 0) for node in nodes)
        if options.address and not wanted:
            total = sum(node.get("CPU", 0) for node in nodes)
            here = int(max(1, min(cores, total // options.workers)))
        for name, needed in {"CPU": here, "GPU": options.gpus}.items():
            largest = max(node.get(name, 0) for node in nodes)
            if largest < needed:
                ray.shutdown()
                raise UserError(
                    f"a trial needs {needed:g} {name}s, and no machine has more than {largest:g}"
                )
        # what a trial may use is what Ray gives it
        changes = {"device.threads": here, "device.strategy": "one_device", "device.replicas": 0}
        settings = replace(job.settings, changes)
        self.job = job._replace(settings=settings, started=uuid.uuid4().hex)
        self._shared: dict[int, Any] = {}
        # a process that has had a GPU keeps its memory: Ray then starts one for every trial
        again = {} if options.gpus else {"max_calls": 0}
        self._run = ray.remote(num_cpus=here, num_gpus=options.gpus, max_retries=RETRIES, **again)(
            _run_on_ray
        )
        self._gpus = options.gpus
        self._tasks: dict[Any, tuple[Proposal, Sequence[Trainee]]] = {}

    def start(self, proposal: Proposal, trainees: Sequence[Trainee]) -> None:
        if id(trainees) not in self._shared:  # kept by the subject, so that its id stays its own
            self._shared[id(trainees)] = self._ray.put(list(trainees))
        task = self._run.remote(
            self.job, self._shared[id(trainees)], proposal.number, proposal.changes, self._gpus
        )
        self._tasks[task] = proposal, trainees

    def wait(self, stop: threading.Event) -> tuple[str, Outcome]:
        while True:
            ended: list[Any] = []
            while not ended:
                if stop.is_set():
                    raise KeyboardInterrupt
                ended, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=0.2)
            (done,) = ended
            proposal, trainees = self._tasks.pop(done)
            try:
                return proposal.number, self._ray.get(done)
            except self._ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, InterruptedRunError):  # its machine was told to stop
                    if stop.wait(1):  # all of them are
                        raise KeyboardInterrupt from None
                    self.start(proposal, trainees)
                    continue
                if isinstance(error.cause, UserError):
                    raise UserError(f"trial {proposal.number}: {error.cause}") from None
                raise
            except self._ray.exceptions.RayError as error:
                reason = f"its worker died {RETRIES + 1} times ({type(error).__name__})"
                return proposal.number, Outcome("failed", reason=reason)

    def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:  # an interrupt: a trial writes a checkpoint
            self._ray.cancel(task)
        if tasks:
            _, tasks = self._ray.wait(tasks, num_returns=len(tasks), timeout=GRACE)
        for task in tasks:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()


@contextlib.contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    """Processes that are started meanwhile do not hear SIGTERM: a scheduler sends it to all of a
    job, and Ray's would be gone before the trials are stopped, and take this process with them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_reached(address: str) -> None:
    """Ray itself tries for minutes, and then ends the process.

    Raises:
        UserError: if nothing listens at a ``HOST:PORT``.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise UserError(f"Ray: no cluster answers at {address}: {error}") from None


def _run_on_ray(
    job: Job, trainees: Sequence[Trainee], number: str, changes: dict[str, Any], gpus: float
) -> Outcome:
    """:func:`run_trial` in a worker of Ray's, which has the GPUs that Ray gave it and no others."""
    if not gpus:
        hide_gpus()
    return run_trial(job, trainees, number, changes)


def make_workers(job: Job, cluster: ClusterOptions | None) -> Workers:
    """Workers of the kind that is asked for."""
    return Here(job) if cluster is None else OnRay(job, cluster)
