"""A robot with every kind of joint, and scenes with it. No model files: it is written down as arrays."""

import numpy as np

import genesis as gs
from genesis.engine import articulated
from genesis.loaders.model import BALL, FREE, HINGE, SLIDE, Actuator, Geom, Joint, RigidModel

ORIGIN, ONE = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)
N_LINKS, N_QS, N_DOFS = 4, 13, 11
QUATS = (3, 7)
"""Where q holds quaternions."""
ELBOW, SLIDER = 9, 10
"""Degrees of freedom of the hinge and the slide."""


def mixed() -> RigidModel:
    """A free base, an arm on a ball joint with a fore-arm on a hinge, and a sprung slider. It touches the ground alone,
    so that the kernels of its scenes have no contact between bodies, which takes most of their time to compile."""
    inf = np.inf
    return RigidModel(
        name="mixed",
        link_names=("base", "arm", "fore", "slider"),
        parent=np.array([-1, 0, 1, 0]),
        link_pos=np.array([[0.1, 0.2, 0.5], [0.2, 0.0, 0.0], [0.2, 0.0, 0.05], [0.0, 0.0, 0.1]]),
        link_quat=np.array([ONE, [0.6, 0.0, 0.8, 0.0], ONE, ONE]),
        mass=np.array([2.0, 0.5, 0.4, 0.3]),
        com=np.array([[0.01, 0.0, -0.02], [0.1, 0.0, 0.01], [0.1, 0.02, 0.0], [0.0, 0.0, 0.05]]),
        inertia=np.array(
            [
                [0.02, 0.03, 0.025, 0.001, 0.0, -0.002],
                [0.002, 0.004, 0.004, 0.0, 0.0, 0.0],
                [0.001, 0.003, 0.003, 0.0, 0.0002, 0.0],
                [0.002, 0.002, 0.001, 0.0, 0.0, 0.0],
            ]
        ),
        joints=(
            Joint("root", FREE, 0, ORIGIN, ORIGIN, 0, 0),
            Joint("shoulder", BALL, 1, ORIGIN, (0.01, 0.0, 0.0), 7, 6),
            Joint("elbow", HINGE, 2, (0.0, 1.0, 0.0), ORIGIN, 11, 9),
            Joint("rail", SLIDE, 3, (0.0, 0.0, 1.0), ORIGIN, 12, 10),
        ),
        qpos0=np.array([0.1, 0.2, 0.5, *ONE, *ONE, 0.0, 0.0]),
        armature=np.array([0.0] * 6 + [0.01] * 3 + [0.02, 0.1]),
        damping=np.array([0.0] * 6 + [0.1] * 3 + [0.2, 1.0]),
        stiffness=np.array([0.0] * 10 + [30.0]),
        spring_ref=np.zeros(11),
        limit_low=np.array([-inf] * 9 + [-1.0, -inf]),
        limit_high=np.array([inf] * 9 + [1.0, inf]),
        force_low=np.array([-inf] * 9 + [-2.0, -inf]),
        force_high=np.array([inf] * 9 + [2.0, inf]),
        geoms=(
            Geom("ball", "sphere", 0, ORIGIN, ONE, (0.1, 0.0, 0.0), 0.6, group=2, mask=0),
            Geom("hand", "sphere", 2, (0.2, 0.0, 0.0), ONE, (0.04, 0.0, 0.0), 0.9, group=2, mask=0),
            Geom("palm", "sphere", 2, (0.25, 0.0, 0.0), ONE, (0.03, 0.0, 0.0), 0.5, group=2, mask=0),
        ),
        excluded=frozenset({(0, 1), (1, 2), (0, 3)}),
        actuators=(Actuator("elbow", 9, 2.0, "position", 1.25, 0.1, -1.0, 1.0),),
        aliases={"tip": (2, (0.25, 0.0, 0.0), ONE)},
    ).validate()


def box(pos=(2.0, 0.0, 0.1), **material):
    return gs.morphs.Box(pos=pos, size=(0.2, 0.2, 0.2)), gs.materials.Rigid(**{"rho": 250.0, **material})


def builder(monkeypatch):
    """build(n_envs=3, outputs=(), ground=True, boxes=0, friction=None, **sim) -> scene, robot, boxes."""
    shipped = articulated.load_robot
    monkeypatch.setattr(articulated, "load_robot", lambda name: mixed() if name == "mixed" else shipped(name))

    def build(n_envs=3, outputs=(), ground=True, boxes=0, friction=None, options=None, **sim):
        settings = {"dt": 0.01, "substeps": 4, "requires_grad": True, **sim}
        if options is None and boxes < 2:  # kernels that tests of robots have, too
            options = gs.options.RigidOptions(integrator="Euler")
        scene = gs.Scene(sim_options=gs.options.SimOptions(**settings), rigid_options=options)
        before = [scene.add_entity(*box((2.0, 0.0, 0.1))) for _ in range(min(boxes, 1))]
        robot = scene.add_entity(gs.morphs.Robot(name="mixed"), gs.materials.Rigid(friction=friction), name="robot")
        after = [scene.add_entity(*box((2.0 + i, 0.0, 0.1))) for i in range(1, boxes)]
        if ground:
            scene.add_entity(gs.morphs.Plane(), name="ground")
        scene.build(n_envs=n_envs, outputs=outputs)
        return scene, robot, before + after

    return build
