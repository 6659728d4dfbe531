"""Physical parameters of a rigid entity: setters and getters.

A value is a number or a tensor: () for all chosen links or degrees of freedom, (n,) for each of them, (B, n) or (B, 1)
also per environment, with `envs_idx` a row for each chosen environment. A tensor that requires a gradient gets one. If
it is a leaf that is given for all of the entity's links, geoms or degrees of freedom, it is kept: later windows reach
it too, and an optimiser's in-place step on it takes effect at the next `scene.step()`. Everything else (computed
tensors, and values for only some of these) must be set again after each `scene.detach_()`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch

from genesis.checks import boolean, check_range
from genesis.engine.entities.articulated import ArticulatedBody, Units
from genesis.engine.entities.ground import must_have_coup_friction
from genesis.engine.inputs import Environments, numeric
from genesis.engine.parameters import Parameter, place_of
from genesis.errors import GenesisValueError
from genesis.grad.tensor import Tensor, plain_of
from genesis.loaders import rotations, shapes
from genesis.loaders.invweight import geom_and_dof_invweights
from genesis.solvers.rigid.prepare import UNLIMITED
from genesis.warning import warn_once

MODEL = ("rigid", "model")


class RigidParameters(ArticulatedBody):
    """Abstract: the part of a rigid entity that has to do with its parameters."""

    def set_mass(self, mass: Any, links_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set masses of links, kg, > 0. Inertias and centres of mass keep their values: see `set_inertia`."""
        self._set("mass", mass, self._links_idx(links_idx_local), links_idx_local is None, envs_idx)

    def set_inertia(self, inertia: Any, links_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set inertias of links, kg m^2, about their centre of mass, along the link's axes.

        Positive definite, and no principal moment larger than the sum of the other two.

        Args:
            inertia: Six numbers xx, yy, zz, xy, xz, yz in place of each one: (6,), (n, 6), (B, n, 6) or (B, 1, 6).
        """
        self._set("inertia", inertia, self._links_idx(links_idx_local), links_idx_local is None, envs_idx)

    def set_friction(self, friction: Any, geoms_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set Coulomb coefficients of `geoms`, >= 0. The larger one of two surfaces that touch counts.

        Explicit contact pairs of a file have their own, which stay.
        """
        self._set("friction", friction, self._geoms_idx(geoms_idx_local), geoms_idx_local is None, envs_idx)

    def set_coup_friction(self, friction: Any, geoms_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set Coulomb coefficients of `geoms` against particles, >= 0.

        Raises:
            GenesisTypeError: The material has no `coup_friction`: particles slide with the friction.
        """
        must_have_coup_friction(self)
        self._set("coup_friction", friction, self._geoms_idx(geoms_idx_local), geoms_idx_local is None, envs_idx)

    def set_contact_stiffness(
        self, stiffness: Any, links_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Set the force per penetration depth of links, N/m, > 0. What is fixed to the world is as hard as the ground.

        Raises:
            GenesisValueError: Also if contact between bodies would be unstable at the scene's substep.
        """
        self._set("contact_stiffness", stiffness, self._links_idx(links_idx_local), links_idx_local is None, envs_idx)

    def set_dofs_kp(self, kp: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set gains of `control_dofs_position`, N/m or N m/rad, >= 0."""
        self._set("kp", kp, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_kv(self, kv: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set gains of `control_dofs_velocity`, which also damp position control, N s/m or N m s/rad, >= 0."""
        self._set("kv", kv, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_damping(self, damping: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set damping, N s/m or N m s/rad, >= 0."""
        self._set("damping", damping, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_armature(self, armature: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set what rotors add to the inertia, kg or kg m^2, >= 0."""
        self._set("armature", armature, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_stiffness(self, stiffness: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set stiffness of springs, N/m or N m/rad, >= 0; what they pull to is the model's `spring_ref`.

        Free joints have no springs: theirs must be zero.
        """
        self._set("stiffness", stiffness, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_force_range(
        self, lower: Any, upper: Any, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Set the range of the force of controls and drives, N or N m, lower <= 0 <= upper; infinite for none.

        A force that is cut off has no derivative but that by the end of the range.

        Raises:
            GenesisValueError: An actuator with a law, and a range, of its own acts on a chosen degree of freedom.
        """
        chosen, whole = self._dofs_idx(dofs_idx_local), dofs_idx_local is None
        mujoco = self._offsets.actuators is not None
        taken = next((dof for dof in chosen if mujoco and dof in self.model.actuator_table.taken), None)
        if taken is not None:
            raise GenesisValueError(
                f"{self.name}.force_range must be of degrees of freedom without actuators with a law of their own, got "
                f"{taken}, on which one acts. Choose others with dofs_idx_local; its range stands in the file."
            )
        changed = {}
        for name, end in (("force_low", lower), ("force_high", upper)):
            if end is not None:
                end = numeric(f"{self.name}.{name}", end, self._values.scene)
                end = end.clamp(-UNLIMITED, UNLIMITED) if bool(end.detach().isinf().any()) else end
            changed |= self._changed(name, end, chosen, whole, envs_idx)
        self._values.set_parameters(MODEL, changed)

    def get_dofs_force_range(
        self, dofs_idx_local: Units = None, envs_idx: Environments = None
    ) -> tuple[Tensor, Tensor]:
        """(B, n), (B, n) range of the force of controls and drives, N or N m; infinite where there is none."""
        dofs, n = self._dofs_idx(dofs_idx_local), self.n_dofs
        low, high = (self._get(name, dofs, n, envs_idx) for name in ("force_low", "force_high"))
        ends = low.masked_fill(low <= -UNLIMITED, -math.inf), high.masked_fill(high >= UNLIMITED, math.inf)
        return cast(tuple[Tensor, Tensor], ends)

    def get_mass(self, envs_idx: Environments = None) -> Tensor:
        """(B,) mass of all links, kg."""
        return cast(Tensor, self.get_links_mass(envs_idx=envs_idx).sum(1))

    def get_links_mass(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) kg."""
        return self._get("mass", self._links_idx(links_idx_local), self.n_links, envs_idx)

    def get_links_inertia(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 6) xx, yy, zz, xy, xz, yz about the centre of mass along the link's axes, kg m^2."""
        return self._get("inertia", self._links_idx(links_idx_local), self.n_links, envs_idx, (6,))

    def get_friction(self, geoms_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) Coulomb coefficients of `geoms`."""
        return self._get("friction", self._geoms_idx(geoms_idx_local), self.n_geoms, envs_idx)

    def get_coup_friction(self, geoms_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) Coulomb coefficients of `geoms` against particles."""
        name = "friction" if self.material.coup_friction is None else "coup_friction"
        return self._get(name, self._geoms_idx(geoms_idx_local), self.n_geoms, envs_idx)

    def get_contact_stiffness(self, links_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) N/m."""
        return self._get("contact_stiffness", self._links_idx(links_idx_local), self.n_links, envs_idx)

    def get_dofs_kp(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) N/m or N m/rad."""
        return self._get("kp", self._dofs_idx(dofs_idx_local), self.n_dofs, envs_idx)

    def get_dofs_kv(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) N s/m or N m s/rad."""
        return self._get("kv", self._dofs_idx(dofs_idx_local), self.n_dofs, envs_idx)

    def get_dofs_damping(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) N s/m or N m s/rad."""
        return self._get("damping", self._dofs_idx(dofs_idx_local), self.n_dofs, envs_idx)

    def get_dofs_armature(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) kg or kg m^2."""
        return self._get("armature", self._dofs_idx(dofs_idx_local), self.n_dofs, envs_idx)

    def get_dofs_stiffness(self, dofs_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n) N/m or N m/rad."""
        return self._get("stiffness", self._dofs_idx(dofs_idx_local), self.n_dofs, envs_idx)

    # With `MujocoContact`.

    def set_geoms_solref(self, solref: Any, geoms_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set (time constant s, damping ratio) of contact of `geoms`, or (-stiffness, -damping): (2,), (n, 2), ...

        `MujocoContact` only, as with all that follow.
        """
        self._set("solref", solref, self._geoms_idx(geoms_idx_local), geoms_idx_local is None, envs_idx)

    def set_geoms_solimp(self, solimp: Any, geoms_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set (d_min, d_max, width m, midpoint, power) of contact of `geoms`: (5,), (n, 5), ..."""
        self._set("solimp", solimp, self._geoms_idx(geoms_idx_local), geoms_idx_local is None, envs_idx)

    def set_geoms_rotational_friction(
        self, friction: Any, geoms_idx_local: Units = None, envs_idx: Environments = None
    ) -> None:
        """Set (torsional, rolling) friction of `geoms`, m: (2,), (n, 2), ... Acts with condim 4 and 6."""
        self._set("rotational_friction", friction, self._geoms_idx(geoms_idx_local), geoms_idx_local is None, envs_idx)

    def set_geoms_size(
        self, size: Any, geoms_idx_local: Units = None, envs_idx: Environments = None, inertia: bool = False
    ) -> None:
        """Set sizes of `geoms`, m, > 0: (radius, -, -) of spheres, (radius, half length, -) of capsules, whose ends are
        beyond that, and cylinders, half edges of boxes, semi-axes of ellipsoids.

        Only contact sees them: pictures, and particles, keep the sizes of build.

        Args:
            size: Three numbers in place of each one: (3,), (n, 3), (B, n, 3) or (B, 1, 3); "-" may be anything >= 0.
            inertia: Whether masses and inertias of their links follow, at the density of the model; as with MuJoCo's
                `geom_size` they do not by default. The links must be solid shapes of one geom each.

        Raises:
            GenesisValueError: A geom is a mesh, or its link is not such a shape.
        """
        chosen = self._geoms_idx(geoms_idx_local)
        if self._values.simulator.coupling.matter:
            warn_once(
                f"particles do not feel set_geoms_size of {self.name!r}: to them its shapes keep their sizes of build."
            )
        for index in chosen:
            geom = self.geoms[index]
            if geom.kind not in shapes.N_SIZES:
                raise GenesisValueError(
                    f"geoms must be {', '.join(shapes.SOLIDS)} to have a size, got {geom.name!r}, a {geom.kind}. "
                    "Choose others with geoms_idx_local."
                )
        solids = [self._solid(index) for index in chosen] if boolean("inertia", inertia) else []
        given = numeric(f"{self.name}.size", size, self._values.scene)
        if given.dim() and given.shape[-1] == 3:
            several = given.dim() > 1 and given.shape[-2] == len(chosen) > 1
            for k, index in enumerate(chosen):
                own = given[..., k, :] if several else given
                check_range(f"{self.name}.size", own[..., : shapes.N_SIZES[self.geoms[index].kind]], 0.0)
        self._set("size", size, chosen, geoms_idx_local is None, envs_idx)
        if not solids:
            return
        new, envs = self.get_geoms_size(list(chosen), envs_idx), self._chosen(envs_idx)
        masses, inertias = [], []
        for (_, density, turn), own, index in zip(solids, plain_of(new).unbind(1), chosen, strict=True):
            kind, numbers = self.geoms[index].kind, cast(Any, own.unbind(-1))
            mass: Any = density * shapes.volume(kind, numbers)
            moments = torch.stack(cast(Any, shapes.inertia(kind, numbers, mass)[:3]), -1)
            axes = torch.as_tensor(turn, dtype=own.dtype, device=own.device)
            matrix = torch.einsum("ij,bj,kj->bik", axes, moments, axes)
            masses.append(mass)
            inertias.append(matrix.flatten(1)[:, [0, 4, 8, 1, 2, 5]])
        links = [link for link, _, _ in solids]
        self.set_mass(torch.stack(masses, 1), links, envs)
        self.set_inertia(torch.stack(inertias, 1), links, envs)

    def get_geoms_size(self, geoms_idx_local: Units = None, envs_idx: Environments = None) -> Tensor:
        """(B, n, 3) as in `set_geoms_size`, m."""
        return self._get("size", self._geoms_idx(geoms_idx_local), self.n_geoms, envs_idx, (3,))

    def set_dofs_frictionloss(self, force: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """Set the dry friction of degrees of freedom, >= 0, N or N m."""
        self._set("frictionloss", force, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_limit_solref(self, solref: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """The same as `set_geoms_solref` of joint limits."""
        self._set("limit_solref", solref, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    def set_dofs_limit_solimp(self, solimp: Any, dofs_idx_local: Units = None, envs_idx: Environments = None) -> None:
        """The same as `set_geoms_solimp` of joint limits; the width is in rad (m of slides)."""
        self._set("limit_solimp", solimp, self._dofs_idx(dofs_idx_local), dofs_idx_local is None, envs_idx)

    @torch.no_grad()
    def refresh_invweights(self, envs_idx: Environments = None) -> None:
        """Compute the inverse weights of geoms and degrees of freedom anew from present masses, inertias and armature.

        They scale how hard contacts and limits are. As in MuJoCo, setting a mass leaves them as they were; there it is
        `mj_setConst` that refreshes them. No gradient passes through them.
        """
        self._place_of("invweight")
        present = (self.get_links_mass(), self.get_links_inertia(), self.get_dofs_armature())
        masses, inertias, armatures = (plain_of(value).cpu().double().numpy() for value in present)
        chosen, found = self._chosen(envs_idx), []
        for mass, inertia, armature in zip(masses, inertias, armatures, strict=True):
            model = replace(self.model, mass=mass, inertia=inertia, armature=armature)
            found.append(np.concatenate(geom_and_dof_invweights(model)))
        rows = torch.as_tensor(np.stack(found))
        rows = rows if chosen is None else rows[chosen.cpu()]
        geoms, dofs = rows.split((self.n_geoms, self.n_dofs), 1)
        self._set("invweight", geoms, range(self.n_geoms), True, envs_idx)
        self._set("dof_invweight", dofs, range(self.n_dofs), True, envs_idx)

    # Within.

    def _solid(self, index: int) -> tuple[int, float, np.ndarray]:
        """Link, density and rotation of a geom that is all of its link."""
        geom, model = self.geoms[index], self.model
        link = geom.link
        turn = rotations.matrix(np.asarray(geom.quat))
        mass, density = float(model.mass[link]), float(model.mass[link]) / shapes.volume(geom.kind, geom.size)
        moments = turn @ np.diag(shapes.inertia(geom.kind, geom.size, mass)[:3]) @ turn.T
        alone = sum(other.link == link for other in self.geoms) == 1
        alike = np.allclose(rotations.six(moments), model.inertia[link], rtol=1e-5, atol=1e-8 * np.trace(moments))
        if not (alone and alike and np.allclose(model.com[link], geom.pos, atol=1e-6)):
            raise GenesisValueError(
                f"link {model.link_names[link]!r} must be a solid shape of one geom for its inertia to follow, got "
                "other masses. Call set_mass and set_inertia."
            )
        return link, density, turn

    def _set(self, parameter_name: str, value: Any, chosen: Sequence[int], whole: bool, envs_idx: Environments) -> None:
        self._values.set_parameters(MODEL, self._changed(parameter_name, value, chosen, whole, envs_idx))

    def _changed(
        self, parameter_name: str, value: Any, chosen: Sequence[int], whole: bool, envs_idx: Environments
    ) -> dict[int, Parameter]:
        """Of a parameter that is to be set its index, and what it will be."""
        values, place = self._values, self._place_of(parameter_name)
        envs = self._chosen(envs_idx)
        old = values.parameters(MODEL)[place]
        tensor = old.given(value, values.scene)
        whole = whole or list(chosen) == list(range(old.item[0]))
        changed = old.assign(tensor, envs) if whole else old.assign_units(tensor, chosen, envs)
        if parameter_name == "stiffness" and self._coordinates.free:
            packed = changed.pack(torch.float64, torch.device("cpu")).detach()[:, list(self._coordinates.free)]
            if packed.any():
                raise GenesisValueError(
                    f"{old.what} must be zero at free joints, got {packed.max().item():.4g}. "
                    "Choose other degrees of freedom with dofs_idx_local."
                )
        return {place: changed}

    def _place_of(self, parameter_name: str) -> int:
        """Index of its `Parameter`."""
        return place_of(self._offsets.numbers, parameter_name, self.name)

    def _get(
        self, parameter_name: str, chosen: Sequence[int], n: int, envs_idx: Environments, item: tuple[int, ...] = ()
    ) -> Tensor:
        self._place_of(parameter_name)
        first, size = self._offsets.first_parameter[parameter_name], n * (item[0] if item else 1)
        packed = self._values.read("rigid", "model")[:, first : first + size]
        return self._columns(packed.unflatten(1, (n, *item)) if item else packed, chosen, envs_idx)
