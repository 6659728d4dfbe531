"""The table of results: records of runs, interquartile means with bootstrap intervals, and Markdown.

Source: Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice" (NeurIPS 2021).
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genesis.errors import GenesisValueError
from scripts import common

RESAMPLES = 10_000
MINUTES = (0.5, 1, 2, 5, 10, 15, 25)
SHARES = (0.1, 0.25, 0.5, 1.0)
NONE = "–"
REFERENCE = "ahac"
"""The agent that the others' final returns are compared with, where it was run."""

Record = dict[str, Any]
FIELDS = {
    *("env", "agent", "seed", "contact", "commit", "command", "parallel", "steps", "training_seconds"),
    *("compile_seconds", "curve", "final", "time_to"),
}
"""What the table takes from every record."""


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Mean of the middle half: a quarter of the values, rounded down, is cut off at both ends."""
    ordered = np.sort(values, axis=axis)
    count = ordered.shape[axis]
    return np.take(ordered, range(count // 4, count - count // 4), axis=axis).mean(axis=axis)


def bootstrap_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the interquartile mean over runs, by resampling the runs with replacement (percentiles)."""
    generator = np.random.default_rng(seed)
    resampled = values[generator.integers(len(values), size=(RESAMPLES, len(values)))]
    low, high = np.percentile(interquartile_mean(resampled), [2.5, 97.5])
    return float(low), float(high)


