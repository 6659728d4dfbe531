"""Random robots as MJCF text: every kind of joint, joint stacks, off-axis anchors, welded bodies, turned frames."""

import numpy as np


def random_tree(
    rng: np.random.Generator, n_bodies: int = 6, springs: bool = False, limits: bool = False, geoms: bool = False
) -> str:
    """MJCF text of one to three trees with `n_bodies` bodies in all.

    Bodies have an explicit inertia with turned principal axes. A root is free, fixed or jointed; other bodies have
    a ball, one to three hinges and slides, or no joint (they are then merged). Every joint has armature.

    Args:
        springs: with damping, stiffness and springref; else none of them.
        limits: with ranges of hinges and slides that hold the rest configuration.
        geoms: with one geom per body (sphere, capsule, box, cylinder or ellipsoid).
    """
    parents = [-1] + [int(rng.integers(-1, body)) if body > 2 else body - 1 for body in range(1, n_bodies)]
    children: dict[int, list[int]] = {body: [] for body in range(-1, n_bodies)}
    for body, parent in enumerate(parents):
        children[parent].append(body)
    label = iter(range(10 * n_bodies))

    def joint(kind: str) -> str:
        more = f'armature="{rng.uniform(0.01, 0.1):.6f}"'
        if springs:
            more += f' damping="{rng.uniform(0, 2):.6f}" stiffness="{rng.uniform(0, 20):.6f}"'
        if kind == "ball":
            return f'<joint name="j{next(label)}" type="ball" pos="{_vector(rng, 0.2)}" {more}/>'
        reference = rng.uniform(-0.5, 0.5)
        more += f' ref="{reference:.6f}"'
        if springs:
            more += f' springref="{rng.uniform(-0.5, 0.5):.6f}"'
        if limits:
            more += f' range="{reference - rng.uniform(0.1, 1):.6f} {reference + rng.uniform(0.1, 1):.6f}"'
        return f'<joint name="j{next(label)}" type="{kind}" axis="{_axis(rng)}" pos="{_vector(rng, 0.2)}" {more}/>'

    def joints(body: int) -> str:
        root = parents[body] == -1
        choice = rng.choice(["free", "fixed", "stack"]) if root else rng.choice(["ball", "weld", "stack", "stack"])
        if body == 0 and choice == "fixed":  # so that something moves
            choice = "stack"
        if choice == "free":
            return f'<freejoint name="j{next(label)}"/>'
        if choice in ("fixed", "weld"):
            return ""
        if choice == "ball":
            return ("" if rng.random() < 0.5 else joint("slide")) + joint("ball")
        return "".join(joint(str(rng.choice(["hinge", "slide"]))) for _ in range(int(rng.integers(1, 4))))

    def write(body: int) -> str:
        shape = _geom(rng, f"g{body}") if geoms else ""
        inside = "".join(write(child) for child in children[body])
        place = f'pos="{_vector(rng, 0.5)}" quat="{_quat(rng)}"'
        return f'<body name="b{body}" {place}>{joints(body)}{_inertial(rng)}{shape}{inside}</body>'

    bodies = "".join(write(root) for root in children[-1])
    return (
        '<mujoco model="tree"><compiler angle="radian" autolimits="true"/>'
        f'<option timestep="0.001"/><worldbody>{bodies}</worldbody></mujoco>'
    )


def random_configuration(rng: np.random.Generator, model) -> np.ndarray:
    """(Q,) away from rest, with unit quaternions; `model` is a RigidModel."""
    qpos = model.qpos0 + rng.uniform(-1, 1, model.n_qs)
    for joint in model.joints:
        if joint.kind in ("free", "ball"):
            begin = joint.q + (3 if joint.kind == "free" else 0)
            quat = rng.normal(size=4)
            qpos[begin : begin + 4] = quat / np.linalg.norm(quat)
    return qpos


def _vector(rng, scale):
    return " ".join(f"{value:.6f}" for value in rng.uniform(-scale, scale, 3))


def _axis(rng):
    return " ".join(f"{value:.6f}" for value in rng.normal(size=3))


def _quat(rng):
    quat = rng.normal(size=4)
    return " ".join(f"{value:.6f}" for value in quat / np.linalg.norm(quat))


def _inertial(rng):
    sides = rng.uniform(0.1, 0.4, 3)
    mass = rng.uniform(0.5, 3)
    moments = mass / 12 * (np.sum(sides**2) - sides**2)
    diagonal = " ".join(f"{value:.9f}" for value in moments)
    return f'<inertial mass="{mass:.6f}" pos="{_vector(rng, 0.2)}" quat="{_quat(rng)}" diaginertia="{diagonal}"/>'


def _geom(rng, name):
    kind = str(rng.choice(["sphere", "capsule", "box", "cylinder", "ellipsoid"]))
    n_sizes = {"sphere": 1, "capsule": 2, "cylinder": 2}.get(kind, 3)
    size = " ".join(f"{value:.6f}" for value in rng.uniform(0.05, 0.2, n_sizes))
    return f'<geom name="{name}" type="{kind}" size="{size}" pos="{_vector(rng, 0.2)}" quat="{_quat(rng)}"/>'
