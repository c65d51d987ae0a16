"""What a user would pick instead: the strategies of the guides, each by stock diffusers' own calls.

A strategy that cannot run on a machine raises there, and its row carries what it raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from bench.job import CellJob
from bench.peers import computing, placement, staged
from bench.peers.parts import Strategy, dtype
from bench.recorder import CellResult, Recorder

STRATEGIES: Mapping[str, Strategy] = {
    strategy.name: strategy for strategy in chain(placement.STRATEGIES, staged.STRATEGIES, computing.STRATEGIES)
}


def run(job: CellJob) -> CellResult:
    """Make the job's pictures with the strategy that it names. Raises whatever stands in the strategy's way."""
    recorder = Recorder(job)
    STRATEGIES[job.strategy].function(job, recorder)
    return CellResult((recorder.result(),), details={"dtype": str(dtype(job)).removeprefix("torch.")})