def difference_interval(values: np.ndarray, others: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the interquartile mean of `values` minus that of `others`, by resampling the runs of both."""
    generator = np.random.default_rng(seed)
    one, other = (x[generator.integers(len(x), size=(RESAMPLES, len(x)))] for x in (values, others))
    low, high = np.percentile(interquartile_mean(one) - interquartile_mean(other), [2.5, 97.5])
    return float(low), float(high)


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """Difference of interquartile means with its interval, "+120 [-40, +310]"; none where either is a single run."""
    if not values or not others:
        return NONE
    one, other = np.array(values), np.array(others)
    middle = _signed(float(interquartile_mean(one) - interquartile_mean(other)))
    if min(len(one), len(other)) == 1:
        return middle
    low, high = difference_interval(one, other)
    return f"{middle} [{_signed(low)}, {_signed(high)}]"


def summary(values: Sequence[float | None]) -> str:
    """Interquartile mean with its interval, "1,234 [1,200, 1,260]"; a single run has no interval."""
    kept = np.array([value for value in values if value is not None and np.isfinite(value)])
    if len(kept) == 0:
        return NONE
    middle = _number(float(interquartile_mean(kept)))
    if len(kept) == 1:
        return middle
    low, high = bootstrap_interval(kept)
    return f"{middle} [{_number(low)}, {_number(high)}]"


def load(folder: Path) -> list[Record]:
    """All records in a folder, in the order of their names."""
    return [read(path) for path in sorted(folder.glob("*.json"))]


def read(path: Path) -> Record:
    """One record.

    Raises:
        GenesisValueError: The file holds something else.
    """
    try:
        record = json.loads(path.read_text())
    except ValueError:
        record = None
    missing = sorted(FIELDS - record.keys()) if isinstance(record, dict) else ["everything"]
    if missing or record is None:
        raise GenesisValueError(
            f"{path} must be the record of a run, got one without {', '.join(missing)}. Mend it, or delete it."
        )
    return record


def return_at(record: Record, axis: str, place: float) -> float | None:
    """The training return at a number of steps or seconds, the last one until then; None before the first episode.

    None, too, where the run was over long before: 5 % short of the place.
    """
    places = np.array(record["curve"][axis])
    until = np.flatnonzero(places <= place)
    ended = record["steps"] if axis == "steps" else record["training_seconds"]
    if len(until) == 0 or ended < 0.95 * place:
        return None
    return record["curve"]["return"][until[-1]]


def markdown(records: list[Record], expected_seeds: Sequence[int]) -> str:
    """The whole document."""
    lines = [
        "# Results",
        "",
        "Written by `python -m scripts.sweep` from the records in `results/` beside it; do not edit.",
        "",
        "Interquartile mean over seeds, with its 95 % bootstrap interval in brackets (Agarwal et al., 2021).",
        "*Final* is the deterministic policy on fresh episodes after training. *Minus ahac's* is the difference of",
        "these means, of runs as long as *training* says; its interval comes from resampling the seeds of both",
        "agents, and there is none where one of them has a single seed. Returns *at* steps and minutes are those of",
        "the training's own episodes, with exploration, and of cut ones where it cuts them (`--episode-steps`, or",
        "the preset's); a return counts as reached when the mean of ten of these reaches it, or a deterministic",
        "evaluation. Seconds are wall-clock of updates, without compilation,",
        "evaluations and checkpoints; those of agents marked * were measured beside other runs and are not",
        "comparable.",
        "",
        "Walking robots: the trained policies again at finer substeps and in MuJoCo (`python -m scripts.recheck`),",
        "over 16 fresh episodes; a cell has a value for each of the *re-checked seeds*, in their order, and a dash",
        "where the checkpoint was no longer at hand. Tasks in which nothing walks are not re-checked. *Change* is",
        "relative to the return at the training's substeps; *limits* is the largest excess over a joint's range,",
        "*penetration* the largest depth of a foot, *pulling* the part of the touching contact points whose force",
        "pulls. MuJoCo has contact and limits of its own; its *control* is how far both engines differ after the",
        "same actions without contact (bar 20 %). Where it failed, the change in MuJoCo is in parentheses: it says",
        "nothing about the policy.",
        "",
        "Gymnasium's tasks (`genesis-mujoco/...`): *in Gymnasium* is the same policy in Gymnasium's own environment,",
        "over as many episodes, and *kept there* the part of *final* that this is; *final* is on MuJoCo's own contact",
        "model, whatever the training's.",
        "",
        "Commands are those of their commits. `--contact` is no option of `genesis/...-v0` any more: what these",
        "runs were given is what the tasks have now. Leave it out.",
    ]
    for env, contact in sorted({(record["env"], record["contact"] or "") for record in records}):
        chosen = [r for r in records if r["env"] == env and (r["contact"] or "") == contact]
        lines += ["", f"## {env}" + (f", contact `{contact}`" if contact else ""), ""]
        lines += _section(chosen, expected_seeds)
    return "\n".join(lines) + "\n"


def _section(records: list[Record], expected_seeds: Sequence[int]) -> list[str]:
    by_agent = {name: [r for r in records if column(r) == name] for name in sorted({column(r) for r in records})}
    thresholds = sorted({name for record in records for name in record["time_to"]})
    steps = max(record["steps"] for record in records)
    minutes = [m for m in MINUTES if 60 * m <= 1.05 * max(record["training_seconds"] for record in records)]

    def row(name: str, cell: Callable[[list[Record]], str]) -> str:
        return " | ".join([f"| {name}", *(cell(chosen) for chosen in by_agent.values())]) + " |"

    names = [agent + ("*" if any(r["parallel"] > 1 for r in chosen) else "") for agent, chosen in by_agent.items()]
    lines = [" | ".join(["| ", *names]) + " |", "|---" + "|---:" * len(names) + "|"]
    lines.append(row("**final**", lambda rs: summary(_finals(rs))))
    if REFERENCE in by_agent and len(by_agent) > 1:
        others = _finals(by_agent[REFERENCE])
        lines.append(
            row(
                f"final, minus {REFERENCE}'s",
                lambda rs: NONE if rs is by_agent[REFERENCE] else difference(_finals(rs), others),
            )
        )
    if common.of_gymnasium(records[0]["env"]):
        lines.append(row("in Gymnasium", lambda rs: summary(_there(rs, "return_mean"))))
        lines.append(row("kept there, %", lambda rs: summary([100 * part for part in _there(rs, "kept")])))
    for name in thresholds:
        lines.append(row(f"to {name}", lambda rs, name=name: _times(rs, name)))
    for share in SHARES:
        place = share * steps
        lines.append(row(f"at {place:,.0f} steps", lambda rs, p=place: summary([return_at(r, "steps", p) for r in rs])))
    for m in minutes:
        lines.append(row(f"at {m:g} min", lambda rs, p=60 * m: summary([return_at(r, "seconds", p) for r in rs])))
    lines.append(row("training, s", lambda rs: summary([r["training_seconds"] for r in rs])))
    lines.append(row("of processors, s", lambda rs: summary([r.get("processor_seconds") for r in rs])))
    lines.append(row("compilation, s", lambda rs: summary([r["compile_seconds"] for r in rs])))
    lines.append(row("seeds", lambda rs: ", ".join(str(seed) for seed in sorted(r["seed"] for r in rs))))
    lines.append(row("missing seeds", lambda rs: _missing(rs, expected_seeds)))
    rechecked = any("recheck" in record for record in records)
    if rechecked or common.walks(records[0]["env"]):
        lines.append(row("re-checked seeds", lambda rs: _physics(rs, lambda r: str(r["seed"]), "not re-checked")))
    if rechecked:
        for name, cell in PHYSICS.items():
            lines.append(row(name, lambda rs, cell=cell: _physics(rs, lambda r: cell(r["recheck"]))))
    lines.append("")
    for agent, chosen in by_agent.items():
        machines = sorted({_machine(r) for r in chosen if "machine" in r})
        commits = ", ".join(sorted({f"{r['commit'][:10]}{'+changes' if '+' in r['commit'] else ''}" for r in chosen}))
        lines.append(
            f"- {agent}: `{chosen[0]['command']}` (and the other seeds); commit {commits}"
            + (f"; {', '.join(machines)}" if machines else "")
        )
    return lines


def column(record: Record) -> str:
    """Where a record stands in its table: its agent, and the variant of its training where it has a name."""
    return "-".join(filter(None, (record["agent"], record.get("variant"))))


def _machine(record: Record) -> str:
    return f"{record['machine']['cores']} cores of {record['machine']['processor']}"


def _finals(records: list[Record]) -> list[float]:
    return [record["final"]["return_mean"] for record in records if record["final"]]


def _there(records: list[Record], name: str) -> list[float]:
    """What a run's score in Gymnasium says, where there is one."""
    return [record["in_gymnasium"][name] for record in records if record.get("in_gymnasium")]


def _physics(records: list[Record], cell: Callable[[Record], str], none: str = NONE) -> str:
    """One cell for the policies of several seeds, with the value of each one that was re-checked."""
    return ", ".join(cell(r) for r in sorted(records, key=lambda r: r["seed"]) if "recheck" in r) or none


def _change(world: str) -> Callable[[dict[str, Any]], str]:
    def cell(recheck: dict[str, Any]) -> str:
        found = [row["change"] for row in recheck["rows"] if row["world"] == world]
        return f"{100 * found[0]:+.1f} %" if found else NONE

    return cell


def _transfer(recheck: dict[str, Any]) -> str:
    change = _change("MuJoCo")(recheck)
    failed = recheck["control"] is not None and not recheck["control"]["passed"]
    return f"({change})" if failed else change


def _control(recheck: dict[str, Any]) -> str:
    control = recheck["control"]
    if control is None:
        return NONE
    return f"{100 * control['deviation']:.1f} %" + ("" if control["passed"] else " (failed)")


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f} %"


