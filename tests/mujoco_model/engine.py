"""MuJoCo's C engine as the truth: steps, accelerations, central differences, and which rows are there, at every stage.

Its solver is Newton's and runs to convergence. States are numpy arrays: qpos (nq,), qvel (nv,), ctrl (nu,).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import gymnasium
import mujoco
import numpy as np

ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"
GYMNASIUM = (
    "ant", "walker2d_v5", "half_cheetah", "reacher", "swimmer", "inverted_pendulum", "inverted_double_pendulum",
    "hopper", "humanoid",
)  # fmt: skip
"""Models of Gymnasium's tasks by name."""
CONTACTS = tuple(
    int(getattr(mujoco.mjtConstraint, f"mjCNSTR_CONTACT_{kind}")) for kind in ("FRICTIONLESS", "PYRAMIDAL", "ELLIPTIC")
)
"""Kinds of rows that belong to contacts."""
TOLERANCE, CAP = 1e-15, 200
"""Of MuJoCo's solver, with pyramidal cones."""
ELLIPTIC_TOLERANCE, ELLIPTIC_CAP = -1.0, 30
"""With elliptic ones it would stop where its cost stands still, at 1e-8 of the solution: it makes all iterations."""
EPSILON = 1e-7
"""Step of central differences."""
CLOSE = 1e-12
"""A row whose distance is so near its margin may be there in one program and not in another: m, rad."""
JUMP = 1e-4
"""Contacts of neighbouring states are farther apart than this only if they are of different corners: m."""


def gymnasium_text(name: str) -> str:
    """XML of a model of Gymnasium's, in which moving geoms touch the static ones only."""
    spec = mujoco.MjSpec.from_file(str(ASSETS / f"{name}.xml"))
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model = spec.compile()
    geoms = list(spec.geoms)
    static = [model.body_weldid[model.geom_bodyid[geom.id]] == 0 for geom in geoms]
    masks = [(geom.contype, geom.conaffinity) for geom in geoms]
    ground_bits = {i: 1 << k for k, i in enumerate(i for i, still in enumerate(static) if still)}
    for i, geom in enumerate(geoms):
        geom.contype = ground_bits.get(i, 0)
        geom.conaffinity = 0
        if not static[i]:
            met = [j for j in ground_bits if masks[i][0] & masks[j][1] or masks[j][0] & masks[i][1]]
            geom.conaffinity = sum(ground_bits[j] for j in met)
    return spec.to_xml()


def undamped(text: str) -> str:
    """The same model with Euler's integrator and no damping: its qacc is (qvel' - qvel) / timestep."""
    spec = mujoco.MjSpec.from_string(text)
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    for joint in spec.joints:
        joint.damping = np.zeros_like(joint.damping)
    return spec.to_xml()


class Evaluation(NamedTuple):
    """One map from state to acceleration: what was there."""

    kinds: tuple[int, ...]
    """mjtConstraint of each row."""
    owners: tuple[tuple[int, ...], ...]
    """What each row belongs to: (joint or degree of freedom,) or the two geoms of a contact."""
    pieces: tuple[int, ...]
    """mjtConstraintState of each row: the piece of its cost that the solution is in."""
    places: np.ndarray
    """(n, 3) of contacts with rows."""

    def same_rows(self, other: "Evaluation") -> bool:
        """Whether the same rows are there."""
        alike = self.kinds == other.kinds and self.owners == other.owners
        return alike and bool(np.all(np.abs(self.places - other.places) < JUMP))

    def same(self, other: "Evaluation") -> bool:
        """Whether the same rows are there, each in the same piece of its cost."""
        return self.same_rows(other) and self.pieces == other.pieces


@dataclass
class States:
    """Of a batch: qpos (B, nq), qvel (B, nv), ctrl (B, nu)."""

    qpos: np.ndarray
    qvel: np.ndarray
    ctrl: np.ndarray

    def __len__(self) -> int:
        return len(self.qpos)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return iter(zip(self.qpos, self.qvel, self.ctrl, strict=True))

    def chosen(self, which: np.ndarray) -> "States":
        """Those of an index or mask."""
        return replace(self, qpos=self.qpos[which], qvel=self.qvel[which], ctrl=self.ctrl[which])


