"""What a model file may hold that MuJoCo's contact model does not have here, and numbers that MuJoCo would not take."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders.equalities import is_translated
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.links import is_paired, solid_geoms, touches
from genesis.loaders.mujoco_numbers import INTEGRATORS, MujocoNumbers
from genesis.loaders.parts import ContactNumbers, check_solimp, check_solref
from genesis.loaders.tendons import tendon_problem

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel

DISABLING = ("ACTUATION", "CONTACT", "CONSTRAINT")
"""Flags that switch off what `mujoco_flags` may not have switched off by numbers."""
ENABLING = ("OVERRIDE", "SLEEP", "DIAGEXACT", "IPC", "SPECULATIVE")
"""Flags that change what is simulated; the others measure, or are of inverse dynamics."""
OF_ACTUATORS = ("activation", "actuator", "transmission")
"""Categories of refused actuators."""
REMEDY = "Remove them from the file, or name them in allow to load without them"


def check_for_mujoco(model: "RigidModel") -> None:
    """Raises GenesisValueError if MuJoCo's contact model cannot simulate `model`: elements that it does not have here,
    by name, numbers outside of MuJoCo's ranges, or a record of other parts. One that comes from no file has none."""
    numbers = model.mujoco
    if numbers is None:
        return
    found = grouped(numbers.unsupported)
    if found:
        listing = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in found.items())
        raise GenesisValueError(
            f"{model.name} must hold what MuJoCo's contact model has here, got {listing}. {REMEDY}: {tuple(found)!r}."
        )
    _check_sizes(model, numbers)
    for part in (*model.geoms, *model.grounds):
        _check_contact(f"geom {part.name!r} of {model.name}", part.contact)
    _check_tables(model, numbers)


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Category -> names, from pairs of these."""
    found: dict[str, list[str]] = {}
    for category, name in pairs:
        found.setdefault(category, []).append(name)
    return found


def unsupported_by_mujoco_model(model: Any) -> list[tuple[str, str]]:
    """(category of `refusals.WHEN_ALLOWED`, name) of all that MuJoCo's contact model does not have here."""
    return [*_options(model), *_objects(model), *_actuators(model)]


def known_to_mujoco_model(model: Any, found: dict[str, list[str]]) -> list[str]:
    """Those categories of what the compliant model does not have of which MuJoCo's contact model has everything."""
    lacking = {category for category, _ in unsupported_by_mujoco_model(model)}
    labels = {text.split(" (")[0] for category in OF_ACTUATORS for text in found.get(category, ())}
    many = (int(mujoco().mjtJoint.mjJNT_BALL), int(mujoco().mjtJoint.mjJNT_FREE))
    for index in range(getattr(model, "nactuator", model.nu)):
        on_joint = model.actuator_trntype[index] == int(mujoco().mjtTrn.mjTRN_JOINT)
        if (
            on_joint
            and model.jnt_type[model.actuator_trnid[index, 0]] in many
            and _actuator_name(model, index) in labels
        ):
            lacking |= set(OF_ACTUATORS)  # see `actuator_table`
    return [category for category in found if category not in lacking]


def readable_actuators(model: Any) -> list[int]:
    """Indices of the actuators that can be translated."""
    count = getattr(model, "nactuator", model.nu)
    return [index for index in range(count) if _actuator_problem(model, index) is None]


def _options(model: Any) -> Iterator[tuple[str, str]]:
    option = model.opt
    for name in DISABLING:
        bit = getattr(mujoco().mjtDisableBit, f"mjDSBL_{name}", 0)
        if option.disableflags & int(bit):
            yield "flag", f"{name.lower()} disabled"
    for name in ENABLING:
        bit = getattr(mujoco().mjtEnableBit, f"mjENBL_{name}", 0)
        if option.enableflags & int(bit):
            yield "flag", f"{name.lower()} enabled"
    if getattr(option, "disableactuator", 0):
        yield "flag", "actuator groups disabled"
    if option.noslip_iterations > 0:
        yield "noslip", f"{option.noslip_iterations} iterations"
    for index in range(model.ngeom):
        if model.geom_fluid[index, 0]:
            yield "fluid", f"{_label('geom', index, model.geom(index).name)} (fluidshape ellipsoid)"


