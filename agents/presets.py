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
    episode_steps: int | None = None
    """Control steps after which an episode of the training is cut; None: the task's own end."""


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
G_PENDULUM, G_DOUBLE = "genesis-mujoco/InvertedPendulum-v5", "genesis-mujoco/InvertedDoublePendulum-v5"
G_REACHER, G_PUSHER = "genesis-mujoco/Reacher-v5", "genesis-mujoco/Pusher-v5"
G_SWIMMER, G_CHEETAH = "genesis-mujoco/Swimmer-v5", "genesis-mujoco/HalfCheetah-v5"
G_HOPPER, G_WALKER, G_ANT = "genesis-mujoco/Hopper-v5", "genesis-mujoco/Walker2d-v5", "genesis-mujoco/Ant-v5"
G_HUMANOID, G_STANDUP = "genesis-mujoco/Humanoid-v5", "genesis-mujoco/HumanoidStandup-v5"
SOFT_LIFT, SOFT_LIFT_MINI = "genesis/SoftLift-v0", "genesis/SoftLift-mini-v0"
FLUID_MOVE, FLUID_MOVE_MINI = "genesis/FluidMove-v0", "genesis/FluidMove-mini-v0"

_PUBLISHED = (HOPPER, WALKER, CHEETAH, ANT, HUMANOID)
_NO_JUMP = (G_PENDULUM, G_DOUBLE, G_REACHER, G_SWIMMER, G_CHEETAH)
"""Of Gymnasium's tasks those in which nothing touches, or contacts begin at zero in the model itself."""
_JUMPS = (G_PUSHER, G_HOPPER, G_WALKER, G_ANT, G_HUMANOID, G_STANDUP, BLOCK_PUSH)
_FROM_SLOPES = ("bptt", "shac", "ahac", "sapo", "trajopt-adam")
"""Agents that see nothing of a return but its slope."""


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
_STROKES = {"window": 256, "gamma": 0.9995, "lam": 0.99, "critic_learning_rate": 3e-4}
"""A stroke of the Swimmer takes a second or more: with windows of 128 steps and gamma 0.99 or 0.998 it stays at 48."""
_MUJOCO_TASKS: dict[str, tuple[int, int, dict[str, Any]]] = {
    G_PENDULUM: (64, _steps(60, 64), _SMALL),
    G_DOUBLE: (64, _steps(800, 64, 8), _SMALL | _SHORT),
    G_REACHER: (64, _steps(250, 64, 25), _SMALL | {"window": 25}),
    G_PUSHER: (128, _steps(1250, 128, 8), _MUJOCO_NETS | _SHORT),
    G_SWIMMER: (64, _steps(100, 64, 256), _SMALL | _STROKES),
    G_HOPPER: (128, _steps(150, 128), _MUJOCO_NETS | _LONG),
    G_WALKER: (128, _steps(200, 128), _MUJOCO_NETS | _LONG),
    G_CHEETAH: (128, _steps(1500, 128, 8), _MUJOCO_NETS | _SHORT),
    G_ANT: (128, _steps(1250, 128, 8), _MUJOCO_NETS | _SHORT),
    G_HUMANOID: (128, _steps(1250, 128, 16), _LARGE | {"window": 16}),
    G_STANDUP: (128, _steps(1250, 128, 16), _LARGE | {"window": 16}),
}
"""Of SHAC in Gymnasium's tasks: environments, steps and what is beside `_MUJOCO`. Measured in Hopper, Walker2d and
HalfCheetah (docs/decisions.md, 46) and in Ant (docs/benchmarks.md), in the others not at all."""
_MUJOCO_SHAC = {env: Preset(n, steps, _MUJOCO | hyper) for env, (n, steps, hyper) in _MUJOCO_TASKS.items()}
_LASTING = {"exploration_correlation": 0.5}
_IVW: dict[str, tuple[int, dict[str, Any], int | None]] = {
    G_HOPPER: (_steps(300, 128), _LASTING, None),
    G_WALKER: (_steps(600, 128), {}, None),
    G_CHEETAH: (_steps(6000, 128, 8), {}, 100),
    G_ANT: (_steps(2000, 128, 8), {}, None),
    G_HUMANOID: (_steps(500, 128), _LONG | _LASTING, None),
}
"""Of IVW, where it differs from SHAC: steps, hyper-parameters, the training's episodes (docs/decisions.md, 63, 68)."""
_MUJOCO_IVW = _MUJOCO_SHAC | {
    env: Preset(_MUJOCO_SHAC[env].num_envs, steps, dict(_MUJOCO_SHAC[env].hyper) | hyper, episode_steps)
    for env, (steps, hyper, episode_steps) in _IVW.items()
}
_MUJOCO_SAPO = {env: Preset(n, steps, _BOUND | hyper) for env, (n, steps, hyper) in _MUJOCO_TASKS.items()}
"""The same batches, windows and nets; not measured."""


