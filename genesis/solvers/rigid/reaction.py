"""What links and matter do to each other, as far as links are concerned.

They feel what matter does to them as wrenches over their next substep (`wrenches.py`). Links that step as often as
matter also yield to it within the substep, for this reason: one that takes its velocity V into an exchange and the
answer J of matter out of it, for its next substep, moves matter a substep long with a velocity that J has not yet
changed. On a spring k that is explicit Euler: the oscillation of a mass M grows by k h / 2 M a second. So matter goes
with the velocity U that the link will have, if it yields as a free body with mobility W (6 x 6, about its centre of
mass, of (force, torque)), and all else does to it what it did in the substep before:

    U = V + D + W J(U),      D = (V - V_before) - W J_before

J(U) is what matter gives to a link of this velocity, continuous in U and in all else. The equation is solved to
rounding (`implicit.py`), so U is continuous, too, as long as there is one solution (up to a friction of 1.3: decision
64), and its adjoint is that of an implicit function:

    lambda = gU + J'(U)^T W lambda,      gV = gD = lambda,      and J passes W lambda on to what it depends on

At rest D + W J is zero, whatever W is: nothing creeps. Of W it matters that it is no smaller than the link's own
(`light_links.py`): the exchange is then stable for links of any mass (decisions 62 and 64).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from genesis.arrays import allocate, count_bytes, select
from genesis.compiler import layout
from genesis.contact.colliders import Exchange
from genesis.launch import Launch, bind
from genesis.loaders.model import RigidModel
from genesis.solvers.rigid.implicit import implicit
from genesis.solvers.rigid.implicit_adjoint import implicit_adjoint
from genesis.solvers.rigid.publish import LinkCollider
from genesis.solvers.rigid.reaction_layout import OWN
from genesis.solvers.rigid.wrenches import wrenches

COTANGENTS = {"gpos": 3, "gquat": 4, "gvel": 3, "gang": 3}
"""Of links, and how many numbers they are."""


@dataclass
class ReactionFrames:
    """What a control step leaves behind for its adjoint, and the kernels bound to it."""

    exchange: Exchange
    total: torch.Tensor
    arrays: dict[str, torch.Tensor]
    launches: dict[str, Launch]


class Reaction:
    """Kernels, each over one of the solver's substeps. Tensors are contiguous; `links` are links' state (B, L, 13), as
    `Readout.packed` gives it.

    Args:
        colliders: K of them, all of the solver.
        first: Index of the first of them among the scene's.
        every: Substeps of the scene in one of the solver's.
        dt: Substep of the solver, s.
        mobility: (L, 2) 1 / kg and 1 / (kg m^2), W of each link, zero of those that keep their velocity in an exchange;
            None where all do.
    """

    def __init__(
        self, colliders: Sequence[LinkCollider], model: RigidModel, first: int, every: int, dt: float,
        mobility: torch.Tensor | None = None,
    ) -> None:  # fmt: skip
        lay = layout()
        self._first, self._every, self._n_links, self._colliders = first, every, model.n_links, len(colliders)
        self._links = [collider.link for collider in colliders]
        self.yields = mobility is not None
        given = {
            "dt": torch.tensor([dt], dtype=torch.float64),
            "com": torch.as_tensor(model.com.copy()),
            "mobility": torch.zeros(model.n_links, 2) if mobility is None else mobility,
        }
        opts = {"dtype": lay.dtype, "device": lay.device}
        self._constants = {name: value.flatten().to(**opts) for name, value in given.items()}
        self._extents: dict[tuple[int, int, int], torch.Tensor] = {}
        self._shared: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

    # Frames.

    def _sizes(self, n_envs: int, substeps: int, colliders: int = 0) -> dict[str, int]:
        return {"envs": n_envs, "links": self._n_links, "substeps": substeps, "colliders": colliders, "blocks": 0}

    def _sizes_of(self, exchange: Exchange) -> dict[str, int]:
        sizes = exchange.sizes
        return self._sizes(sizes["envs"], sizes["substeps"], sizes["colliders"])

    def frame_bytes(self, n_envs: int, substeps: int) -> int:
        """Size of what `allocate` makes."""
        return count_bytes(OWN, self._sizes(n_envs, substeps), "frames")

    def allocate(self, exchange: Exchange, total: torch.Tensor) -> ReactionFrames:
        """For a set of frames; `total` is the solver's array of wrenches."""
        sizes = self._sizes_of(exchange)
        of_scene = torch.full((2, sizes["colliders"]), -1, dtype=torch.int32)
        moving = self._constants["mobility"].view(-1, 2).sum(1).tolist()
        yielding = [link if link >= 0 and moving[link] > 0.0 else -1 for link in self._links]
        of_scene[:, self._first : self._first + self._colliders] = torch.tensor([self._links, yielding])
        link_of, yielding_link = of_scene.to(layout().device)
        constants = {**self._constants, "link_of": link_of, "yielding_link": yielding_link}
        return ReactionFrames(exchange, total.view(-1), {**constants, **allocate(OWN, sizes, "frames")}, {})

    def _of(self, exchange: Exchange, life: str) -> dict[str, torch.Tensor]:
        """Arrays that all frames of a size share."""
        key = life, exchange.sizes["envs"]
        if key not in self._shared:
            self._shared[key] = allocate(OWN, self._sizes_of(exchange), life)
        return self._shared[key]

    def _launch(
        self, mine: ReactionFrames, name: str, frame: int, values: Mapping[str, torch.Tensor], adjoint: bool = False
    ) -> None:
        """Run a kernel on these tensors of the step; it is bound at its first launch."""
        exchange, lay = mine.exchange, layout()
        if name not in mine.launches:
            lives = ("step", "step_adjoint") if adjoint else ("step",)
            unset = {array.name: lay.new(1, 1) for array in select(OWN, *lives)}
            bound = {**exchange.arrays, **exchange.scratch, **unset, **mine.arrays, **self._of(exchange, "scratch")}
            bound |= {"total": mine.total, "extent": lay.new_int(1)}
            if adjoint:
                bound |= {**exchange.adjoint, **self._of(exchange, "adjoint"), "healthy": lay.new_int(1)}
            found = {**vars(wrenches()), **vars(implicit()), **vars(implicit_adjoint())}
            mine.launches[name] = bind(found[name], bound, lanes=True)
        n = len(values["link_state"])
        if (n, exchange.sizes["envs"], frame) not in self._extents:
            blocks = -(-exchange.sizes["envs"] // lay.width)
            extent = torch.tensor([n, self._n_links, frame, self._every, blocks], dtype=torch.int32, device=lay.device)
            self._extents[n, exchange.sizes["envs"], frame] = extent
        launch = mine.launches[name]
        for given, value in (*values.items(), ("extent", self._extents[n, exchange.sizes["envs"], frame])):
            if launch.arrays[given] is not value:
                launch.point(given, value)
        launch()

    def _rows(self, array: torch.Tensor, n: int, numbers: int) -> torch.Tensor:
        """(n, L, numbers) of the first environments: a view."""
        return array.view(-1, self._n_links, numbers)[:n]

    def _back(self, mine: ReactionFrames, n: int, name: str, numbers: int) -> torch.Tensor:
        """The same of cotangents."""
        return self._rows(self._of(mine.exchange, "adjoint")[name], n, numbers)

    # Wrenches.

    def feel(self, mine: ReactionFrames, frame: int, links: torch.Tensor, asked: torch.Tensor) -> None:
        """Of the substep after a frame: to the wrenches that were asked for (B, L, 6) comes what matter does."""
        self._launch(mine, "feel", frame, {"link_state": links, "asked": asked})

    def feel_adjoint(
        self, mine: ReactionFrames, frame: int, links: torch.Tensor, gwrench: torch.Tensor,
        healthy: torch.Tensor,
    ) -> None:  # fmt: skip
        """From cotangents of wrenches (B, L, 6), and of D after the substep, those of impulses, places and links.

        Args:
            healthy: (B,) int32, not 0 where there are any; elsewhere nothing need be finite.
        """
        values = {"link_state": links, "gwrench": gwrench, "healthy": healthy}
        self._launch(mine, "feel_adjoint", frame, values, True)

    def cotangents(self, mine: ReactionFrames, n: int) -> list[torch.Tensor]:
        """Of pos, quat, vel and ang of links, for n environments, as far as adjoints have come; views."""
        return [self._back(mine, n, name, numbers) for name, numbers in COTANGENTS.items()]

    # Where links yield.

    def begin(self, mine: ReactionFrames, free: torch.Tensor) -> None:
        """A control step, with D (B, L, 6) of each link: of its centre of mass, m/s, and angular, rad/s."""
        self._rows(mine.arrays["free"], len(free), 6).copy_(free)

    def give_way(self, mine: ReactionFrames, frame: int, links: torch.Tensor) -> None:
        """Add U - V to the velocities in the poses of a substep, from what is offered there."""
        self._launch(mine, "give_way", frame, {"link_state": links})

    def conclude(self, mine: ReactionFrames, links: torch.Tensor) -> torch.Tensor:
        """D at the end of a control step."""
        self._launch(mine, "conclude", 0, {"link_state": links})
        return self._rows(mine.arrays["free"], len(links), 6).clone()

    def cut_off(self, mine: ReactionFrames, n: int) -> torch.Tensor:
        """(n,) int32: in how many substeps of the last step the search for U was cut off."""
        return mine.arrays["cut_off"][:n]

    def conclude_adjoint(
        self, mine: ReactionFrames, links: torch.Tensor, gfree: torch.Tensor, healthy: torch.Tensor
    ) -> None:
        """From the cotangent of D at the end of a step those of links."""
        self._back(mine, len(gfree), "gfree", 6).copy_(gfree)
        self._launch(mine, "conclude_adjoint", 0, {"link_state": links, "healthy": healthy}, True)

    def give_way_adjoint(
        self, mine: ReactionFrames, frame: int, links: torch.Tensor, healthy: torch.Tensor
    ) -> None:
        """From the cotangents of the velocities in poses those of D, and of the impulses to which links yielded; adds
        those of places and of links. Those of V are these of the poses, when matter has added its part."""
        values = {"link_state": links, "healthy": healthy}
        self._launch(mine, "give_way_adjoint", frame, values, True)

    def free_cotangent(self, mine: ReactionFrames, n: int) -> torch.Tensor:
        """(n, L, 6) that of D."""
        return self._back(mine, n, "gfree", 6).clone()