def _objects(model: Any) -> Iterator[tuple[str, str]]:
    for index in range(model.ntendon):
        reason = tendon_problem(model, index)
        if reason:
            yield "tendon", f"{_label('tendon', index, model.tendon(index).name)} ({reason})"
    for index in range(model.neq):
        if not is_translated(model, index):
            yield "equality", _label("equality", index, model.equality(index).name)
    for index in range(model.npair):
        if np.any(_newer(model, "pair_adhesion", index) != 0):
            yield "adhesion", _label("pair", index, model.pair(index).name)
    for category, count in (("flex", model.nflex), ("plugin", model.nplugin)):
        yield from ((category, f"{category} {index}") for index in range(count))
    solids = set(solid_geoms(model))
    touching = [i for i in range(model.ngeom) if touches(model, i) or is_paired(model, i)]
    with_ground = {int(model.geom_bodyid[i]) for i in touching if i not in solids}
    for index in touching:
        root = int(model.body_rootid[model.geom_bodyid[index]])
        if index not in solids and model.body_mocapid[root] >= 0:
            yield "mocap", f"{_label('geom', index, model.geom(index).name)} (a ground on a mocap body)"
    for index, signature in enumerate(model.exclude_signature.tolist()):
        if with_ground & {signature >> 16, signature & 0xFFFF}:
            yield "exclude", f"{_label('exclude', index, model.exclude(index).name)} (with the ground)"
    for index in range(model.njnt):
        label, dof = _label("joint", index, model.joint(index).name), model.jnt_dofadr[index]
        if model.jnt_actgravcomp[index] and model.jnt_actfrclimited[index] and model.body_gravcomp.any():
            yield "gravcomp", f"{label} (within the range of its actuators' force)"
        curved = (_rest(model, "jnt_stiffness", index), _rest(model, "dof_damping", dof),
                  _newer(model, "jnt_stiffnesspoly", index), _newer(model, "dof_dampingpoly", dof))  # fmt: skip
        if any(np.any(values != 0) for values in curved):
            yield "nonlinear", label
        if np.any(_newer(model, "jnt_springyield", index) != 0):
            yield "yield", label
    for index in touching:
        label = _label("geom", index, model.geom(index).name)
        if model.geom_type[index] == int(mujoco().mjtGeom.mjGEOM_SDF):
            yield "sdf", label
        if np.any(_newer(model, "geom_adhesion", index) != 0):
            yield "adhesion", label
        if np.any(_newer(model, "geom_surfacevel", index) != 0):
            yield "surface_velocity", label


def _actuators(model: Any) -> Iterator[tuple[str, str]]:
    for index in range(getattr(model, "nactuator", model.nu)):
        category = _actuator_problem(model, index)
        if category:
            yield category, _actuator_name(model, index)


def _actuator_name(model: Any, index: int) -> str:
    return model.actuator(index).name or f"actuator {index}"


