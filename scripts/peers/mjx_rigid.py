"""A robot on a plane in MJX on JAX: forward, and the gradient of a window to its actions, jitted, environments vmapped.

    PEER/bin/python scripts/peers/mjx_rigid.py --xml genesis/loaders/robots/ant.xml

A control step is `--substeps` steps of `mjx.step` with the Euler integrator. The constraint solver takes one iteration
with a few of its line search: reverse differentiation goes through no other number, and it is the fastest setting.
Joint damping is explicit (`eulerdamp` off), as is usual with one iteration, which is unstable on the ant otherwise.
`--remat` keeps one state a control step and recomputes the rest, as one does when memory is short. Needs `mujoco-mjx`
and `jax`. The last line of the output is JSON.
"""

import time
from collections.abc import Callable
from importlib.metadata import version

import jax
import jax.numpy as jnp
import mujoco
import rigid_common
from mujoco import mjx


def load(args) -> tuple[mjx.Model, mjx.Data, int]:
    """The model, the start state of one environment, the number of actuators."""
    model, data = rigid_common.mujoco_model(args)
    model.opt.iterations, model.opt.ls_iterations = 1, args.ls_iterations
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    return mjx.put_model(model), mjx.put_data(model, data), model.nu


def rollout(model: mjx.Model, args) -> Callable[[mjx.Data, jax.Array], mjx.Data]:
    """`roll(data, actions (T, B, nu))`: the data of all environments after T control steps."""

    def control_step(data: mjx.Data, actions: jax.Array) -> tuple[mjx.Data, None]:
        data = data.replace(ctrl=actions)
        step = jax.vmap(mjx.step, in_axes=(None, 0))
        return jax.lax.scan(lambda d, _: (step(model, d), None), data, None, length=args.substeps)[0], None

    body = jax.checkpoint(control_step) if args.remat else control_step
    return lambda data, actions: jax.lax.scan(body, data, actions)[0]


def main() -> None:
    """Run and print JSON."""
    arguments = rigid_common.parser(__doc__, substeps=4, steps=32)
    arguments.add_argument("--ls-iterations", type=int, default=4)
    arguments.add_argument("--remat", action="store_true", help="keep one state a control step, recompute the rest")
    args = arguments.parse_args()
    model, start, n_actuators = load(args)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf] * args.n_envs), start)
    roll = rollout(model, args)

    def actions(steps: int, seed: int) -> jax.Array:
        key = jax.random.PRNGKey(seed)
        return jax.random.uniform(key, (steps, args.n_envs, n_actuators), minval=-1.0, maxval=1.0)

    def loss(controls: jax.Array, data: mjx.Data) -> jax.Array:
        return jnp.sum(roll(data, controls).qpos ** 2)

    forward, gradient = jax.jit(loss), jax.jit(jax.value_and_grad(loss))
    settled = jax.jit(roll)(batch, actions(args.settle, 1000))
    finite = bool(jnp.isfinite(settled.qpos).all())
    norms = []

    def run_forward(seed: int) -> float:
        controls = actions(args.steps, seed).block_until_ready()
        begin = time.perf_counter()
        forward(controls, settled).block_until_ready()
        return time.perf_counter() - begin

    def run_gradient(seed: int) -> float:
        controls = actions(args.steps, seed).block_until_ready()
        begin = time.perf_counter()
        _, slope = gradient(controls, settled)
        slope.block_until_ready()
        seconds = time.perf_counter() - begin
        norms.append(float(jnp.linalg.norm(slope)))
        return seconds

    work = args.n_envs * args.steps
    rows = [
        rigid_common.timed("forward", run_forward, work, args.repetitions),
        rigid_common.timed("forward+backward", run_gradient, work, args.repetitions),
    ]
    engine = f"mujoco-mjx {version('mujoco-mjx')}, jax {jax.__version__}"
    rigid_common.finish(engine, args, rows, {"finite": finite, "gradient_norms": norms})


if __name__ == "__main__":
    main()
