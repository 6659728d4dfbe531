"""A robot's control step in MJX on JAX with its forward-mode Jacobian by positions, velocities and controls.

    PEER/bin/python scripts/peers/mjx_jacobian.py --xml ant.xml

The file's own timestep and integrator; the constraint solver takes a fixed number of iterations, since Jacobians go
forward through them. Jitted, environments vmapped. Needs `mujoco-mjx` and `jax`. The last line of the output is JSON.
"""

import time
from importlib.metadata import version

import jax
import jax.numpy as jnp
import mujoco
import rigid_common
from mujoco import mjx


def main() -> None:
    """Run and print JSON."""
    arguments = rigid_common.parser(__doc__, substeps=5, steps=1)
    arguments.add_argument("--iterations", type=int, default=4, help="of the constraint solver")
    arguments.add_argument("--ls-iterations", type=int, default=8, help="of its line search")
    args = arguments.parse_args()
    model = mujoco.MjModel.from_xml_path(args.xml)
    model.opt.iterations, model.opt.ls_iterations, model.opt.tolerance = args.iterations, args.ls_iterations, 0.0
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    device, first = mjx.put_model(model), mjx.put_data(model, data)
    low, high = model.actuator_ctrlrange.T

    def step(numbers: jax.Array) -> jax.Array:
        qpos, qvel, ctrl = jnp.split(numbers, (model.nq, model.nq + model.nv))
        here = first.replace(qpos=qpos, qvel=qvel, ctrl=ctrl)
        after = jax.lax.scan(lambda d, _: (mjx.step(device, d), None), here, None, length=args.substeps)[0]
        return jnp.concatenate([after.qpos, after.qvel])

    def controls(seed: int) -> jax.Array:
        return jax.random.uniform(jax.random.PRNGKey(seed), (args.n_envs, model.nu), minval=low, maxval=high)

    roll = jax.jit(jax.vmap(step))
    state = jnp.tile(jnp.concatenate([first.qpos, first.qvel]), (args.n_envs, 1))
    for k in range(args.settle):
        state = roll(jnp.concatenate([state, controls(1000 + k)], 1))
    jacobian = jax.jit(jax.vmap(jax.jacfwd(step)))
    finite = []

    def run(seed: int) -> float:
        numbers = jnp.concatenate([state, controls(seed)], 1).block_until_ready()
        begin = time.perf_counter()
        found = jacobian(numbers).block_until_ready()
        seconds = time.perf_counter() - begin
        finite.append(bool(jnp.isfinite(found).all()))
        return seconds

    rows = [rigid_common.timed("forward-mode Jacobian", run, args.n_envs, args.repetitions)]
    engine = f"mujoco-mjx {version('mujoco-mjx')}, jax {jax.__version__}"
    rigid_common.finish(engine, args, rows, {"finite": all(finite)})


if __name__ == "__main__":
    main()