PHYSICS: dict[str, Callable[[dict[str, Any]], str]] = {
    "change at 2x substeps": _change("2x"),
    "change at 4x substeps": _change("4x"),
    "change in MuJoCo": _transfer,
    "MuJoCo's control": _control,
    "limits, rad": lambda recheck: f"{recheck['rows'][0]['limit_excess']:.3f}",
    "penetration, of the body's size": lambda recheck: _share(recheck["rows"][0]["penetration_share"]),
    "pulling": lambda recheck: _share(recheck["rows"][0]["pulling_share"]),
}
"""Row of the table to what it says of a policy's re-check."""


def _times(records: list[Record], name: str) -> str:
    reached = [r["time_to"][name] for r in records if r["time_to"].get(name)]
    count = f"{len(reached)}/{len(records)}"
    if not reached:
        return f"{NONE} ({count})"
    seconds, steps = (np.median([place[key] for place in reached]) for key in ("seconds", "steps"))
    return f"{_number(seconds)} s, {steps:,.0f} steps ({count})"


def _missing(records: list[Record], expected_seeds: Sequence[int]) -> str:
    missing = sorted(set(expected_seeds) - {record["seed"] for record in records})
    return ", ".join(map(str, missing)) or "none"


def _signed(value: float) -> str:
    return f"{'+' if value >= 0 else ''}{_number(value)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"