class Engine:
    """A model in MuJoCo."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.m = mujoco.MjModel.from_xml_string(text)
        option = self.m.opt
        option.solver = mujoco.mjtSolver.mjSOL_NEWTON
        elliptic = option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC
        option.tolerance = ELLIPTIC_TOLERANCE if elliptic else TOLERANCE
        option.iterations = ELLIPTIC_CAP if elliptic else CAP
        option.ls_tolerance, option.ls_iterations = 1e-10, 200
        self.d = mujoco.MjData(self.m)
        self.timestep = option.timestep
        self.gravity: tuple[float, float, float] = tuple(option.gravity.tolist())

    def _set(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> None:
        mujoco.mj_resetData(self.m, self.d)
        self.d.qpos[:], self.d.qvel[:], self.d.ctrl[:] = qpos, qvel, ctrl

    def qacc(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> np.ndarray:
        """(nv,) solved twice, from a cold start and from its own solution."""
        self._set(qpos, qvel, ctrl)
        for _ in range(2):
            mujoco.mj_forward(self.m, self.d)
            self.d.qacc_warmstart[:] = self.d.qacc
        return self.d.qacc.copy()

    def evaluation(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> Evaluation:
        """What is there at a state."""
        self.qacc(qpos, qvel, ctrl)
        d = self.d
        kinds = tuple(int(k) for k in d.efc_type[: d.nefc])
        owners = tuple(
            tuple(d.contact.geom[i].tolist()) if kind in CONTACTS else (int(i),)
            for kind, i in zip(kinds, d.efc_id[: d.nefc], strict=True)
        )
        with_rows = [k for k in range(d.ncon) if d.contact.efc_address[k] >= 0]
        places = d.contact.pos[with_rows].reshape(-1, 3).copy()
        return Evaluation(kinds, owners, tuple(int(s) for s in d.efc_state[: d.nefc]), places)

    def step(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """State after one step (ctrl (nu,)) or after one for each row of controls (n, nu)."""
        self._set(qpos, qvel, np.atleast_2d(ctrl)[0])
        for row in np.atleast_2d(ctrl):
            self.d.ctrl[:] = row
            mujoco.mj_step(self.m, self.d)
        return self.d.qpos.copy(), self.d.qvel.copy()

    def stages(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> list[tuple[np.ndarray, ...]]:
        """(qpos, qvel, ctrl) of every evaluation within the same steps as `step`: RK4 has four in each."""
        met: list[tuple[np.ndarray, ...]] = []
        mujoco.set_mjcb_control(lambda _, d: met.append((d.qpos.copy(), d.qvel.copy(), d.ctrl.copy())))
        try:
            self.step(qpos, qvel, ctrl)
        finally:
            mujoco.set_mjcb_control(None)
        return met

    def evaluations(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> list[Evaluation]:
        """What is there in every evaluation within the same steps as `step`."""
        return [self.evaluation(*state) for state in self.stages(qpos, qvel, ctrl)]

    def moved(self, qpos: np.ndarray, by: np.ndarray) -> np.ndarray:
        """qpos moved by (nv,) along its degrees of freedom."""
        out = qpos.copy()
        mujoco.mj_integratePos(self.m, out, by, 1.0)
        return out

    # Which states are no test.

    def close_to_activation(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> bool:
        """Whether in some evaluation of the steps a row is within `CLOSE` of where it begins to be there."""
        stages = self.stages(qpos, qvel, ctrl)
        geom, joint, tendon = self.m.geom_margin.copy(), self.m.jnt_margin.copy(), self.m.tendon_margin.copy()
        grounds = self.m.body_weldid[self.m.geom_bodyid] == 0  # a contact's margin is that of both geoms
        met = []
        try:
            for off in (-CLOSE, CLOSE):
                self.m.geom_margin[:] = np.where(grounds, geom + off, geom)
                self.m.jnt_margin[:], self.m.tendon_margin[:] = joint + off, tendon + off
                met.append([len(self.evaluation(*state).kinds) for state in stages])
        finally:
            self.m.geom_margin[:], self.m.jnt_margin[:], self.m.tendon_margin[:] = geom, joint, tendon
        return met[0] != met[1]

    def jumps(self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray) -> bool:
        """Whether a step ends elsewhere from a state `CLOSE` by: shapes that choose between points like these."""
        ends = [
            np.concatenate(self.step(self.moved(qpos, off * np.ones(self.m.nv)), qvel, ctrl)) for off in (-CLOSE, CLOSE)
        ]
        return bool(np.abs(ends[0] - ends[1]).max() > 1e3 * CLOSE * max(1.0, np.abs(ends[0]).max()))

    # Derivatives.

    def jacobian(
        self, qpos: np.ndarray, qvel: np.ndarray, ctrl: np.ndarray, n: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Central differences of the state after n steps under one control.

        Returns:
            (nq + nv, 2 nv + nu) by motions of qpos, by qvel, by ctrl; and for each column whether the rows that are
            there, and whether the pieces that they are in, change within the difference, in any evaluation.
        """
        m = self.m
        columns, rows, pieces = [], [], []
        base = self.evaluations(qpos, qvel, np.repeat(ctrl[None], n, 0))
        for way in np.eye(2 * m.nv + m.nu):
            q, v, u = np.split(way, (m.nv, 2 * m.nv))
            ends, changed_rows, changed = [], False, False
            for h in (EPSILON, -EPSILON):
                state = (self.moved(qpos, h * q), qvel + h * v, np.repeat((ctrl + h * u)[None], n, 0))
                ends.append(np.concatenate(self.step(*state)))
                for here, there in zip(base, self.evaluations(*state), strict=True):
                    changed_rows |= not here.same_rows(there)
                    changed |= not here.same(there)
            columns.append((ends[0] - ends[1]) / (2 * EPSILON))
            rows.append(changed_rows)
            pieces.append(changed)
        return np.stack(columns, -1), np.array(rows), np.array(pieces)

    # States to start from.

    def controls(self, rng: np.random.Generator, *shape: int) -> np.ndarray:
        """(*shape, nu) within the ranges of controls, a tenth beyond them now and then."""
        m = self.m
        low = np.where(m.actuator_ctrllimited.astype(bool), m.actuator_ctrlrange[:, 0], -1.0)
        high = np.where(m.actuator_ctrllimited.astype(bool), m.actuator_ctrlrange[:, 1], 1.0)
        return 0.5 * (low + high) + 0.55 * (high - low) * rng.uniform(-1.0, 1.0, (*shape, m.nu))

    def has_contacts(self) -> bool:
        """Whether anything can touch anything."""
        m = self.m
        able = [(m.geom_contype[i] & m.geom_conaffinity[j]) for i in range(m.ngeom) for j in range(m.ngeom) if i != j]
        return any(able)

    def states(self, n: int, seed: int = 0, tries: int = 20) -> States:
        """States on the way down and on the ground under random controls, most of them with rows.

        Raises:
            RuntimeError: Too few finite ones were met.
        """
        m, d, rng = self.m, self.d, np.random.default_rng(seed)
        found = []
        wants_contact = self.has_contacts()
        for k in range(tries * n):
            if len(found) == n:
                return States(*(np.stack(column) for column in zip(*found, strict=True)))
            mujoco.mj_resetData(m, d)
            noise = 0.3 * rng.normal(size=m.nv)
            if m.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:
                noise[3:6] *= 5.0
                noise[2] = abs(noise[2])
            mujoco.mj_integratePos(m, d.qpos, noise, 1.0)
            d.qvel[:] = rng.normal(size=m.nv)
            for _ in range(int(rng.integers(10, 150) * max(1.0, 0.005 / m.opt.timestep))):
                d.ctrl[:] = self.controls(rng)
                mujoco.mj_step(m, d)
            unstable = any(w.number for w in d.warning)
            if unstable or not np.isfinite(d.qpos).all() or np.abs(d.qvel).max() > 100:
                continue
            state = (d.qpos.copy(), d.qvel.copy(), self.controls(rng))
            mujoco.mj_forward(m, d)
            if wants_contact and d.ncon == 0 and k % 8:
                continue
            found.append(state)
        raise RuntimeError(f"the model must be stable and touch the ground, got {len(found)} of {n} states.")


def relative(ours: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(B,) largest error of a row, relative to 1 or the row's largest number."""
    ours, wanted = (np.asarray(x, dtype=np.float64).reshape(len(wanted), -1) for x in (ours, wanted))
    return np.abs(ours - wanted).max(1) / np.maximum(1.0, np.abs(wanted).max(1))
