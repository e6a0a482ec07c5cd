"""What `ichscope providers` says of a choice."""

from __future__ import annotations

from collections.abc import Sequence

from ichscope.models.autotuning import SelfTest, Trial


def verdict_lines(names: Sequence[str], self_test: SelfTest) -> list[str]:
    """Say what was found for models that share one encoder: machine, choice with its reason, and every trial."""
    machine = self_test.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return [
        f"{' and '.join(names)}: {self_test.label}, {self_test.micro_batch} slices at a time; {self_test.reason}",
        f"  tried on {self_test.tested_at[:10]} on {machine['processor']}, {machine['cores']} cores; {versions}",
        *(f"  {trial.label:<16}{_measured(trial)}" for trial in self_test.trials),
    ]


def _measured(trial: Trial) -> str:
    rate = f"{trial.rate:.0f} slices/s" if trial.rate is not None else ""
    off = f"off by {trial.difference:.4f} at most" if trial.difference is not None and trial.choice != "cpu" else ""
    return ", ".join(part for part in (rate, off, f"not used: {trial.problem}" if trial.problem else "") if part)