def _actuator_problem(model: Any, index: int) -> str | None:
    """The category under which an actuator is refused, or None."""
    dyn, gain, bias, trn = (getattr(mujoco(), name) for name in ("mjtDyn", "mjtGain", "mjtBias", "mjtTrn"))
    kinds = (dyn.mjDYN_NONE, dyn.mjDYN_INTEGRATOR, dyn.mjDYN_FILTER, dyn.mjDYN_FILTEREXACT)
    if model.actuator_dyntype[index] not in [int(kind) for kind in kinds]:
        return "activation"
    own = int(model.actuator_trnid[index, 0])  # joint, tendon or site
    straight = (int(mujoco().mjtJoint.mjJNT_HINGE), int(mujoco().mjtJoint.mjJNT_SLIDE))
    kind = model.actuator_trntype[index]
    if kind == int(trn.mjTRN_TENDON):
        if tendon_problem(model, own):
            return "transmission"
    elif kind == int(trn.mjTRN_JOINTINPARENT):
        if model.jnt_type[own] not in straight:
            return "transmission"
    elif kind not in (int(trn.mjTRN_JOINT), int(trn.mjTRN_SITE)):
        return "transmission"
    if model.actuator_gaintype[index] not in (int(gain.mjGAIN_FIXED), int(gain.mjGAIN_AFFINE)):
        return "actuator"
    if model.actuator_biastype[index] not in (int(bias.mjBIAS_NONE), int(bias.mjBIAS_AFFINE)):
        return "actuator"
    curved = model.actuator_gainprm[index, 3:], model.actuator_biasprm[index, 3:]
    zero = ("actuator_armature", "actuator_damping", "actuator_dampingpoly", "actuator_delay")
    one = [getattr(model, name, None) for name in ("actuator_ctrlnum", "actuator_outnum")]
    if any(np.any(values != 0) for values in (*curved, *(_newer(model, name, index) for name in zero))):
        return "actuator"
    return "actuator" if any(array is not None and array[index] != 1 for array in one) else None


def _check_sizes(model: "RigidModel", numbers: MujocoNumbers) -> None:
    """That nobody has changed the parts of the model and kept the record."""
    for what, ours, theirs in (
        ("joints", len(model.joints), len(numbers.joints)),
        ("degrees of freedom", model.n_dofs, len(numbers.dofs)),
        ("coordinates", model.n_qs, len(numbers.qpos_spring)),
        ("geoms", len(model.geoms), len(numbers.geom_body)),
    ):
        if ours != theirs:
            remedy = "Leave the record out of a model whose parts are changed: mujoco=None."
            _fail(f"the record `mujoco` of {model.name}", f"be that of its {ours} {what}", theirs, remedy)
    most = int(numbers.pairs.ground.max(initial=-1))
    if most >= len(model.grounds):
        remedy = "Leave out its pairs with grounds, too: genesis.loaders.pairs.without_grounds."
        _fail(f"contact pairs of {model.name}", f"be with its {len(model.grounds)} grounds", f"one with {most}", remedy)


def _check_contact(what: str, contact: ContactNumbers) -> None:
    if contact.condim not in (1, 3, 4, 6):
        _fail(f"condim of {what}", "be 1, 3, 4 or 6", contact.condim)
    for name in ("torsional", "rolling", "solmix", "base"):
        value = getattr(contact, name)
        if not 0 <= value < np.inf:
            _fail(f"{name} of {what}", "be finite and >= 0", value)
    for name in ("margin", "gap"):
        if not np.isfinite(getattr(contact, name)):
            _fail(f"{name} of {what}", "be finite", getattr(contact, name))
    check_solref(f"solref of {what}", contact.solref)
    check_solimp(f"solimp of {what}", contact.solimp)


