"""How each agent is trained in each environment: batch, steps and hyper-parameters that differ from the defaults.

From the papers where they have the task (marked with the paper's name), else ours. A hyper-parameter that is not named
here is the default of the agent's configuration.

    SHAC  Xu et al., ICLR 2022, and its published configurations: epochs x environments x 32 steps.
    AHAC  Georgiev et al., ICML 2024: its learning rates, with SHAC's batch and nets (theirs are for a GPU) and a
        faster critic for Ant.
    SAPO  Xing et al., ICLR 2025, AntRun, with SHAC's batch and nets in the other tasks.
    PPO, SAC  the baselines in SHAC's published configurations: environments, epochs and nets; SAC's steps and both of
        CartPoleSwingUp are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from genesis.errors import GenesisKeyError


@dataclass(frozen=True)
class Preset:
    """What a training is, besides environment, agent and seed."""

    num_envs: int
    """Environments in the batch."""
    total_steps: int
    """Environment steps, summed over the batch; schedules end there."""
    hyper: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the agent's configuration that differ from its defaults."""


def _steps(epochs: int, num_envs: int, window: int = 32) -> int:
    return epochs * num_envs * window


_SMALL = {"hidden": (64, 64), "critic_hidden": (64, 64)}
_LARGE = {"hidden": (256, 128), "critic_hidden": (128, 128)}
_CARTPOLE = _SMALL | {"actor_learning_rate": 1e-2, "critic_learning_rate": 1e-3}
_HUMANOID = _LARGE | {"critic_learning_rate": 5e-4}
_SLOW_TARGET = {"target_decay": 0.995}

CARTPOLE, PENDULUM = "genesis/CartPoleSwingUp-v0", "genesis/Pendulum-v0"
HOPPER, WALKER, CHEETAH = "genesis/Hopper-v0", "genesis/Walker2d-v0", "genesis/HalfCheetah-v0"
ANT, HUMANOID = "genesis/Ant-v0", "genesis/Humanoid-v0"
QUADROTOR, SOFT_PUSH, BLOCK_PUSH = "genesis/Quadrotor-v0", "genesis/SoftPush-v0", "genesis/BlockPush-v0"
ROLLING, ROLLING_MINI = "genesis/RollingFlat-v0", "genesis/RollingFlat-mini-v0"
CRAWLER, CRAWLER_MINI = "genesis/Crawler-v0", "genesis/Crawler-mini-v0"
SOFT_LIFT, SOFT_LIFT_MINI = "genesis/SoftLift-v0", "genesis/SoftLift-mini-v0"
FLUID_MOVE, FLUID_MOVE_MINI = "genesis/FluidMove-v0", "genesis/FluidMove-mini-v0"
MUJOCO_ANT, MUJOCO_REACHER = "genesis-mujoco/Ant-v5", "genesis-mujoco/Reacher-v5"
ALIKE = {
    "genesis-mujoco/InvertedPendulum-v5": CARTPOLE,
    "genesis-mujoco/InvertedDoublePendulum-v5": CARTPOLE,
    MUJOCO_REACHER: PENDULUM,
    "genesis-mujoco/Pusher-v5": ANT,
    "genesis-mujoco/Swimmer-v5": CHEETAH,
    "genesis-mujoco/Hopper-v5": HOPPER,
    "genesis-mujoco/Walker2d-v5": WALKER,
    "genesis-mujoco/HalfCheetah-v5": CHEETAH,
    MUJOCO_ANT: ANT,
    "genesis-mujoco/Humanoid-v5": HUMANOID,
    "genesis-mujoco/HumanoidStandup-v5": HUMANOID,
}
"""Gymnasium's tasks, and the task of this project whose preset they take over where they have none of their own."""

_PUBLISHED = (HOPPER, WALKER, CHEETAH, ANT, HUMANOID)
_NO_JUMP = ("InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Swimmer", "HalfCheetah")
"""Of Gymnasium's tasks those in which nothing touches, or contacts begin at zero in the model itself."""
CONTACT: dict[str, str] = (
    dict.fromkeys(_PUBLISHED, "reference")
    | dict.fromkeys((*ALIKE, BLOCK_PUSH), "smoothed")
    | {f"genesis-mujoco/{name}-v5": "mujoco" for name in _NO_JUMP}
)
"""Environment to the contact preset to train with, where it is not the task's default: that of the papers, to which
their hyper-parameters and returns belong; of Gymnasium's tasks that without jumps (docs/benchmarks.md)."""

