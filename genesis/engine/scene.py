"""`Scene`: what users build, step, read and reset. The work is done by `Values` and below."""

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, final

import torch
from typing_extensions import Unpack

from genesis import runtime
from genesis.checks import boolean, integer, optional_instance
from genesis.engine import assembly
from genesis.engine.entities.base import Entity
from genesis.engine.failures import Failure
from genesis.engine.inputs import Array, Environments, environments, numeric, require_finite
from genesis.engine.kinds import KINDS, kind_of
from genesis.engine.kinds.base import of_kind
from genesis.engine.simulator import Simulator
from genesis.engine.solver_view import SolverView
from genesis.engine.state import SceneState
from genesis.engine.values import Values
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError
from genesis.grad.modes import ordinary, refuse_transforms
from genesis.morphs import Morph
from genesis.options import OwnOptions, SimOptions, SolverOptions, ViewerOptions, VisOptions
from genesis.public_engine import keywords, missing
from genesis.public_names import NO_WINDOW, WEB_VIEWER
from genesis.render.camera import Camera, Lens
from genesis.render.markers import Marker, Markers
from genesis.surfaces import Default
from genesis.warning import warn_once


@final
class Scene:
    """Bodies in a number of independent environments, and their simulation.

    A step is a pure function of state, controls and parameters, and one node of torch's autograd graph. Setters act at
    once, getters read the present. Both are differentiable if `SimOptions.requires_grad` is on; else nothing joins a
    graph, and what setters are given is detached.

    Args:
        sim_options: Of the whole scene; None for the defaults, as with those that follow.
        vis_options: Of pictures.
        viewer_options: For scripts of the public engine; without effect.
        show_viewer: With True a notice says how to see an environment in the browser: there is no window.
        solver_options: Of each kind of matter or bodies: `mpm_options` of particles, `tool_options` of tools,
            `rigid_options` of robots.
    """

    @keywords
    def __init__(
        self,
        sim_options: SimOptions | None = None,
        vis_options: VisOptions | None = None,
        viewer_options: ViewerOptions | None = None,
        show_viewer: bool = False,
        **solver_options: Unpack[SolverOptions],
    ) -> None:
        runtime.current()
        optional_instance("sim_options", sim_options, SimOptions)
        optional_instance("vis_options", vis_options, VisOptions)
        optional_instance("viewer_options", viewer_options, ViewerOptions)
        known = {kind.options_name: kind.options for kind in KINDS}
        given = dict(solver_options)
        for name in given:
            if name not in known:
                raise GenesisTypeError(
                    f"options of a scene must be among sim_options, vis_options, {', '.join(known)}, got {name}. "
                    "Choose one of these."
                )
            optional_instance(name, given[name], known[name])
            own = given[name]
            if isinstance(own, OwnOptions):
                own.check_with(sim_options or SimOptions())
        if boolean("show_viewer", show_viewer):
            warn_once(f"show_viewer has no effect: {NO_WINDOW}: {WEB_VIEWER}")
        self.uid = str(uuid.uuid4())
        self.sim_options = sim_options or SimOptions()
        self.vis_options = vis_options or VisOptions()
        self.solver_options = {name: given.get(name) or options() for name, options in known.items()}
        """By keyword."""
        self._entities: list[Entity] = []
        self._built: Values | None = None
        self._cameras: list[Camera] = []
        self._markers = Markers()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing("Scene", name)

    def __repr__(self) -> str:
        return f"{type(self)} id: '{self.uid}'"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise GenesisRuntimeError(
            f"a scene must not be copied or pickled, got {self!r}. Build another one alike, and give it "
            "scene.get_state(), which can be copied, pickled and saved, by its reset(state)."
        )

    # What it is.

    @property
    def entities(self) -> list[Entity]:
        """In the order in which they were added."""
        return list(self._entities)

    @property
    def solvers(self) -> list[SolverView]:
        """Those that the scene has, in the order of `get_state().solvers_state`."""
        self._must_be_built(True)
        return list(self._solvers)

    @property
    def mpm_solver(self) -> SolverView | None:
        """That of particles; None where there are none."""
        return self._solver("mpm")

    @property
    def tool_solver(self) -> SolverView | None:
        """That of tools; None where there are none."""
        return self._solver("tool")

    @property
    def rigid_solver(self) -> SolverView | None:
        """That of rigid bodies; None where there are none."""
        return self._solver("rigid")

    @property
    def cameras(self) -> list[Camera]:
        """In the order in which they were added."""
        return list(self._cameras)

    @property
    def is_built(self) -> bool:
        """Whether `build` has been called."""
        return self._built is not None

    @property
    def n_envs(self) -> int:
        """B, the number of environments."""
        return self._values.n_envs

    @property
    def dt(self) -> float:
        """Control step, s."""
        return self.sim_options.dt

    @property
    def substeps(self) -> int:
        """Solver substeps in a control step; known once it is built, if the options leave it open."""
        return self.sim_options.substeps

    @property
    def requires_grad(self) -> bool:
        """Whether steps and setters join torch's autograd graph."""
        return self.sim_options.requires_grad

    @property
    def t(self) -> int:
        """Steps since the scene was built, or all of it was reset."""
        return self._values.t

    @property
    def unconverged(self) -> int:
        """In how many evaluations `MujocoContact` was cut off by `RigidOptions.iterations`, and in how many substeps
        the search for the velocities with which links yield to particles, in all environments, since the scene was
        built."""
        self._must_be_built(True)
        return self._values.simulator.unconverged

    @property
    def failures(self) -> list[Failure]:
        """(step, substep, env, field, body) of each environment that failed in the last step or a backward since."""
        return list(self._values.simulator.failures)

    # Building.

    @keywords
    def add_entity(
        self,
        morph: Morph,
        material: Any = None,
        surface: Default | None = None,
        vis_mode: str | None = None,
        name: str | None = None,
    ) -> Any:
        """Add a body and return it. Planes and height fields of a robot's file become entities after it.

        Args:
            morph: Shape and pose.
            material: Decides what moves it: `materials.MPM.…` particles, `materials.Tool` its own velocity,
                `materials.Rigid` (the default) its joints and what it touches. A Plane or a Terrain of material Rigid
                is the ground of rigid bodies.
            surface: Its looks.
            vis_mode: Short for `surfaces.Default(vis_mode=...)`.
            name: Unique; default its class and number.

        Raises:
            GenesisTypeError: The material does not go with the morph.
            GenesisValueError: A model file that cannot be read, or with elements that are not supported.
        """
        self._must_be_built(False)
        for what, value, kind in (("morph", morph, Morph), ("surface", surface or Default(), Default)):
            if not isinstance(value, kind):
                raise GenesisTypeError(
                    f"{what} must be one of genesis.{kind.__module__.split('.')[-1]}, got {type(value).__name__}. "
                    "Construct one."
                )
        surface = surface or Default()
        if vis_mode is not None:
            surface = Default(color=surface.color, vis_mode=vis_mode)
        idx = len(self._entities)
        name = name if name is not None else f"{type(morph).__name__.lower()}_{idx}"
        if not isinstance(name, str) or any(entity.name == name for entity in self._entities):
            raise GenesisValueError(f"name must be a string that no other entity has, got {name!r}. Choose another.")
        kind, material = kind_of(morph, material)
        options = self.solver_options[kind.options_name]
        entities = kind.entities(idx, name, morph, material, surface, options)
        self._entities += entities
        return entities[0]

    def add_emitter(self, material: Any = None, max_particles: int = 20000, surface: Any = None) -> NoReturn:
        """Refused: particles are as many as they were at build.

        Raises:
            GenesisRuntimeError: Always, with the way out.
        """
        raise GenesisRuntimeError(
            "particles must all be there when a scene is built, got add_emitter. Add a body of all that is to flow, "
            "switch it off with entity.set_active(False), and switch particles on by a mask when their time has come."
        )

    @keywords
    @ordinary
    def build(self, n_envs: int = 1, outputs: Sequence[str] = ()) -> None:
        """Make the solvers, for `n_envs` environments (0 counts as 1). All values exist from here on.

        Args:
            outputs: Extra results of every step: "wrench" for `tool.get_wrench()`; of rigid bodies "contacts" for
                `get_contacts()`, "link_wrench" for `get_links_wrench()` and `get_force_torque()`,
                "link_acceleration" for `get_links_acceleration()` and `get_imu()`, "last_evaluation" for
                `get_last_evaluation()`.

        Raises:
            GenesisRuntimeError: Built already, or no entities.
            GenesisValueError: Particles outside the domain, or in a rigid body or a ground, a substep too long for a
                stiffness, per-environment values for another number of environments.
        """
        self._must_be_built(False)
        refuse_transforms("scene.build")
        n_envs = max(1, integer("n_envs", n_envs, 0))
        outputs = self._checked_outputs(outputs)
        if not self._entities:
            raise GenesisRuntimeError("a scene must have an entity before it is built, got none. Call add_entity.")
        self.sim_options = assembly.with_substeps(self._entities, self.sim_options, self.solver_options)
        parts = assembly.assemble(self._entities, self, self.solver_options, n_envs, outputs)
        parameters, check = assembly.parameters(parts, self, n_envs), assembly.checks(parts)
        check(parameters)
        budget = self.sim_options.frame_budget_mb * 1e6 if self.requires_grad else 0.0
        simulator = Simulator(assembly.couple(parts, self.sim_options), n_envs, self.substeps, budget)
        self._built = Values(self, simulator, KINDS, parameters, check, self.requires_grad)
        for entity in self._entities:
            entity._built = self._built
        self._solvers = [
            SolverView(kind.name, self._built, of_kind(kind, self._entities))
            for kind in KINDS
            if kind.name in self._built.state()
        ]

    # Living.

    @keywords
    def step(self) -> None:
        """Advance all environments by `dt`."""
        self._values.step()

    def get_state(self) -> SceneState:
        """The present state: no copy, connected to the graph."""
        return self._values.state()

    def reset(self, state: SceneState | None = None, envs_idx: Environments = None) -> None:
        """Set state and controls to those of build time, or to `state`, and outputs to zero.

        Args:
            state: From `get_state` of this scene, or of one with the same bodies and number of environments, saved and
                loaded perhaps; stays connected to its graph, so that several rollouts can branch from it. Not copied.
            envs_idx: Environments to reset, indices or a mask; None for all, and the step count too.
        """
        values = self._values
        envs = environments(envs_idx, values.n_envs)
        if state is not None:
            self._check_state(state, envs)
        values.reset(state, envs)

    def detach_(self) -> None:
        """Cut the graph: the state, controls and outputs of now become constants, and a new window begins.

        Parameters stay connected. One that was computed from another tensor must be set again before the next step.
        """
        self._values.detach()

    def set_gravity(self, gravity: Array, envs_idx: Environments = None) -> None:
        """Set gravity, (3,) or (B, 3), m/s^2, world frame. A tensor that requires a gradient gets one."""
        values = self._values
        envs = environments(envs_idx, values.n_envs)
        old = values.parameters(("scene", "gravity"))[0]
        values.set_parameters(("scene", "gravity"), {0: old.assign(numeric("gravity", gravity, self), envs)})

    # Being seen.

    @keywords
    def add_camera(
        self,
        res: tuple[int, int] = (512, 512),
        pos: tuple[float, float, float] = (0.5, 2.5, 3.5),
        lookat: tuple[float, float, float] = (0.5, 0.5, 0.5),
        up: tuple[float, float, float] = (0.0, 0.0, 1.0),
        fov: float = 30.0,
    ) -> Camera:
        """Add a camera, before or after `build`; it takes pictures once the scene is built.

        Args:
            res: Width and height, pixels.
            pos: Where it is, world frame, m.
            lookat: A point in the middle of the picture, m.
            up: What points up in the picture.
            fov: Vertical opening angle, degrees, below 170.

        Raises:
            GenesisValueError: An argument violates its constraint.
        """
        camera = Camera(self, self._markers, self.vis_options.floor_height, Lens(res=res, fov=fov), pos, lookat, up)
        self._cameras.append(camera)
        return camera

    def draw_debug_sphere(self, pos: Array, radius: float = 0.01, color: Any = "red") -> Marker:
        """Mark a place, (3,) or (B, 3), m, by a ball that only cameras see."""
        return self._markers.ball(pos, radius, color, self.n_envs)

    def draw_debug_line(self, start: Array, end: Array, radius: float = 0.002, color: Any = "red") -> Marker:
        """Draw a straight rod between two places, (3,) or (B, 3) each, m, that only cameras see."""
        return self._markers.rod(start, end, radius, color, self.n_envs)

    @property
    def debug_objects(self) -> Markers:
        """What `draw_debug_…` has drawn and nobody has removed."""
        return self._markers

    def clear_debug_object(self, object: Marker) -> None:
        """Remove what a `draw_debug_…` returned."""
        self._markers.clear(object)

    def clear_debug_objects(self) -> None:
        """Remove all marks."""
        self._markers.clear()

    # Within.

    def check_runtime(self) -> None:
        """Raise if `gs.destroy()` has ended the runtime in which this was built: its kernels are gone."""
        self._values.simulator.check_runtime()

    def check_writable(self, tensor: torch.Tensor) -> None:
        """Raise if `tensor` shares memory with the present state, controls, parameters or outputs."""
        if self._built is not None:
            self._built.check_writable(tensor)

    def _solver(self, name: str) -> SolverView | None:
        return next((solver for solver in self.solvers if solver.name == name), None)

    @property
    def _values(self) -> Values:
        self._must_be_built(True)
        return self._built  # type: ignore[return-value]

    def _must_be_built(self, wanted: bool) -> None:
        if wanted and self._built is None:
            raise GenesisRuntimeError("a scene must be built first, got a call before. Call scene.build().")
        if not wanted and self._built is not None:
            raise GenesisRuntimeError("this must be called before scene.build(), got a built scene. Make a new Scene.")

    def _checked_outputs(self, outputs: Sequence[str]) -> tuple[str, ...]:
        if not isinstance(outputs, Sequence):
            raise GenesisTypeError(f"outputs must be a sequence of names, got {outputs!r}. Leave it out for none.")
        outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        for name in outputs:
            kind = next((kind for kind in KINDS if name in kind.outputs), None)
            if kind is None:
                raise GenesisValueError(
                    f"outputs must be among {', '.join(o for k in KINDS for o in k.outputs)}, got {name!r}. "
                    "Choose one of these."
                )
            if not of_kind(kind, self._entities):
                raise GenesisValueError(
                    f"output {name!r} must come from {kind.noun}, got a scene without one. Add one, or leave it out."
                )
        return outputs

    def _check_state(self, state: Any, envs: torch.Tensor | None) -> None:
        if not isinstance(state, SceneState):
            raise GenesisTypeError(f"state must come from scene.get_state(), got {type(state).__name__}. Pass that.")
        for what, tensor, shape in self._values.entries_of(state):
            if not isinstance(tensor, torch.Tensor):
                raise GenesisTypeError(
                    f"state {what} must be a tensor, got {type(tensor).__name__}. Take it from get_state()."
                )
            if tuple(tensor.shape) != shape or tensor.dtype != runtime.current().real:
                raise GenesisValueError(
                    f"state {what} must be {runtime.current().real} of shape {shape}, "
                    f"got {tensor.dtype} of shape {tuple(tensor.shape)}. Take it from get_state() of a scene built "
                    "alike."
                )
            rows = tensor.detach() if envs is None else tensor.detach()[envs]
            require_finite(f"state {what}", rows)
            name, field = what.split(".")
            kind = next(kind for kind in KINDS if kind.name == name)
            kind.check_state(self._entities, field, rows)
