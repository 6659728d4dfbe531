"""Which tasks exist, under which Gymnasium ids."""

import gymnasium

ENV_IDS: list[str] = []


def register_task(env_id: str, module: str, task: str, max_episode_steps: int) -> None:
    """Registers a task for `gymnasium.make` and `gymnasium.make_vec`.

    Args:
        env_id: "genesis/Name-v0".
        module: The module of the task, which also has its single env under the task's name with "Env" behind it.
        task: Name of the `DifferentiableVectorEnv` class in that module.
        max_episode_steps: Control steps until an episode is truncated.
    """
    gymnasium.register(
        env_id,
        entry_point=f"{module}:{task}Env",
        vector_entry_point=f"{module}:{task}",
        max_episode_steps=max_episode_steps,
    )
    if env_id not in ENV_IDS:
        ENV_IDS.append(env_id)


register_task("genesis/SoftPush-v0", "envs.manipulation.soft_push", "SoftPush", max_episode_steps=75)
register_task("genesis/BlockPush-v0", "envs.manipulation.block_push", "BlockPush", max_episode_steps=75)
register_task(
    "genesis/CartPoleSwingUp-v0", "envs.locomotion.cartpole_swing_up", "CartPoleSwingUp", max_episode_steps=240
)
register_task("genesis/Pendulum-v0", "envs.locomotion.pendulum", "Pendulum", max_episode_steps=200)
register_task("genesis/Hopper-v0", "envs.locomotion.hopper", "Hopper", max_episode_steps=1000)
register_task("genesis/HalfCheetah-v0", "envs.locomotion.half_cheetah", "HalfCheetah", max_episode_steps=1000)
register_task("genesis/Walker2d-v0", "envs.locomotion.walker2d", "Walker2d", max_episode_steps=1000)
register_task("genesis/Ant-v0", "envs.locomotion.ant", "Ant", max_episode_steps=1000)
register_task("genesis/Humanoid-v0", "envs.locomotion.humanoid", "Humanoid", max_episode_steps=1000)
register_task("genesis/Quadrotor-v0", "envs.locomotion.quadrotor", "Quadrotor", max_episode_steps=300)
for _mini, _rolled, _crawled, _moved in (("", 300, 150, 150), ("-mini", 150, 100, 100)):
    _suffix = _mini[1:].title()
    register_task(f"genesis/SoftLift{_mini}-v0", "envs.manipulation.soft_lift", f"SoftLift{_suffix}", 150)
    register_task(f"genesis/FluidMove{_mini}-v0", "envs.manipulation.fluid_move", f"FluidMove{_suffix}", _moved)
    register_task(f"genesis/RollingFlat{_mini}-v0", "envs.manipulation.rolling_flat", f"RollingFlat{_suffix}", _rolled)
    register_task(f"genesis/Crawler{_mini}-v0", "envs.locomotion.crawler", f"Crawler{_suffix}", _crawled)
for _name, _module, _steps in (
    ("InvertedPendulum", "inverted_pendulum", 1000),
    ("InvertedDoublePendulum", "inverted_double_pendulum", 1000),
    ("Reacher", "reacher", 50),
    ("Pusher", "pusher", 100),
    ("Swimmer", "swimmer", 1000),
    ("Hopper", "hopper", 1000),
    ("Walker2d", "walker2d", 1000),
    ("HalfCheetah", "half_cheetah", 1000),
    ("Ant", "ant", 1000),
    ("Humanoid", "humanoid", 1000),
    ("HumanoidStandup", "humanoid", 1000),
):
    register_task(f"genesis-mujoco/{_name}-v5", f"envs.mujoco.{_module}", f"{_name}V5", max_episode_steps=_steps)
