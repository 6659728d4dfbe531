"""A robot on a plane in Newton's featherstone solver: forward, and the gradient of a window on a Warp tape.

    PEER/bin/python scripts/peers/newton_rigid.py --xml genesis/loaders/robots/ant.xml --strength 200

Contacts are found once a control step, with buffers of their own on the tape, and their forces evaluated in every
substep. Rows come with the solver's default settings and, marked so, with its option `use_tile_gemm`, which is off by
default and several times faster here. For robots with a free root and every other joint driven. Contact numbers are
absolute in this solver: choose them for the robot's mass. Needs `newton` and `warp-lang`. The last line is JSON.
"""

import time

import newton
import numpy as np
import rigid_common
import warp as wp


@wp.kernel
def sum_of_squares(joint_q: wp.array[float], loss: wp.array[float]):
    """The loss of the window."""
    wp.atomic_add(loss, 0, joint_q[wp.tid()] * joint_q[wp.tid()])


def load(args) -> newton.Model:
    """The robots of all environments over one plane, each at its start."""
    robot = newton.ModelBuilder()
    robot.add_mjcf(args.xml, enable_self_collisions=False, parse_sites=False, collapse_fixed_joints=True)
    if args.qpos:
        x, y, z, qw, qx, qy, qz, *angles = args.qpos
        robot.joint_q[:] = [x, y, z, qx, qy, qz, qw, *angles]
    builder = newton.ModelBuilder()
    builder.replicate(robot, args.n_envs)
    builder.add_ground_plane()
    for name in ("ke", "kd", "kf", "mu"):
        values = getattr(builder, f"shape_material_{name}")
        values[:] = [getattr(args, name)] * len(values)
    return builder.finalize(requires_grad=True)


class Window:
    """Control steps in a row: states, controls and contacts of all of them, allocated once."""

    def __init__(self, model: newton.Model, args, requires_grad: bool, tile: bool):
        self.model, self.args = model, args
        self.solver = newton.solvers.SolverFeatherstone(model, use_tile_gemm=tile)
        pipeline = newton.CollisionPipeline(model, broad_phase="explicit", requires_grad=False)
        kept = args.steps if requires_grad else 1
        n_states = args.steps * args.substeps + 1 if requires_grad else 2
        self.collide = pipeline.collide
        self.states = [model.state(requires_grad=requires_grad) for _ in range(n_states)]
        self.controls = [model.control(requires_grad=requires_grad) for _ in range(kept)]
        self.contacts = [pipeline.contacts() for _ in range(kept)]

    def start(self, joint_q: np.ndarray, joint_qd: np.ndarray) -> None:
        """Put the first state."""
        first = self.states[0]
        first.joint_q.assign(joint_q)
        first.joint_qd.assign(joint_qd)
        newton.eval_fk(self.model, first.joint_q, first.joint_qd, first)

    def roll(self, torques: np.ndarray) -> newton.State:
        """The state after all control steps; `torques` is (T, D of all environments), N m."""
        k, count, substep_dt = 0, len(self.states), self.args.dt / self.args.substeps
        for t, torque in enumerate(torques):
            control = self.controls[t % len(self.controls)]
            contacts = self.contacts[t % len(self.contacts)]
            control.joint_f.assign(torque)
            self.collide(self.states[k], contacts)
            for _ in range(self.args.substeps):
                following = (k + 1) % count
                self.solver.step(self.states[k], self.states[following], control, contacts, substep_dt)
                k = following
        return self.states[k]

    def forward(self, torques: np.ndarray) -> float:
        """Seconds of a window from the state that was put."""
        begin = time.perf_counter()
        self.roll(torques).joint_q.numpy()
        return time.perf_counter() - begin

    def forward_backward(self, torques: np.ndarray) -> tuple[float, float]:
        """Seconds of a window with the gradient to its torques, and that gradient's norm."""
        loss = wp.zeros(1, dtype=float, requires_grad=True)
        begin = time.perf_counter()
        with wp.Tape() as tape:
            last = self.roll(torques)
            wp.launch(sum_of_squares, dim=self.model.joint_coord_count, inputs=[last.joint_q], outputs=[loss])
        tape.backward(loss)
        slope = np.concatenate([control.joint_f.grad.numpy() for control in self.controls])
        seconds = time.perf_counter() - begin
        tape.zero()
        return seconds, float(np.linalg.norm(slope))


def random_torques(model: newton.Model, args, steps: int, seed: int) -> np.ndarray:
    """Uniform in plus and minus `--strength` on every joint but the free root: (T, D of all environments), N m."""
    shape = (steps, args.n_envs, model.joint_dof_count // args.n_envs)
    torques = np.random.default_rng(seed).uniform(-args.strength, args.strength, shape)
    torques[..., :6] = 0.0
    return torques.reshape(steps, -1).astype(np.float32)


def measure(model: newton.Model, args, start: tuple[np.ndarray, np.ndarray], tile: bool) -> tuple[list[dict], list]:
    """The rows of one setting of the solver, and the norms of the gradients seen."""
    suffix, work, norms = ", tile GEMM" if tile else "", args.n_envs * args.steps, []

    def forward(seed: int) -> float:
        plain.start(*start)
        return plain.forward(random_torques(model, args, args.steps, seed))

    def forward_backward(seed: int) -> float:
        taped.start(*start)
        seconds, norm = taped.forward_backward(random_torques(model, args, args.steps, seed))
        norms.append(norm)
        return seconds

    plain, taped = Window(model, args, False, tile), Window(model, args, True, tile)
    rows = [
        rigid_common.timed("forward" + suffix, forward, work, args.repetitions),
        rigid_common.timed("forward+backward" + suffix, forward_backward, work, args.repetitions),
    ]
    return rows, norms


def main() -> None:
    """Run and print JSON."""
    arguments = rigid_common.parser(__doc__, substeps=16, steps=4)
    arguments.set_defaults(repetitions=3)
    arguments.add_argument("--strength", type=float, default=200.0, help="largest random torque of a joint, N m")
    arguments.add_argument("--ke", type=float, default=4e4, help="contact stiffness, N/m")
    arguments.add_argument("--kd", type=float, default=1e3, help="contact damping, N s/m")
    arguments.add_argument("--kf", type=float, default=3e3, help="friction slope, N s/m")
    arguments.add_argument("--mu", type=float, default=0.75, help="friction coefficient")
    args = arguments.parse_args()
    wp.config.quiet = True
    wp.init()
    model = load(args)
    settling = Window(model, args, requires_grad=False, tile=True)
    settling.start(model.joint_q.numpy(), model.joint_qd.numpy())
    end = settling.roll(random_torques(model, args, args.settle, 1000))
    start = (end.joint_q.numpy(), end.joint_qd.numpy())
    contacts = int(settling.contacts[0].rigid_contact_count.numpy()[0]) / args.n_envs
    rows, norms = measure(model, args, start, tile=False)
    tile_rows, tile_norms = measure(model, args, start, tile=True)
    rigid_common.finish(
        f"newton {newton.__version__} featherstone, warp {wp.__version__}",
        args,
        rows + tile_rows,
        {
            "contacts": contacts,
            "finite": bool(np.isfinite(start[0]).all()),
            "gradient_norms": norms + tile_norms,
        },
    )


if __name__ == "__main__":
    main()