_STRICT: dict[str, dict[str, Any]] = {agent: {"window": 16} for agent in ("shac", "sapo", "ivw")}
"""Agent to what differs from its preset where contact is "strict": stiffer limits let gradients live for less long."""

_BATCHES = {
    CARTPOLE: (64, _steps(700, 64)),  # SHAC: 500 epochs
    PENDULUM: (64, _steps(300, 64)),
    HOPPER: (256, _steps(2000, 256)),  # SHAC
    WALKER: (256, _steps(2000, 256)),
    CHEETAH: (64, _steps(2000, 64)),  # SHAC
    ANT: (64, _steps(2000, 64)),  # SHAC
    HUMANOID: (64, _steps(2000, 64)),  # SHAC
    QUADROTOR: (64, _steps(500, 64)),
}
"""Environment to its number of environments and steps, for SHAC and those that come from it."""

_SHAC = {
    CARTPOLE: _CARTPOLE,  # SHAC
    PENDULUM: _CARTPOLE,
    HOPPER: {"critic_learning_rate": 2e-4},  # SHAC
    WALKER: {"critic_learning_rate": 2e-4},
    CHEETAH: {},  # SHAC
    ANT: {},  # SHAC
    HUMANOID: _HUMANOID | _SLOW_TARGET,  # SHAC
    QUADROTOR: _SMALL,
}
_AHAC = {
    CARTPOLE: _CARTPOLE,
    PENDULUM: _CARTPOLE,
    HOPPER: {},  # AHAC: rates 2e-3 and 5e-4
    WALKER: {},
    CHEETAH: {},
    ANT: {"critic_learning_rate": 1e-3},
    HUMANOID: _LARGE,  # AHAC
    QUADROTOR: _SMALL,
}
_SAPO = {
    CARTPOLE: _CARTPOLE | {"actor_learning_rate": 5e-3},
    PENDULUM: _CARTPOLE | {"actor_learning_rate": 5e-3},
    HOPPER: {},
    WALKER: {},
    CHEETAH: {},
    ANT: {},  # SAPO
    HUMANOID: _LARGE,
    QUADROTOR: _SMALL,
}
_BOUND = {"cotangent_limit": 4.0}
_MUJOCO = _BOUND | {"critic_learning_rate": 1e-3, "critic_passes": 8, "target_decay": 0.4}
_MUJOCO_NETS = {"hidden": (128, 64), "critic_hidden": (128, 64)}
_LONG, _SHORT = {"window": 32, "gamma": 0.995}, {"window": 8}
"""Control steps of Hopper and Walker2d are of 8 ms, those of Ant and HalfCheetah of 50: gradients live for few."""
_MUJOCO_TASKS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "genesis-mujoco/InvertedPendulum-v5": (64, _steps(60, 64), _SMALL),
    "genesis-mujoco/InvertedDoublePendulum-v5": (64, _steps(75, 64), _SMALL),
    MUJOCO_REACHER: (64, _steps(250, 64, 25), _SMALL | {"window": 25}),
    "genesis-mujoco/Pusher-v5": (128, _steps(1250, 128, 8), _MUJOCO_NETS | _SHORT),
    "genesis-mujoco/Swimmer-v5": (64, _steps(200, 64), _SMALL | {"gamma": 0.998}),
    "genesis-mujoco/Hopper-v5": (128, _steps(150, 128), _MUJOCO_NETS | _LONG),
    "genesis-mujoco/Walker2d-v5": (128, _steps(200, 128), _MUJOCO_NETS | _LONG),
    "genesis-mujoco/HalfCheetah-v5": (128, _steps(1500, 128, 8), _MUJOCO_NETS | _SHORT),
    MUJOCO_ANT: (128, _steps(1250, 128, 8), _MUJOCO_NETS | _SHORT),
    "genesis-mujoco/Humanoid-v5": (128, _steps(1250, 128, 16), _LARGE | {"window": 16}),
    "genesis-mujoco/HumanoidStandup-v5": (128, _steps(1250, 128, 16), _LARGE | {"window": 16}),
}
"""Of SHAC in Gymnasium's tasks: environments, steps and what is beside `_MUJOCO`. Measured in Hopper, Walker2d and
HalfCheetah (docs/decisions.md, 46) and in Ant (docs/benchmarks.md), in the others not at all."""
_MUJOCO_SHAC = {env: Preset(n, steps, _MUJOCO | hyper) for env, (n, steps, hyper) in _MUJOCO_TASKS.items()}
_MUJOCO_SAPO = {env: Preset(n, steps, _BOUND | hyper) for env, (n, steps, hyper) in _MUJOCO_TASKS.items()}
"""The same batches, windows and nets; not measured."""
_NET = {"hidden": (128, 64, 32)}
_GENTLE = {"actor_learning_rate": 1e-3, "critic_learning_rate": 5e-4}
_PUSH = Preset(16, 80_000, _SMALL | {"window": 25})
_PUSH_RIGID = Preset(64, 2_000_000, _SMALL | {"window": 25})
_SOFT: dict[str, tuple[int, int, int]] = {
    ROLLING: (16, 500_000, 300),
    ROLLING_MINI: (16, 100_000, 150),
    CRAWLER: (16, 500_000, 150),
    CRAWLER_MINI: (64, 500_000, 100),
    SOFT_LIFT: (16, 500_000, 150),
    SOFT_LIFT_MINI: (16, 60_000, 150),
    FLUID_MOVE: (16, 200_000, 150),
    FLUID_MOVE_MINI: (16, 200_000, 100),
}
"""Tasks of soft and liquid matter to environments, steps and an episode's length. Ours; chosen, not searched."""
_LIFT = {
    env: Preset(*_SOFT[env][:2], _SMALL | _BOUND | {"actor_learning_rate": 5e-4}) for env in (SOFT_LIFT, SOFT_LIFT_MINI)
}
"""Of SHAC, measured in SoftLift-mini: without bound and at the default rate it learns, and forgets it again."""
_BPTT = {
    CARTPOLE: Preset(64, _steps(500, 64), {"window": 64}),
    PENDULUM: Preset(64, _steps(300, 64, 200), {"window": 200}),
    HOPPER: Preset(64, _steps(500, 64, 128), {"window": 128, "learning_rate": 2e-3} | _NET),  # SHAC's
    WALKER: Preset(64, _steps(500, 64, 128), {"window": 128, "learning_rate": 2e-3} | _NET),
    CHEETAH: Preset(64, _steps(500, 64, 128), {"window": 128, "learning_rate": 2e-3} | _NET),  # SHAC's
    ANT: Preset(64, _steps(2000, 64), {"window": 32, "learning_rate": 2e-3} | _NET),
    HUMANOID: Preset(64, _steps(2000, 64), {"window": 32, "learning_rate": 2e-3, "hidden": (256, 128)}),
    QUADROTOR: Preset(64, _steps(500, 64, 50), {"window": 50, "learning_rate": 2e-3}),
    SOFT_PUSH: Preset(16, 80_000),
    BLOCK_PUSH: Preset(64, 2_000_000),
}
_PPO = {
    CARTPOLE: Preset(64, 1_000_000, {"window": 60, "minibatches": 8, "initial_log_std": -0.5, "target_kl": 0.01}),
    PENDULUM: Preset(32, _steps(500, 32, 200), {"window": 200}),
    HOPPER: Preset(1024, _steps(5000, 1024), _NET),
    WALKER: Preset(1024, _steps(5000, 1024), _NET),
    CHEETAH: Preset(1024, _steps(5000, 1024), _NET),
    ANT: Preset(2048, _steps(5000, 2048), _NET),
    HUMANOID: Preset(1024, _steps(5000, 1024), {"hidden": (256, 128)}),
    QUADROTOR: Preset(64, _steps(2000, 64)),
    SOFT_PUSH: Preset(16, 400_000, {"window": 75}),
    BLOCK_PUSH: Preset(64, 4_000_000, {"window": 75}),
}
_SAC = {
    CARTPOLE: Preset(
        16,
        150_000,
        {
            "window": 4,
            "gradient_steps": 16,
            "batch_size": 256,
            "hidden": (64, 64),
            "learning_rate": 1e-3,
            "warmup_steps": 2048,
        },
    ),
    PENDULUM: Preset(32, 500_000),
    HOPPER: Preset(64, 10_000_000),
    WALKER: Preset(64, 10_000_000),
    CHEETAH: Preset(64, 10_000_000),
    ANT: Preset(128, 20_000_000),
    HUMANOID: Preset(64, 20_000_000, {"hidden": (256, 128), "learning_rate": 3e-4, "alpha_learning_rate": 2e-4}),
    QUADROTOR: Preset(32, 1_000_000),
    SOFT_PUSH: Preset(16, 200_000),
    BLOCK_PUSH: Preset(64, 1_000_000),
}
_TRAJOPT = {
    CARTPOLE: Preset(16, 200 * 16 * 240),  # 200 iterations of Adam
    PENDULUM: Preset(16, 200 * 16 * 200),
    QUADROTOR: Preset(16, 200 * 16 * 300),
    **dict.fromkeys((SOFT_PUSH, BLOCK_PUSH), Preset(16, 200 * 16 * 75)),
    **{env: Preset(16, 200 * 16 * length) for env, (_, _, length) in _SOFT.items()},
    **dict.fromkeys(_PUBLISHED, Preset(16, 200 * 16 * 100, {"horizon": 100})),  # a tenth of an episode
    **dict.fromkeys(ALIKE.keys() - {MUJOCO_REACHER}, Preset(16, 200 * 16 * 100, {"horizon": 100})),
    MUJOCO_REACHER: Preset(16, 200 * 16 * 50),
}


