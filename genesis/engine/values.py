"""The current values of a built scene, and every way to change them. Entities hold this, never the scene."""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from genesis import runtime
from genesis.engine.parameters import Parameter, pack_field
from genesis.engine.simulator import Simulator
from genesis.engine.state import MPMState, RigidState, SceneState, ToolState
from genesis.errors import GenesisRuntimeError
from genesis.grad.bridge import Pulled, refuse_modes, take_readout, take_step
from genesis.grad.tensor import Tensor, adopt, plain_of, remember


class Values:
    """State, controls, parameters and outputs, as plain tensors in the simulator's canonical order.

    A value that has been handed out stays upstream of what is computed from it, so that its own gradient is whole; its
    version is compared before every use, so that an in-place edit is an error and never a silent wrong result.

    Args:
        scene: What handed-out tensors remember; referred to weakly.
        parameters: (solver, field) -> its numbers in row-major order.
        check_parameters: Called with changed parameters before they take effect; raises to refuse them.
    """

    def __init__(
        self,
        scene: Any,
        simulator: Simulator,
        parameters: dict[tuple[str, str], list[Parameter]],
        check_parameters: Callable[[dict[tuple[str, str], list[Parameter]]], None],
        requires_grad: bool,
    ) -> None:
        self.simulator, self.requires_grad = simulator, requires_grad
        self.n_envs = simulator.n_envs
        self.t = 0
        self._scene = weakref.ref(scene)
        self._place = {(e.solver, e.name): i for i, e in enumerate(simulator.inputs)}
        self._n_state, self._n_held = len(simulator.state), len(simulator.state) + len(simulator.controls)
        self._n_inputs = len(simulator.inputs)
        for i, entry in enumerate(simulator.outputs):
            self._place[entry.solver, entry.name] = self._n_inputs + i
        self._parameters, self._check_parameters = dict(parameters), check_parameters
        self.device, self.dtype = runtime.current().device, runtime.current().real
        initial = self._initial()
        self._initial_values = [value.clone() for value in initial]
        blank = [torch.zeros(1, dtype=self.dtype, device=self.device)] * (self._n_inputs - self._n_held)
        self._values: list[torch.Tensor] = initial + blank + self._no_outputs()
        self._versions = [value._version for value in self._values]
        self._handles: dict[int, Tensor] = {}
        self._state: SceneState | None = None
        self._readout: tuple[list[torch.Tensor], list[Tensor], list[int], Pulled, bool] | None = None
        """State, what was read from it, the versions of that, whether it was differentiated, whether it can be."""
        self._watched: list[tuple[torch.Tensor, int, tuple[str, str]]] = []
        self._used: dict[int, torch.Tensor] = {}
        """By identity: results of graphs that own a parameter and are from before the last `detach`."""
        self._derived: dict[int, torch.Tensor] = {}
        """By identity: results of graphs that own a parameter."""
        self._stale: Parameter | None = None
        for key, numbers in parameters.items():
            self._parameters[key] = numbers if requires_grad else [number.detached() for number in numbers]
            self._repack(key)
        self._find_stale()

    # Reading.

    @property
    def scene(self) -> Any:
        """The scene, or None once it is gone."""
        return self._scene()

    def has(self, solver: str, name: str) -> bool:
        """Whether there is such a value."""
        return (solver, name) in self._place

    def width(self, solver: str, name: str) -> int:
        """Length of a value's axis after that of environments."""
        return self._values[self._place[solver, name]].shape[1]

    def own(self, tensor: torch.Tensor) -> Tensor:
        """`tensor`, remembering the scene."""
        return remember(tensor, self._scene())

    def read(self, solver: str, name: str) -> Tensor:
        """The current value (B, *shape), remembering the scene."""
        place = self._place[solver, name]
        if place >= self._n_held and place < self._n_inputs:
            self._refresh_parameters()
        self._check_versions()
        handle = self._handles.get(place)
        if handle is None:
            handle = remember(self._values[place], self._scene())
            if self._values[place].requires_grad:
                if not torch.is_grad_enabled():
                    return handle  # without a graph: were it kept, the next step would start from it
                self._values[place] = plain_of(handle)
            self._handles[place] = handle
        return handle

    def links(self) -> Sequence[torch.Tensor]:
        """Positions (B, L, 3), quaternions (B, L, 4), velocities and angular velocities (B, L, 3) of all links.

        Computed once for a state; the results remember the scene.
        """
        for name in ("qpos", "dofs_vel"):
            self.read("rigid", name)  # handed out first, so that it stays upstream
        state = [self._values[self._place["rigid", name]] for name in ("qpos", "dofs_vel")]
        keep = torch.is_grad_enabled() and any(value.requires_grad for value in state)
        if self._readout is not None:
            of, results, versions, pulled, kept = self._readout
            alike = all(a is b for a, b in zip(of, state, strict=True)) and kept == keep and not pulled.yet
            if alike and versions == [result._version for result in results]:
                return results
        results, pulled = take_readout(self.simulator, state)
        results = [adopt(result, self._scene()) for result in results]
        self._readout = (state, results, [result._version for result in results], pulled, keep)
        return results

    def state(self) -> SceneState:
        """The state of all solvers; the same object until something changes."""
        self._check_versions()
        if self._state is None:
            mpm = tool = rigid = None
            if ("mpm", "pos") in self._place:
                pos, vel, C, F = (self.read("mpm", name) for name in ("pos", "vel", "C", "F"))
                ones = torch.ones(pos.shape[:2], dtype=self.dtype, device=self.device)
                memory = self.read("mpm", "memory") if self.has("mpm", "memory") else None
                mpm = MPMState(pos, vel, C, F, remember(ones, self._scene()), ones.bool(), memory)
            if ("tool", "pos") in self._place:
                tool = ToolState(*(self.read("tool", name) for name in ("pos", "quat", "vel", "ang")))
            if ("rigid", "qpos") in self._place:
                rigid = RigidState(*(self.read("rigid", name) for name in ("qpos", "dofs_vel", "dofs", "wrench")))
            self._state = SceneState(mpm, tool, rigid, self.t, self._scene)
        return self._state

    def entries_of(self, state: SceneState) -> list[tuple[str, torch.Tensor, tuple[int, ...]]]:
        """Name, tensor and proper shape of every state and control in `state`."""
        found = []
        for solver, name, shape in (*self.simulator.state, *self.simulator.controls):
            part = getattr(state, solver)
            if part is None:
                raise GenesisRuntimeError(
                    f"state.{solver} must be there, got None. Take it from this scene's get_state()."
                )
            found.append((f"{solver}.{name}", getattr(part, name), (self.n_envs, *shape)))
        return found

    # Changing.

    def step(self) -> None:
        """Replace state and outputs by those after one control step."""
        self._check_versions()
        self._refresh_parameters()
        if self._stale is not None:
            self._raise_stale(self._stale)
        values = self._values
        results = take_step(self.simulator, self.t, values[: self._n_inputs])
        values[: self._n_state] = results[: self._n_state]
        values[self._n_inputs :] = results[self._n_state :]
        versions = self._versions
        for i in (*range(self._n_state), *range(self._n_inputs, len(values))):
            versions[i] = values[i]._version
            self._handles.pop(i, None)
        self._state = self._readout = None
        self.t += 1

    def write(
        self,
        solver: str,
        name: str,
        rows: torch.Tensor,
        envs: torch.Tensor | None,
        begin: int | None = None,
        end: int | None = None,
    ) -> None:
        """Overwrite a state or control: `rows` has a row for each chosen environment.

        What is overwritten loses its gradient; everything else keeps it exactly.

        Args:
            envs: (K,) indices, or None for all.
            begin, end: Range of the second axis (particles or tools) that `rows` is for; None for all of it.
        """
        self.simulator.check_runtime()
        refuse_modes("a setter")
        place = self._place[solver, name]
        old = self._values[place]
        if not self.requires_grad:
            rows = rows.detach()
        whole = begin is None or (begin == 0 and end == old.shape[1])
        if not (whole and envs is None):
            self._check_versions()
        part = old if whole else old[:, begin:end]
        part = rows if envs is None else part.index_copy(0, envs, rows)
        if not whole:
            part = torch.slice_scatter(old, part, 1, begin, end)
        elif envs is None:
            part = rows.clone(memory_format=torch.contiguous_format)  # its memory is the user's
        self._put(place, part)

    def reset(self, state: SceneState | None, envs: torch.Tensor | None) -> None:
        """State and controls back to those of build time, or to `state`; outputs to zero."""
        self.simulator.check_runtime()
        refuse_modes("scene.reset")
        if state is None:
            new = [value.clone() if envs is None else value for value in self._initial_values]
        else:
            new = [plain_of(tensor) for _, tensor, _ in self.entries_of(state)]
            if not self.requires_grad:
                new = [value.detach() for value in new]
        new += self._no_outputs()
        places = [*range(self._n_held), *range(self._n_inputs, len(self._values))]
        if envs is not None:
            self._check_versions()
            new = [
                self._values[i].index_copy(0, envs, v.index_select(0, envs)) for i, v in zip(places, new, strict=True)
            ]
        else:
            self.t = 0 if state is None else state.t
        for place, value in zip(places, new, strict=True):
            self._put(place, value)

    def detach(self) -> None:
        """Cut the graph of state, controls and outputs; parameters that are results of a graph become stale."""
        self._check_versions()
        for place in (*range(self._n_held), *range(self._n_inputs, len(self._values))):
            self._put(place, self._values[place].detach())
        if self._derived:
            self._used = dict(self._derived)
            self._find_stale()

    def parameters(self, key: tuple[str, str]) -> list[Parameter]:
        """The numbers of one parameter field."""
        return self._parameters[key]

    def set_parameters(self, key: tuple[str, str], changed: dict[int, Parameter]) -> None:
        """Replace some numbers of one parameter field."""
        self.simulator.check_runtime()
        refuse_modes("a setter")
        numbers = list(self._parameters[key])
        for i, number in changed.items():
            numbers[i] = number if self.requires_grad else number.detached()
        self._check_parameters({**self._parameters, key: numbers})
        self._parameters[key] = numbers
        self._repack(key)
        self._find_stale()

    # Within.

    def _initial(self) -> list[torch.Tensor]:
        """State and controls at build time, in canonical order."""
        values: dict[tuple[str, str], torch.Tensor] = {}
        coupling = self.simulator.coupling
        for solver, tensors in zip(coupling.solvers, self.simulator.initial_values(), strict=True):
            fields = (*solver.state, *solver.controls)
            for declared, tensor in zip(fields, tensors, strict=False):
                values[solver.name, declared.name] = tensor
        return [values[e.solver, e.name] for e in (*self.simulator.state, *self.simulator.controls)]

    def _no_outputs(self) -> list[torch.Tensor]:
        return [
            torch.zeros(self.n_envs, *entry.shape, dtype=self.dtype, device=self.device)
            for entry in self.simulator.outputs
        ]

    def _put(self, place: int, value: torch.Tensor) -> None:
        self._values[place] = value
        self._versions[place] = value._version
        self._handles.pop(place, None)
        self._state = self._readout = None

    def _check_versions(self) -> None:
        for value, version in zip(self._values, self._versions, strict=True):
            if value._version != version:
                place = next(i for i, v in enumerate(self._values) if v is value)
                entry = (self.simulator.inputs + self.simulator.outputs)[place]
                raise GenesisRuntimeError(
                    f"{entry.solver}.{entry.name} must not be edited in place while it is the scene's current value, "
                    "got an edit. Work on a .clone(), and give it back with a setter or scene.reset(state)."
                )

    def _repack(self, key: tuple[str, str]) -> None:
        place = self._place[key]
        shape = self.simulator.inputs[place].shape
        self._put(place, pack_field(self._parameters[key], shape, self.dtype, self.device))
        self._watched = [entry for entry in self._watched if entry[2] != key]
        for number in self._parameters[key]:
            self._watched += [(source, source._version, key) for source in number.watched]

    def _refresh_parameters(self) -> None:
        """Take over what an optimiser has written into parameters in place."""
        changed = {key: None for source, version, key in self._watched if source._version != version}
        if changed:
            for key in changed:
                for number in self._parameters[key]:
                    number.check()
            self._check_parameters(self._parameters)
            for key in changed:
                self._repack(key)

    def _find_stale(self) -> None:
        numbers = [number for field in self._parameters.values() for number in field]
        self._derived = {id(source): source for number in numbers for source in number.derived}
        self._used = {key: source for key, source in self._used.items() if key in self._derived}
        self._stale = next((n for n in numbers if any(id(source) in self._used for source in n.derived)), None)

    def _raise_stale(self, number: Parameter) -> None:
        raise GenesisRuntimeError(
            f"{number.what} must be set again after scene.detach_(), for it was computed from another tensor, whose "
            f"graph belongs to the window before. Call {number.remedy} with a newly computed value."
        )