def _check_tables(model: "RigidModel", numbers: MujocoNumbers) -> None:
    for joint, row in zip(model.joints, range(len(numbers.joints)), strict=True):
        what = f"joint {joint.name!r} of {model.name}"
        check_solref(f"solref of the limit of {what}", numbers.joints.solref[row].tolist())
        check_solimp(f"solimp of the limit of {what}", numbers.joints.solimp[row].tolist())
        if not np.isfinite(numbers.joints.margin[row]):
            _fail(f"margin of {what}", "be finite", numbers.joints.margin[row])
        check_solref(f"solref of the dry friction of {what}", numbers.dofs.solref[joint.dof].tolist())
        check_solimp(f"solimp of the dry friction of {what}", numbers.dofs.solimp[joint.dof].tolist())
        if not 0 <= numbers.dofs.frictionloss[joint.dof] < np.inf:
            _fail(f"frictionloss of {what}", "be finite and >= 0", numbers.dofs.frictionloss[joint.dof])
    for row in range(len(numbers.equalities)):
        check_solref(f"solref of equality {row} of {model.name}", numbers.equalities.solref[row].tolist())
        check_solimp(f"solimp of equality {row} of {model.name}", numbers.equalities.solimp[row].tolist())
    for row in range(len(numbers.tendons)):
        what = f"tendon {row} of {model.name}"
        for name, of in (("", "limits"), ("loss_", "dry friction")):
            check_solref(f"solref of the {of} of {what}", getattr(numbers.tendons, f"{name}solref")[row].tolist())
            check_solimp(f"solimp of the {of} of {what}", getattr(numbers.tendons, f"{name}solimp")[row].tolist())
        for name in ("stiffness", "damping", "armature", "frictionloss"):
            number = getattr(numbers.tendons, name)[row]
            if not 0 <= number < np.inf:
                _fail(f"{name} of {what}", "be finite and >= 0", number)
    pairs = numbers.pairs
    for row in range(len(pairs)):
        shapes = [model.geoms[i] if i >= 0 else model.grounds[pairs.ground[row]] for i in pairs.geom[row].tolist()]
        what = f"of contact pair ({', '.join(shape.name for shape in shapes)}) of {model.name}"
        if pairs.condim[row] not in (1, 3, 4, 6):
            _fail(f"condim {what}", "be 1, 3, 4 or 6", int(pairs.condim[row]))
        for name, values in (("margin", pairs.margin), ("gap", pairs.gap)):
            if not np.isfinite(values[row]):
                _fail(f"{name} {what}", "be finite", float(values[row]))
        if not (np.isfinite(pairs.friction[row]).all() and (pairs.friction[row] >= 0).all()):
            _fail(f"friction {what}", "be five numbers, finite and >= 0", tuple(pairs.friction[row].tolist()))
        check_solref(f"solref {what}", pairs.solref[row].tolist())
        check_solref(f"solreffriction {what}", pairs.solreffriction[row].tolist())
        check_solimp(f"solimp {what}", pairs.solimp[row].tolist())
    for name, time in zip(numbers.actuator_names, numbers.actuators.time.tolist(), strict=True):
        if not 0 < time < np.inf:
            _fail(f"time constant of actuator {name!r} of {model.name}", "be finite and > 0", time)
    for options in numbers.options:
        of = f"of {options.source}"
        checks: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
            ("timestep", lambda value: 0 < value < np.inf, "be finite and > 0"),
            ("impratio", lambda value: 0 < value < np.inf, "be finite and > 0"),
            ("density", lambda value: 0 <= value < np.inf, "be finite and >= 0"),
            ("viscosity", lambda value: 0 <= value < np.inf, "be finite and >= 0"),
            ("gravity", lambda value: bool(np.isfinite(value).all()), "be finite"),
            ("wind", lambda value: bool(np.isfinite(value).all()), "be finite"),
            ("integrator", lambda value: value in INTEGRATORS, f"be one of {', '.join(INTEGRATORS)}"),
        )
        for name, right, constraint in checks:
            if not right(getattr(options, name)):
                _fail(f"{name} {of}", constraint, getattr(options, name))


def _fail(what: str, law: str, got: Any, remedy: str = "Change it.") -> None:
    raise GenesisValueError(f"{what} must {law}, got {got}. {remedy}")


def _rest(model: Any, name: str, index: int) -> np.ndarray:
    return np.ravel(getattr(model, name)[index])[1:]


def _newer(model: Any, name: str, index: int) -> np.ndarray:
    """An entry of an array that only some versions of MuJoCo have; else zero."""
    array = getattr(model, name, None)
    return np.zeros(1) if array is None else np.ravel(array[index])


def _label(kind: str, index: int, name: str) -> str:
    return name or f"{kind} {index}"