def _soft(hyper: Mapping[str, Any], more: int = 1) -> dict[str, Preset]:
    """Presets of the tasks of soft and liquid matter, with `more` times as many steps."""
    return {env: Preset(num_envs, more * steps, hyper) for env, (num_envs, steps, _) in _SOFT.items()}


def _family(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Preset]:
    return {env: Preset(*_BATCHES[env], hyper) for env, hyper in table.items()}


PRESETS: dict[str, dict[str, Preset]] = {
    "shac": _family(_SHAC) | _soft(_SMALL) | _LIFT | {SOFT_PUSH: _PUSH, BLOCK_PUSH: _PUSH_RIGID} | _MUJOCO_SHAC,
    "ahac": _family(_AHAC) | _soft(_SMALL) | {SOFT_PUSH: Preset(16, 80_000, _SMALL | {"first_window": 25})},
    "sapo": _family(_SAPO) | _soft(_SMALL) | {SOFT_PUSH: _PUSH, BLOCK_PUSH: _PUSH_RIGID} | _MUJOCO_SAPO,
    "ivw": _family(_SHAC)
    | _soft(_SMALL | _GENTLE)
    | {SOFT_PUSH: Preset(16, 80_000, _SMALL | {"window": 25} | _GENTLE), BLOCK_PUSH: _PUSH_RIGID}
    | _MUJOCO_SHAC,
    "bptt": _BPTT | _soft({"window": 32}),
    "ppo": _PPO | _soft({"window": 50}, more=4),
    "sac": _SAC | _soft({}),
    "trajopt-adam": _TRAJOPT,
    "trajopt-cem": {env: replace(preset, num_envs=64) for env, preset in _TRAJOPT.items()},
}
"""Agent to environment to preset."""

WITHOUT_CONTACTS = {("ahac", env) for env in (*ALIKE, BLOCK_PUSH)}
"""Agents that measure contacts, in tasks whose contact model does not give them: they have no preset."""
for _agent, _table in PRESETS.items():
    for _env, _other in ALIKE.items():
        if (_agent, _env) not in WITHOUT_CONTACTS:
            _table.setdefault(_env, _table[_other])  # measured in that other task alone


def find(env: str, agent: str, contact: str | None = None) -> Preset | None:
    """The preset of an agent in an environment, if there is one; `contact` is the environment's, if it has any."""
    preset = PRESETS.get(agent, {}).get(env)
    if preset is None or contact != "strict" or env not in CONTACT:
        return preset
    return replace(preset, hyper={**preset.hyper, **_STRICT.get(agent, {})})


def missing(env: str, agent: str) -> GenesisKeyError:
    """The error that says what to give where there is no preset."""
    known = sorted(PRESETS.get(agent, {})) or "none"
    return GenesisKeyError(
        f"A preset must exist for {agent!r} in {env!r} unless --num-envs and --total-steps are given, got neither. "
        f"Give both (and --hyper.* where the defaults do not fit), or choose an environment with a preset: {known}."
    )
