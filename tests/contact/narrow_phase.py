"""Many pairs of geoms in random poses: their contacts by MuJoCo, by `genesis.contact.narrow_phase`, and differences."""

from dataclasses import dataclass, replace

import mujoco
import numpy as np
import torch

from genesis.compiler import layout, per_runtime, ti
from genesis.contact.narrow_phase.cases import cases
from genesis.contact.narrow_phase.layout import DISTANCE, MOST, NORMAL, NUMBERS, PLACE
from genesis.launch import Launch, bind


@dataclass
class Pairs:
    """N pairs of geoms. Sizes and offset p: (N, 3), rotations (N, 3, 3), reach (N,)."""

    size_a: np.ndarray
    size_b: np.ndarray
    p: np.ndarray
    Ra: np.ndarray
    Rb: np.ndarray
    reach: np.ndarray

    def __len__(self) -> int:
        return len(self.p)

    def take(self, rows) -> "Pairs":
        return Pairs(**{name: value[rows] for name, value in vars(self).items()})

    def displaced(self, t: np.ndarray, w: np.ndarray) -> "Pairs":
        """B moved by t (N, 3) and turned about its own centre by the rotation vector w (N, 3)."""
        turns = np.stack([rotation(quaternion(one)) for one in w])
        return replace(self, p=self.p + t, Rb=turns @ self.Rb)


def quaternion(vector: np.ndarray) -> np.ndarray:
    """Of a rotation vector."""
    angle, out = np.linalg.norm(vector), np.zeros(4)
    mujoco.mju_axisAngle2Quat(out, vector / angle if angle > 0 else np.array([1.0, 0, 0]), angle)
    return out


def rotation(q: np.ndarray) -> np.ndarray:
    out = np.zeros(9)
    mujoco.mju_quat2Mat(out, q)
    return out.reshape(3, 3)


def by_mujoco(kinds: tuple[str, str], pairs: Pairs) -> list[np.ndarray]:
    """Contacts of each pair, (count, 7): place about A's centre, normal, distance. Sizes and reach must be equal in
    blocks of pairs that follow each other: one model is made for each block."""
    found, model, data, last = [], None, None, None
    for i in range(len(pairs)):
        one = (*pairs.size_a[i], *pairs.size_b[i], pairs.reach[i])
        if one != last:
            bodies = "".join(
                f'<body><freejoint/><geom type="{kind}" size="{" ".join(map(repr, map(float, size)))}" '
                f'margin="{float(pairs.reach[i]) / 2!r}"/></body>'
                for kind, size in zip(kinds, (pairs.size_a[i], pairs.size_b[i]), strict=True)
            )
            model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody>{bodies}</worldbody></mujoco>")
            data, last = mujoco.MjData(model), one
        mujoco.mj_kinematics(model, data)
        data.geom_xpos[:] = [[0, 0, 0], pairs.p[i]]
        data.geom_xmat[:] = [pairs.Ra[i].ravel(), pairs.Rb[i].ravel()]
        mujoco.mj_collision(model, data)
        contacts = data.contact
        rows = [np.concatenate([contacts.pos[k], contacts.frame[k][:3], contacts.dist[k : k + 1]])
                for k in range(data.ncon) if contacts.dist[k] < pairs.reach[i]]  # fmt: skip
        found.append(np.array(rows).reshape(-1, 7))
    return found


@per_runtime
def kernels(factory, name):
    """Kernels that call `meet` of a pair of kinds, and `slopes`, for many pairs."""
    lay, meet, slopes = layout(), getattr(factory(), name), cases().slopes
    A, N, vec3, mat3 = lay.A1, lay.I1, lay.vec3, lay.mat3

    @ti.func
    def vector(a: ti.template(), i):
        return vec3(a[i], a[i + 1], a[i + 2])

    @ti.func
    def matrix(a: ti.template(), i):
        m = mat3(0.0)
        for r, c in ti.static(ti.ndrange(3, 3)):
            m[r, c] = a[i + 3 * r + c]
        return m

    @ti.kernel
    def meet_all(sa: A, sb: A, p: A, Ra: A, Rb: A, reach: A, found: A, count: N, repeats: N):
        ti.loop_config(serialize=True)
        for _again in range(repeats[0]):
            for i in range(count.shape[0]):
                first = i * MOST * NUMBERS
                count[i] = meet(found, first, vector(sa, 3 * i), vector(sb, 3 * i), vector(p, 3 * i),
                                matrix(Ra, 9 * i), matrix(Rb, 9 * i), reach[i])  # fmt: skip

    @ti.kernel
    def slopes_all(sa: A, sb: A, p: A, Ra: A, Rb: A, found: A, count: N, g: A, out: A, repeats: N):
        ti.loop_config(serialize=True)
        for _again in range(repeats[0]):
            for i in range(count.shape[0]):
                for k in range(count[i]):
                    j = i * MOST + k
                    shift, turn, _slide = slopes(found, j * NUMBERS, vector(p, 3 * i), vector(g, 7 * j), g[7 * j + 6],
                                                 vector(g, 7 * j + 3))  # fmt: skip
                    for c in ti.static(range(3)):
                        out[6 * j + c] = shift[c]
                        out[6 * j + 3 + c] = turn[c]

    return meet_all, slopes_all


def _flat(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(values).ravel(), dtype=layout().dtype)


def bound(factory, name: str, pairs: Pairs, repeats: int = 1) -> tuple[dict[str, torch.Tensor], Launch, Launch]:
    """Arrays of the two kernels, and the kernels bound to them; each launch does all pairs `repeats` times."""
    n, real = len(pairs), layout().dtype
    poses = {"sa": pairs.size_a, "sb": pairs.size_b, "p": pairs.p, "Ra": pairs.Ra, "Rb": pairs.Rb}
    a = {name: _flat(value) for name, value in poses.items()} | {
        "found": torch.full((n * MOST * NUMBERS,), float("nan"), dtype=real),
        "count": torch.zeros(n, dtype=torch.int32),
        "repeats": torch.tensor([repeats], dtype=torch.int32),
    }
    more = {"g": torch.zeros(n * MOST * 7, dtype=real), "out": torch.full((n * MOST * 6,), float("nan"), dtype=real)}
    meet_all, slopes_all = kernels(factory, name)
    # as kernels on lanes are compiled, for these call the functions
    return (
        a | more,
        bind(meet_all, a | {"reach": _flat(pairs.reach)}, lanes=True),
        bind(slopes_all, a | more, lanes=True),
    )


def records(factory, name: str, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Records (N, MOST, NUMBERS) that `meet` writes, and how many are valid (N,)."""
    a, meet, _slopes = bound(factory, name, pairs)
    meet()
    return a["found"].numpy().reshape(len(pairs), MOST, NUMBERS), a["count"].numpy()


def outputs(found: np.ndarray) -> np.ndarray:
    """Place, normal, distance (…, 7) of records."""
    return np.concatenate([found[..., PLACE : PLACE + 3], found[..., NORMAL : NORMAL + 3],
                           found[..., DISTANCE : DISTANCE + 1]], -1)  # fmt: skip


def slopes(factory, name: str, pairs: Pairs, g: np.ndarray) -> np.ndarray:
    """Derivatives (N, MOST, 6) by B's displacement of g (N, MOST, 7) times place, normal, distance."""
    a, meet, differentiate = bound(factory, name, pairs)
    a["g"].copy_(_flat(g))
    meet()
    differentiate()
    return a["out"].numpy().reshape(len(pairs), MOST, 6)
