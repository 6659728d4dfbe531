"""Exports a trained policy for use without this toolkit: `python -m scripts.export --checkpoint runs/...`."""

import copy
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import nn

import genesis as gs
from agents.core import checkpoint
from genesis.errors import GenesisRuntimeError, GenesisValueError, optional_import
from genesis.render.files import check_target
from scripts import common

TOLERANCE = 1e-4
"""Largest difference of an exported action from the agent's, in half action ranges; files compute in float32."""
OPSET = 17


@dataclass(frozen=True)
class ExportConfig:
    """Writes the deterministic policy with its normaliser folded in: observations as the environment gives them go in,
    actions come out, (B, O) and (B, A) in float32. Checks that each file agrees with the agent."""

    checkpoint: Path
    """A checkpoint file, or the folder of a run (its newest checkpoint)."""
    output: Path | None = None
    """Folder of policy.pt and policy.onnx; None: `export` in the run's folder, or export/NAME for NAME.pt in no run."""
    torchscript: bool = True
    """Write policy.pt, which `torch.jit.load` reads, from C++ as well."""
    onnx: bool = True
    """Write policy.onnx (extra `onnx`)."""
    samples: int = 1000
    """Random observations on which files and agent are compared."""
    json: bool = False
    """Print one JSON object instead of lines."""


class FoldedPolicy(nn.Module):
    """Observation to action: normaliser, then policy."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, agent: Any):
        """Copies both out of the agent, in float32.

        Raises:
            GenesisValueError: The agent has no policy: it plays a sequence.
        """
        super().__init__()
        if not isinstance(getattr(agent, "policy", None), nn.Module):
            raise GenesisValueError(
                f"The agent must have a policy, got {agent.name}, which plays a fixed sequence. Export another agent; "
                'the sequence is in the checkpoint, under ["agent_state"]["best"]["knots"].'
            )
        self.register_buffer("mean", agent.normaliser.mean.to("cpu", torch.float32, copy=True))
        self.register_buffer("scale", agent.normaliser.scale.to("cpu", torch.float32, copy=True))
        self.clip: float = agent.normaliser.clip
        self.policy = copy.deepcopy(agent.policy).to("cpu", torch.float32).requires_grad_(False).eval()

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """Actions (B, A) for observations (B, O)."""
        outcome = self.policy(torch.clamp((observation - self.mean) * self.scale, -self.clip, self.clip))
        return outcome[0] if isinstance(outcome, tuple) else outcome


def run(config: ExportConfig) -> dict[str, Any]:
    """Writes and compares.

    Returns:
        checkpoint, env, agent, observation_size, action_size, observation_parts, and files: path and largest difference
        (in half action ranges) of each.

    Raises:
        gs.GenesisException: Nothing to write, a missing package, an agent without a policy, or a file that disagrees.
    """
    if not (config.torchscript or config.onnx):
        raise GenesisValueError("torchscript or onnx must be asked for, got neither. Leave one of the --no-... out.")
    if config.samples < 1:
        raise GenesisValueError(f"samples must be at least 1, got {config.samples}.")
    runtime: Any = _onnx_runtime() if config.onnx else None  # before anything is written
    saved = checkpoint.load(config.checkpoint)
    common.check_names(saved["env"], saved["agent"])
    if not gs.is_initialized():
        gs.init(precision=saved["precision"], logging_level="warning")
    env = common.evaluation_env(saved["env"], 1)
    agent = common.restored_agent(saved, env)
    env.close()
    folded = FoldedPolicy(agent)
    about = {name: saved[name] for name in ("env", "agent", "observation_size", "action_size", "genesis_version")}
    about["observation_parts"] = agent.layout.parts
    observation = _observations(agent, config.samples)
    wanted = agent.act(observation).to("cpu", torch.float32)
    half_range = 0.5 * (agent.high - agent.low).to("cpu", torch.float32)
    folder = config.output or _folder(config.checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    check_target("output", folder / "policy.pt", (".pt",))
    files = {}
    inputs = observation.to("cpu", torch.float32)  # the same numbers, so that no flag of a point is on another side
    if config.torchscript:
        path = folder / "policy.pt"
        write_torchscript(folded, path, about)
        module = read_torchscript(path)
        files[str(path)] = _compared(path, lambda x: module(x), inputs, wanted, half_range)
    if config.onnx:
        path = folder / "policy.onnx"
        write_onnx(folded, path, about)
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answer = lambda x: torch.from_numpy(session.run(None, {"observation": x.numpy()})[0])  # noqa: E731
        files[str(path)] = _compared(path, answer, inputs, wanted, half_range)
    return {"checkpoint": str(config.checkpoint), **about, "files": files}


def write_torchscript(policy: FoldedPolicy, path: Path, about: dict[str, Any]) -> None:
    """Traces and freezes; `about` goes into the file as about.json."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers torch.export, which C++ cannot load alone
        traced: Any = torch.jit.trace(policy, torch.zeros(2, len(policy.mean), dtype=policy.mean.dtype))
        torch.jit.save(
            torch.jit.freeze(traced.eval()), str(path), _extra_files={"about.json": json.dumps(about).encode()}
        )


