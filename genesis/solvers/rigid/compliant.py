"""The compliant contact model: what the rigid solver needs of it."""

from collections.abc import Sequence

from genesis.errors import GenesisValueError
from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid import prepare
from genesis.solvers.rigid.driver import driver
from genesis.solvers.rigid.setup import Setup


def compliant(
    model: RigidModel, grounds: Sequence[GroundGeom], options: prepare.Options, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """The setup for `CompliantContact`.

    Args:
        dt: Substep, s.
        gravity: m/s^2; not read.
        outputs: Names of the solver's outputs that are wanted.
        labels: What messages call each link.

    Raises:
        GenesisValueError: Bodies that could touch each other, or an output that only MuJoCo's contact model has.
    """
    if "last_evaluation" in outputs:
        raise GenesisValueError(
            'output "last_evaluation" must come from MuJoCo\'s contact model, got CompliantContact. '
            "Leave it out, or use MujocoContact."
        )
    L, Q, D, law = model.n_links, model.n_qs, model.n_dofs, options.contact
    points = prepare.contact_points(model)
    check_apart(model, labels)
    features = slot.Features(
        outputs=bool({"contacts", "link_wrench"} & set(outputs)),
        terrain=any(ground.kind != "plane" for ground in grounds),
    )
    link_tree, dof_tree, chain = prepare.pack_tree(model, points)
    link_fixed, dof_fixed, turn = prepare.pack_frames(model)
    contact = prepare.contact_laws(model, law, points, features.terrain)
    ground, heights = prepare.pack_grounds(grounds)
    outputs_of = int(features.outputs)
    sizes = {
        "links": L, "qs": Q, "dofs": D, "entries": len(chain), "geoms": len(model.geoms),
        "points": len(points), "grounds": len(grounds), "samples": len(heights),
        "output_points": outputs_of * len(points), "output_links": outputs_of * L,
    }  # fmt: skip
    constants = dict(
        num=[dt, prepare.slip(law, dt)], link_tree=link_tree, dof_tree=dof_tree, chain=chain, link_fixed=link_fixed,
        dof_fixed=dof_fixed, turn=turn, dof_law=prepare.pack_laws(model, law), link_law=contact,
        point=prepare.pack_points(points), ground=ground, heights=heights,
    )  # fmt: skip
    return Setup(
        table=slot.TABLE,
        driver=lambda: driver(features),
        outputs=features.outputs,
        constants=constants,
        sizes=sizes,
        places=prepare.places(model),
    )


def check_apart(model: RigidModel, labels: Sequence[str]) -> None:
    """Raise if bodies could touch each other: this model knows contact with grounds alone."""
    root, moving = prepare.roots(model), model.moving
    found = [
        f"{labels[a.link]} and {labels[b.link]}"
        for i, a in enumerate(model.geoms)
        for b in model.geoms[i + 1 :]
        if root[a.link] != root[b.link]
        and (moving[a.link] or moving[b.link])
        and (a.group & b.mask or b.group & a.mask)
        and (min(a.link, b.link), max(a.link, b.link)) not in model.excluded
    ]
    if found:
        raise GenesisValueError(
            f"with CompliantContact bodies must touch nothing but the ground, got {found[0]}"
            f"{f' and {len(found) - 1} more pairs' if len(found) > 1 else ''}. "
            "Use RigidOptions(contact=MujocoContact()), or keep their contype and conaffinity apart."
        )