def _adaptive(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """The same for AHAC, whose windows begin at SHAC's, may double, and may shrink to a quarter."""
    window, rest = hyper.get("window", 32), {name: value for name, value in hyper.items() if name != "window"}
    return rest | {"first_window": window, "min_window": max(4, window // 4), "max_window": 2 * window}


_MUJOCO_AHAC = {
    env: Preset(n, steps, _BOUND | {"critic_learning_rate": 1e-3} | _adaptive(hyper))
    for env, (n, steps, hyper) in _MUJOCO_TASKS.items()
}
"""AHAC measures how the adjoint grows; MuJoCo's model has no stiffness for `contact_limit`. Not measured."""
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
_ROLL = _BOUND | {
    "window": 50,
    "gamma": 0.997,
    "critic_passes": 4,
    "initial_log_std": 0.0,
    "exploration_correlation": 0.95,
}
_ROLLS = {ROLLING: Preset(16, 800_000, _SMALL | _ROLL), ROLLING_MINI: Preset(16, 400_000, _SMALL | _ROLL)}
"""Of SHAC, measured in RollingFlat-mini (docs/decisions.md, 63)."""
_POUR = {
    env: Preset(16, steps, _SMALL | _BOUND | {"exploration_correlation": 0.9})
    for env, steps in ((FLUID_MOVE, 120_000), (FLUID_MOVE_MINI, 60_000))
}
"""Of SHAC, measured in FluidMove-mini (docs/decisions.md, 63)."""
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
    **dict.fromkeys((G_PENDULUM, G_DOUBLE), Preset(64, _steps(500, 64), {"window": 64})),
    G_REACHER: Preset(64, _steps(300, 64, 50), {"window": 50}),
    **dict.fromkeys(
        (G_HOPPER, G_WALKER), Preset(64, _steps(500, 64, 128), {"window": 128, "learning_rate": 2e-3} | _NET)
    ),
    **dict.fromkeys(
        (G_PUSHER, G_SWIMMER, G_CHEETAH, G_ANT),
        Preset(64, _steps(2000, 64), {"window": 32, "learning_rate": 2e-3} | _NET),
    ),
    **dict.fromkeys(
        (G_HUMANOID, G_STANDUP),
        Preset(64, _steps(2000, 64), {"window": 32, "learning_rate": 2e-3, "hidden": (256, 128)}),
    ),
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
_BATCH = {"window": 64, "minibatches": 8, "initial_log_std": -0.5}
"""With 128 environments 8,192 steps an update."""
_PPO |= {
    G_PENDULUM: Preset(32, 500_000, _BATCH),
    G_DOUBLE: Preset(32, 2_000_000, _BATCH),
    G_REACHER: Preset(64, 3_000_000, _BATCH | {"window": 50}),
    G_PUSHER: Preset(128, 8_000_000, _BATCH | {"window": 50, "hidden": (128, 64)}),
    G_SWIMMER: Preset(64, 4_000_000, _BATCH | {"gamma": 0.9995, "lam": 0.99}),
    **dict.fromkeys((G_HOPPER, G_WALKER), Preset(128, 10_000_000, _BATCH | {"hidden": (128, 64)})),
    **dict.fromkeys((G_CHEETAH, G_ANT), Preset(128, 20_000_000, _BATCH | {"hidden": (128, 64)})),
    **dict.fromkeys((G_HUMANOID, G_STANDUP), Preset(128, 30_000_000, _BATCH | {"hidden": (256, 128)})),
}
"""Of Gymnasium's tasks: ours; chosen, not searched."""
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
_OFTEN = {"window": 2, "gradient_steps": 16, "batch_size": 256, "learning_rate": 3e-4, "alpha_learning_rate": 1e-3}
"""With 16 environments an update for every two steps: far more often than in the published configurations for GPUs."""
_OFTEN_SMALL = _OFTEN | {"hidden": (64, 64), "learning_rate": 1e-3, "warmup_steps": 2048}
_OFTEN_LARGE = _OFTEN | {"hidden": (256, 256), "warmup_steps": 10_000}
_SAC |= {
    G_PENDULUM: Preset(16, 100_000, _OFTEN_SMALL),
    G_DOUBLE: Preset(16, 200_000, _OFTEN_SMALL),
    G_REACHER: Preset(16, 300_000, _OFTEN_SMALL),
    G_SWIMMER: Preset(16, 1_000_000, _OFTEN_SMALL | {"gamma": 0.9995}),
    G_CHEETAH: Preset(
        128, 8_000_000, _OFTEN_LARGE | {"learning_rate": 1e-3, "policy_delay": 2, "target_entropy": -6.0}
    ),
    **dict.fromkeys((G_PUSHER, G_HOPPER, G_WALKER, G_ANT), Preset(16, 1_000_000, _OFTEN_LARGE)),
    **dict.fromkeys((G_HUMANOID, G_STANDUP), Preset(16, 2_000_000, _OFTEN_LARGE | {"memory_megabytes": 256})),
}
"""Of Gymnasium's tasks: steps of the field's comparisons; ours, chosen, not searched. But HalfCheetah's: an update for
every sixteen steps, and the entropy of the papers, -1 per action (docs/decisions.md, 72, 73)."""
_TRAJOPT = {
    CARTPOLE: Preset(16, 200 * 16 * 240),  # 200 iterations of Adam
    PENDULUM: Preset(16, 200 * 16 * 200),
    QUADROTOR: Preset(16, 200 * 16 * 300),
    **dict.fromkeys((SOFT_PUSH, BLOCK_PUSH), Preset(16, 200 * 16 * 75)),
    **{env: Preset(16, 200 * 16 * length) for env, (_, _, length) in _SOFT.items()},
    **dict.fromkeys(_PUBLISHED, Preset(16, 200 * 16 * 100, {"horizon": 100})),  # a tenth of an episode
    **dict.fromkeys(_MUJOCO_TASKS, Preset(16, 200 * 16 * 100, {"horizon": 100})),
    G_REACHER: Preset(16, 200 * 16 * 50),
}


def _soft(hyper: Mapping[str, Any], more: int = 1) -> dict[str, Preset]:
    """Presets of the tasks of soft and liquid matter, with `more` times as many steps."""
    return {env: Preset(num_envs, more * steps, hyper) for env, (num_envs, steps, _) in _SOFT.items()}


def _family(table: Mapping[str, Mapping[str, Any]]) -> dict[str, Preset]:
    return {env: Preset(*_BATCHES[env], hyper) for env, hyper in table.items()}


PRESETS: dict[str, dict[str, Preset]] = {
    "shac": _family(_SHAC)
    | _soft(_SMALL)
    | _LIFT
    | _ROLLS
    | _POUR
    | {SOFT_PUSH: _PUSH, BLOCK_PUSH: _PUSH_RIGID}
    | _MUJOCO_SHAC,
    "ahac": _family(_AHAC)
    | _soft(_SMALL)
    | {SOFT_PUSH: Preset(16, 80_000, _SMALL | {"first_window": 25})}
    | {BLOCK_PUSH: replace(_PUSH_RIGID, hyper=_adaptive(_PUSH_RIGID.hyper))}
    | _MUJOCO_AHAC,
    "sapo": _family(_SAPO) | _soft(_SMALL) | {SOFT_PUSH: _PUSH, BLOCK_PUSH: _PUSH_RIGID} | _MUJOCO_SAPO,
    "ivw": _family(_SHAC)
    | _soft(_SMALL | _GENTLE)
    | {SOFT_PUSH: Preset(16, 80_000, _SMALL | {"window": 25} | _GENTLE), BLOCK_PUSH: _PUSH_RIGID}
    | _MUJOCO_IVW,
    "bptt": _BPTT | _soft({"window": 32}),
    "ppo": _PPO | _soft({"window": 50}, more=4),
    "sac": _SAC | _soft({}),
    "trajopt-adam": _TRAJOPT,
    "trajopt-cem": {env: replace(preset, num_envs=64) for env, preset in _TRAJOPT.items()},
}
"""Agent to environment to preset."""


def agent(env: str) -> str:
    """The agent that trains if nobody names one: IVW where its preset was measured beside SHAC's, else SHAC."""
    return "ivw" if env in _IVW else "shac"


def contact(env: str, agent: str) -> str | None:
    """The contact model to train with where the task has several, else None.

    MuJoCo's own, or one without its jumps for agents to whom a jump is nothing (docs/decisions.md, 46 and 60).
    """
    if env in _JUMPS:
        return "smoothed" if agent in _FROM_SLOPES else "mujoco"
    return "mujoco" if env in _NO_JUMP else None


def find(env: str, agent: str) -> Preset | None:
    """The preset of an agent in an environment, if there is one."""
    return PRESETS.get(agent, {}).get(env)


def missing(env: str, agent: str) -> GenesisKeyError:
    """The error that says what to give where there is no preset."""
    known = sorted(PRESETS.get(agent, {})) or "none"
    return GenesisKeyError(
        f"A preset must exist for {agent!r} in {env!r} unless --num-envs and --total-steps are given, got neither. "
        f"Give both (and --hyper.* where the defaults do not fit), or choose an environment with a preset: {known}."
    )
