"""The current values of a built scene, and every way to change them. Entities hold this, never the scene."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from genesis import runtime
from genesis.engine.parameters import Parameter, pack_field
from genesis.engine.simulator import Simulator
from genesis.engine.state import SceneState
from genesis.errors import GenesisRuntimeError
from genesis.grad.bridge import BackwardFlag, leaf_of, take_readout, take_step, without_effect
from genesis.grad.modes import ordinary, ordinary_of, refuse_transforms
from genesis.grad.tensor import Tensor, adopt, plain_of, remember


class StateKind(Protocol):
    """What of a kind makes its part of a scene's state; see `genesis.engine.kinds.base.Kind`."""

    name: str
    state: type
    direct: tuple[str, ...]
    zero_if_absent: tuple[str, ...]

    def other_state(self, values: Mapping[str, torch.Tensor], solver: Any) -> dict[str, torch.Tensor]: ...


class Values:
    """State, controls, parameters and outputs, as plain tensors in the simulator's canonical order.

    A value that has been handed out stays upstream of what is computed from it, so that its own gradient is whole; its
    version is compared before every use, so that an in-place edit is an error and never a silent wrong result.

    Args:
        scene: What handed-out tensors remember; referred to weakly.
        kinds: Of which the scene's state has parts.
        parameters: (solver, field) -> its numbers in row-major order.
        check_parameters: Called with changed parameters before they take effect; raises to refuse them.
    """

    def __init__(
        self,
        scene: Any,
        simulator: Simulator,
        kinds: Sequence[StateKind],
        parameters: dict[tuple[str, str], list[Parameter]],
        check_parameters: Callable[[dict[tuple[str, str], list[Parameter]]], None],
        requires_grad: bool,
    ) -> None:
        self.simulator, self.requires_grad = simulator, requires_grad
        self.n_envs = simulator.n_envs
        self.t = 0
        self._scene, self._kinds = weakref.ref(scene), kinds
        self._place = {(e.solver, e.name): i for i, e in enumerate(simulator.inputs)}
        self._n_state, self._n_state_and_controls = len(simulator.state), len(simulator.state) + len(simulator.controls)
        self._n_inputs = len(simulator.inputs)
        self._low = dict(simulator.remainders)
        for i, entry in enumerate(simulator.outputs):
            self._place[entry.solver, entry.name] = self._n_inputs + i
        self._parameters, self._check_parameters = dict(parameters), check_parameters
        self.device, self.dtype = runtime.current().device, runtime.current().real
        initial = self._initial()
        self._initial_values = [value.clone() for value in initial]
        blank = [torch.zeros(1, dtype=self.dtype, device=self.device)] * (self._n_inputs - self._n_state_and_controls)
        self._values: list[torch.Tensor] = initial + blank + self._no_outputs()
        self._versions = [value._version for value in self._values]
        self._handles: dict[int, Tensor] = {}
        self._state: SceneState | None = None
        self._readouts: dict[str, tuple[list[torch.Tensor], list[Tensor], list[int], BackwardFlag, bool]] = {}
        """By solver: values, what was read from them, its versions, whether that was differentiated, and can be."""
        self._set: dict[int, list[torch.Tensor]] = {}
        """By place: leaves that it was set from since the last step."""
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

    @ordinary
    def read(self, solver: str, name: str) -> Tensor:
        """The current value (B, *shape), remembering the scene."""
        place = self._place[solver, name]
        if place >= self._n_state_and_controls and place < self._n_inputs:
            self._refresh_parameters()
        self._check_versions()
        handle = self._handles.get(place)
        if handle is None:
            others = [leaf for of, leaves in self._set.items() if of != place for leaf in leaves]
            if others and torch.is_grad_enabled():  # no step has used them: a gradient of zero, not none
                self._values[place] = without_effect(self._values[place], others)
            handle = remember(self._values[place], self._scene())
            if self._values[place].requires_grad:
                if not torch.is_grad_enabled():
                    return handle  # without a graph: were it kept, the next step would start from it
                self._values[place] = plain_of(handle)
            self._handles[place] = handle
        return handle

    @ordinary
    def readouts(self, solver: str) -> Sequence[torch.Tensor]:
        """What a solver computes from present values, each (B, *shape), in the order of `Solver.readouts`.

        Computed once for these; the results remember the scene.
        """
        reader = self.simulator.readers[solver]
        keys = [("scene" if name == "gravity" else solver, name) for name in reader.solver.reads]
        for key in keys:
            self.read(*key)  # handed out first, so that it stays upstream
        state = [self._values[self._place[key]] for key in keys]
        keep = torch.is_grad_enabled() and any(value.requires_grad for value in state)
        if solver in self._readouts:
            of, results, versions, backward_flag, kept = self._readouts[solver]
            alike = all(a is b for a, b in zip(of, state, strict=True)) and kept == keep and not backward_flag.has_run
            if alike and versions == [result._version for result in results]:
                return results
        results, backward_flag = take_readout(reader, state)
        results = [adopt(result, self._scene()) for result in results]
        self._readouts[solver] = (state, results, [result._version for result in results], backward_flag, keep)
        return results

    @ordinary
    def readouts_at(self, solver: str, given: Mapping[str, torch.Tensor]) -> list[Tensor]:
        """`readouts` at other values (B, *shape) of some of the fields that they are functions of, by name."""
        reader = self.simulator.readers[solver]
        values = [given[name] if name in given else self.read(solver, name) for name in reader.solver.reads]
        results, _ = take_readout(reader, [plain_of(value).contiguous() for value in values])
        return [adopt(result, self._scene()) for result in results]

    @ordinary
    def state(self) -> SceneState:
        """The state of all solvers; the same object until something changes."""
        self._check_versions()
        if self._state is None:
            parts = {}
            solvers = {solver.name: solver for solver in self.simulator.coupling.solvers}
            for kind in self._kinds:
                own = [e.name for e in (*self.simulator.state, *self.simulator.controls) if e.solver == kind.name]
                if own:
                    values = {name: self.read(kind.name, name) for name in own}
                    others = kind.other_state(values, solvers[kind.name])
                    more = {k: self._remembered(v) for k, v in others.items()}
                    parts[kind.name] = kind.state(**values, **more)
            direct = {kind.name: kind.direct for kind in self._kinds}
            self._state = SceneState(parts, self.t, direct, self._scene)
        return self._state

    def _remembered(self, value: torch.Tensor) -> torch.Tensor:
        return remember(value, self._scene()) if value.is_floating_point() else value

    def entries_of(self, state: SceneState) -> list[tuple[str, torch.Tensor, tuple[int, ...]]]:
        """Name, tensor and proper shape of every state and control in `state`."""
        known = {entry.solver for entry in self.simulator.state}
        for solver in state:
            if solver not in known and state[solver] is not None:
                raise GenesisRuntimeError(
                    f"state.{solver} must be None, got one in a scene without. Take it from get_state() of a scene "
                    "built alike."
                )
        optional = {(kind.name, name) for kind in self._kinds for name in kind.zero_if_absent}
        found = []
        for solver, name, shape in (*self.simulator.state, *self.simulator.controls):
            part = state.get(solver)
            if part is None:
                raise GenesisRuntimeError(
                    f"state.{solver} must be there, got None. Take it from get_state() of a scene built alike."
                )
            value, shape = getattr(part, name), (self.n_envs, *shape)
            absent = self._place[solver, name] in self._low.values() or (solver, name) in optional
            if value is None and absent:  # of before there were any
                value = torch.zeros(shape, dtype=self.dtype, device=self.device)
            found.append((f"{solver}.{name}", value, shape))
        return found

    # Changing.

    @ordinary
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
        for low in self._low.values():
            values[low] = values[low].detach()
        versions = self._versions
        for i in (*range(self._n_state), *range(self._n_inputs, len(values))):
            versions[i] = values[i]._version
            self._handles.pop(i, None)
        self._state = None
        self._readouts.clear()
        self._set.clear()
        self.t += 1

    @ordinary
    def write(
        self,
        solver: str,
        name: str,
        rows: torch.Tensor,
        envs: torch.Tensor | None,
        begin: int | None = None,
        end: int | None = None,
        chosen: Sequence[int] | None = None,
    ) -> None:
        """Overwrite a state or control: `rows` has a row for each chosen environment.

        What is overwritten loses its gradient; everything else keeps it exactly.

        Args:
            envs: (K,) indices, or None for all.
            begin, end: Range of the second axis (particles or tools) that `rows` is for; None for all of it.
            chosen: Where in this range `rows` is new, and not what was read; None for all of it.
        """
        self.simulator.check_runtime()
        refuse_transforms("a setter")
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
        self.simulator.placements.note(solver, name, begin or 0, envs)
        self._note_set(place, [rows])
        if place in self._low:
            self._clear_remainder(self._low[place], envs, begin or 0, old.shape[1] if end is None else end, chosen)

    def _clear_remainder(
        self, place: int, envs: torch.Tensor | None, begin: int, end: int, chosen: Sequence[int] | None
    ) -> None:
        """What is set has no remainder."""
        columns = range(begin, end) if chosen is None else [begin + c for c in chosen]
        value = self._values[place].clone()
        rows = slice(None) if envs is None else envs[:, None]
        value[rows, torch.tensor(columns, dtype=torch.int64, device=self.device)] = 0.0
        self._put(place, value)

    @ordinary
    def reset(self, state: SceneState | None, envs: torch.Tensor | None) -> None:
        """State and controls back to those of build time, or to `state`; outputs to zero."""
        self.simulator.check_runtime()
        refuse_transforms("scene.reset")
        if state is None:
            new = [value.clone() if envs is None else value for value in self._initial_values]
        else:
            new = [ordinary_of(plain_of(tensor).to(self.device)) for _, tensor, _ in self.entries_of(state)]
            if not self.requires_grad:
                new = [value.detach() for value in new]
            for place, low in self._low.items():
                value, rest = new[place].detach(), new[low].detach()
                new[low] = torch.where(value + rest == value, rest, 0.0)  # else it is that of another value
        new += self._no_outputs()
        places = [*range(self._n_state_and_controls), *range(self._n_inputs, len(self._values))]
        if envs is not None:
            self._check_versions()
            new = [
                self._values[i].index_copy(0, envs, v.index_select(0, envs)) for i, v in zip(places, new, strict=True)
            ]
        else:
            self.t = 0 if state is None else state.t
        for place, value in zip(places, new, strict=True):
            self._put(place, value)
            self._set.pop(place, None)
        self.simulator.placements.note_reset(envs, state is not None)  # that of build time has been told then

    @ordinary
    def detach(self) -> None:
        """Cut the graph of state, controls and outputs; parameters that are results of a graph become stale."""
        self._check_versions()
        for place in (*range(self._n_state_and_controls), *range(self._n_inputs, len(self._values))):
            self._put(place, self._values[place].detach())
        self._set.clear()
        if self._derived:
            self._used = dict(self._derived)
            self._find_stale()

    def parameters(self, key: tuple[str, str]) -> list[Parameter]:
        """The numbers of one parameter field."""
        return self._parameters[key]

    @ordinary
    def set_parameters(self, key: tuple[str, str], changed: dict[int, Parameter]) -> None:
        """Replace some numbers of one parameter field."""
        self.simulator.check_runtime()
        refuse_transforms("a setter")
        numbers = list(self._parameters[key])
        for i, number in changed.items():
            numbers[i] = number if self.requires_grad else number.detached()
        self._check_parameters({**self._parameters, key: numbers})
        self._parameters[key] = numbers
        self._repack(key)
        self._find_stale()
        self._note_set(self._place[key], [source for number in changed.values() for source in number.sources])

    # Within.

    def _note_set(self, place: int, given: Sequence[torch.Tensor]) -> None:
        """The next read-outs come after what has been set: after leaves alone, whose graph nobody can have freed."""
        self._set.pop(place, None)
        leaves = [leaf for tensor in given if (leaf := leaf_of(tensor)) is not None]
        if leaves and self.requires_grad:
            self._set[place] = leaves
            self._handles.clear()

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
        self._state = None
        self._readouts.clear()

    def _check_versions(self) -> None:
        for value, version in zip(self._values, self._versions, strict=True):
            if value._version != version:
                place = next(i for i, v in enumerate(self._values) if v is value)
                self._raise_edited(place, "must not be edited in place", "an edit")

    def check_writable(self, tensor: torch.Tensor) -> None:
        """Raise if a current value has its memory in that of `tensor`."""
        memory = tensor.untyped_storage().data_ptr()
        for place, value in enumerate(self._values):
            if value.untyped_storage().data_ptr() == memory and memory:
                self._raise_edited(place, "must not be written by out=", "an attempt")

    def _raise_edited(self, place: int, constraint: str, got: str) -> None:
        entry = (self.simulator.inputs + self.simulator.outputs)[place]
        raise GenesisRuntimeError(
            f"{entry.solver}.{entry.name} {constraint} while it is the scene's current value, got {got}. "
            "Work on a .clone(), and give it back with a setter or scene.reset(state)."
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
