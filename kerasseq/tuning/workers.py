"""Where trials run: in this process, or as tasks of a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from kerasseq.errors import UserError
from kerasseq.tuning.search import Proposal
from kerasseq.tuning.trials import Job, Outcome, run_trial

RETRIES = 3
"""How often Ray begins a trial again whose worker died."""


class Workers(Protocol):
    """Run trials."""

    slots: int
    """How many at once."""

    def start(self, proposal: Proposal) -> None:
        """Begins a trial."""

    def wait(self) -> tuple[str, Outcome]:
        """The number of a trial that has ended, and how."""

    def close(self) -> None:
        """Stops what still runs."""


class Here:
    """One trial at a time, in this process."""

    slots = 1

    def __init__(self, job: Job):
        self._job = job

    def start(self, proposal: Proposal) -> None:
        self._next = proposal

    def wait(self) -> tuple[str, Outcome]:
        return self._next.number, run_trial(self._job, self._next.number, self._next.changes)

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
            raise UserError("--workers and --ray-address need: pip install 'kerasseq[cluster]'") \
                from None  # fmt: skip
        self._ray = ray
        self.slots = options.workers
        threads = job.prepared.plan.threads
        started = {} if options.address else {"num_cpus": threads * options.workers}
        try:
            ray.init(
                address=options.address or None,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                **started,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(f"Ray: {str(error).splitlines()[0]}") from None
        there = ray.cluster_resources()
        for name, needed in {"CPU": threads, "GPU": options.gpus}.items():
            if there.get(name, 0) < needed:
                ray.shutdown()
                raise UserError(
                    f"a trial needs {needed:g} {name}s, and the cluster has {there.get(name, 0):g}"
                )
        self._job = ray.put(job)
        self._run = ray.remote(
            num_cpus=threads, num_gpus=options.gpus, max_retries=RETRIES, max_calls=0
        )(run_trial)
        self._numbers: dict[Any, str] = {}

    def start(self, proposal: Proposal) -> None:
        task = self._run.remote(self._job, proposal.number, proposal.changes)
        self._numbers[task] = proposal.number

    def wait(self) -> tuple[str, Outcome]:
        (done,), _ = self._ray.wait(list(self._numbers), num_returns=1)
        number = self._numbers.pop(done)
        try:
            return number, self._ray.get(done)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise UserError(f"trial {number}: {error.cause}") from None
            raise
        except self._ray.exceptions.WorkerCrashedError:
            reason = f"its worker died {RETRIES + 1} times; was there too little memory?"
            return number, Outcome("failed", reason=reason)

    def close(self) -> None:
        for task in self._numbers:
            self._ray.cancel(task, force=True)
        self._ray.shutdown()


def make_workers(job: Job, cluster: ClusterOptions | None) -> Workers:
    """Workers of the kind that is asked for."""
    return Here(job) if cluster is None else OnRay(job, cluster)