def read_torchscript(path: Path) -> Any:
    """The module in a file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.load(str(path))


def write_onnx(policy: FoldedPolicy, path: Path, about: dict[str, Any]) -> None:
    """Writes the graph, with a batch of any size; `about` goes into its metadata."""
    import onnx

    with warnings.catch_warnings():
        # torch's newer exporter needs onnxscript, a third package, and writes the same graph of a dozen nodes
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            policy,
            (torch.zeros(2, len(policy.mean), dtype=policy.mean.dtype),),
            str(path),
            input_names=["observation"],
            output_names=["action"],
            dynamic_axes={"observation": {0: "batch"}, "action": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {name: str(value) for name, value in about.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def main() -> int:
    """Entry point of `genesis-export`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(ExportConfig, prog=common.program())
    torch.set_num_threads(1)
    result = run(config)
    if config.json:
        print(json.dumps(result))
        return 0
    print(f"{result['env']}, {result['agent']}: {result['observation_size']} numbers in, {result['action_size']} out")
    for path, difference in result["files"].items():
        print(f"{path}: differs from the agent by at most {difference:.1e} half action ranges")
    return 0


def _onnx_runtime() -> Any:
    with optional_import("onnx and onnxruntime", "onnx", "to write ONNX", instead="leave that file out: --no-onnx"):
        import onnx  # noqa: F401
        import onnxruntime
    return onnxruntime


def _observations(agent: Any, samples: int) -> torch.Tensor:
    """Random observations, spread three times as wide as those of the training: the clipping is met, too."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(samples, agent.observation_size, generator=generator, dtype=torch.float64)
    deviation = agent.normaliser.live_variance.cpu().sqrt()
    return (agent.normaliser.live_mean.cpu() + 3.0 * deviation * noise).to(torch.float32).to(agent.low)


def _compared(
    path: Path,
    answer: Callable[[torch.Tensor], torch.Tensor],
    observation: torch.Tensor,
    wanted: torch.Tensor,
    half_range: torch.Tensor,
) -> float:
    """Largest difference of a file's actions from the agent's, in a batch and one by one.

    Raises:
        GenesisRuntimeError: It is beyond the tolerance, or not finite.
    """
    batch = answer(observation)
    single = torch.cat([answer(row[None]) for row in observation[:10]])
    differences = torch.cat([(batch - wanted) / half_range, (single - wanted[:10]) / half_range]).abs()
    largest = float(np.nan_to_num(differences.max().item(), nan=np.inf))
    if not largest <= TOLERANCE:
        raise GenesisRuntimeError(
            f"{path} must agree with the agent to {TOLERANCE} half action ranges, got a difference of {largest:.3g}. "
            "Do not use the file; report the agent and torch's version."
        )
    return largest


def _folder(path: Path) -> Path:
    """`export` in the run's folder; for a checkpoint outside of one, `export/NAME` in the working directory."""
    if path.is_dir():
        return path / "export"
    run = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    return run / "export" if (run / "config.json").is_file() else Path("export") / path.stem


if __name__ == "__main__":
    sys.exit(main())
