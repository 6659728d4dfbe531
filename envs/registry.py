"""Which tasks exist, under which Gymnasium ids."""

import gymnasium

ENV_IDS: list[str] = []


def register_task(env_id: str, module: str, task: str, max_episode_steps: int) -> None:
    """Registers a task for `gymnasium.make` and `gymnasium.make_vec`.

    Args:
        env_id: "genesis/Name-v0".
        module: The module of the task, which also has its single face under the task's name with "Env" behind it.
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
