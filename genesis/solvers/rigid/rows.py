"""Fields of state and controls that kernels take as rows of torch, and which links their numbers belong to."""

from genesis.loaders.model import RigidModel
from genesis.loaders.parts import JOINT_SIZES

ARRAYS = {
    "qpos": "q", "dofs_vel": "qd", "qpos_low": "low", "dofs": "dofs", "activation": "act", "ctrl": "ctrl",
}  # fmt: skip
"""Field -> its array in frames; that of the step's tensor has `_in` or `_out` behind."""


def links_of(model: RigidModel) -> dict[str, list[int]]:
    """Field -> index of the link of each of its numbers or rows; of an actuator, of the first joint that it acts on."""
    qs, dofs = ([joint.link for joint in model.joints for _ in range(JOINT_SIZES[joint.kind][k])] for k in range(2))
    links, table = list(range(model.n_links)), model.actuator_table
    ctrl = [dofs[min(arms)] if arms else 0 for arms in table.arms]
    every = dict.fromkeys(("wrench", "link_wrench", "link_acceleration"), links)
    return {**every, "mocap": list(model.mocap_links), "qpos": qs, "dofs_vel": dofs, "dofs": dofs, "ctrl": ctrl,
            "activation": [ctrl[k] for k in table.activated]}  # fmt: skip
