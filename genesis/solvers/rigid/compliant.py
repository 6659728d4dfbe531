"""The compliant contact model: what the rigid solver needs of it."""

from collections.abc import Sequence

from genesis.loaders.model import RigidModel
from genesis.loaders.parts import GroundGeom
from genesis.solvers.rigid import layout as slot
from genesis.solvers.rigid import pair_list, prepare
from genesis.solvers.rigid.driver import driver
from genesis.solvers.rigid.setup import Setup


def compliant(
    model: RigidModel, grounds: Sequence[GroundGeom], options: prepare.Options, dt: float, gravity: Sequence[float],
    outputs: Sequence[str], labels: Sequence[str],
) -> Setup:  # fmt: skip
    """The setup for `CompliantContact`. Warns of pairs of bodies whose contact may gain energy.

    Args:
        dt: Substep, s.
        gravity: m/s^2; decides the default contact stiffness.
        outputs: Names of the solver's outputs that are wanted.
        labels: What messages call each link.
    """
    L, Q, D, law = model.n_links, model.n_qs, model.n_dofs, options.contact
    points = prepare.contact_points(model)
    pairs, blind = pair_list.touching(model, options.self_collision)
    features = slot.Features(
        outputs=bool({"contacts", "link_wrench"} & set(outputs)),
        pairs=bool(pairs),
        terrain=any(ground.kind != "plane" for ground in grounds),
    )
    link_tree, dof_tree, chain = prepare.pack_tree(model, points)
    link_fixed, dof_fixed, turn = prepare.pack_frames(model)
    contact = prepare.contact_laws(model, law, points, features.terrain)
    ground, heights = prepare.pack_grounds(grounds)
    stiffness = prepare.contact_stiffness(model, law, gravity)
    factor = pair_list.factors(model, pairs, law, stiffness, dt)
    pair_list.warn(model, pairs, blind, factor, dt, labels)
    pair, shape = pair_list.pack(model, pairs, factor, law, contact, dt)
    outputs_of = int(features.outputs)
    sizes = {
        "links": L, "qs": Q, "dofs": D, "entries": len(chain), "geoms": len(model.geoms),
        "points": len(points), "grounds": len(grounds), "samples": len(heights), "pairs": len(pairs),
        "shape_rows": len(shape), "output_points": outputs_of * len(points), "output_links": outputs_of * L,
    }  # fmt: skip
    constants = dict(
        num=[dt, prepare.slip(law, dt)], link_tree=link_tree, dof_tree=dof_tree, chain=chain, link_fixed=link_fixed,
        dof_fixed=dof_fixed, turn=turn, dof_law=prepare.pack_laws(model, law), link_law=contact,
        point=prepare.pack_points(points), ground=ground, heights=heights, pair=pair, shape=shape,
    )  # fmt: skip
    return Setup(
        table=slot.TABLE,
        driver=lambda: driver(features),
        outputs=features.outputs,
        constants=constants,
        sizes=sizes,
        places=prepare.places(model),
    )
