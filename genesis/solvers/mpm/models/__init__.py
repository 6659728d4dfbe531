"""The constitutive models, one file each, by name.

A new material is a file here, a line in `MODELS`, and a dataclass in `genesis.materials` with the same numbers: see
docs/mpm.md. Its adjoint is tested by being here (`tests/solvers/test_models.py`).
"""

from collections.abc import Collection

from genesis.errors import GenesisValueError
from genesis.solvers.mpm.models import clamped, corotated, liquid, neohookean, sand, vonmises
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, Memory, Model, plastic_volume

__all__ = ["MODELS", "Memory", "Model", "compiled_models", "plastic_volume", "register"]

MODELS: dict[str, Model] = {}


def register(model: Model) -> None:
    """Make a model known under its name.

    Raises:
        GenesisValueError: The name is taken, or its numbers do not begin with E, nu, rho.
    """
    if MODELS.get(model.name, model) != model:
        raise GenesisValueError(f"the name of a model must be new, got {model.name!r}. Choose another.")
    if model.numbers[: len(FIRST_NUMBERS)] != FIRST_NUMBERS or len(set(model.numbers)) < len(model.numbers):
        raise GenesisValueError(
            f"numbers of model {model.name!r} must begin with {', '.join(FIRST_NUMBERS)} and differ, "
            f"got {', '.join(model.numbers)}. Put its own behind these."
        )
    MODELS[model.name] = model


for _model in (
    neohookean.MODEL, corotated.MODEL, liquid.MODEL,
    vonmises.MODEL, vonmises.HARDENED, clamped.MODEL, sand.MODEL, clamped.SNOW,
):  # fmt: skip
    register(_model)


def compiled_models(names: Collection[str]) -> tuple[Model, ...]:
    """The models that the kernels of a scene with models `names` can run.

    A model alone has kernels of its own; whatever else is combined shares those of all models that keep no more memory
    than these do. So kernels are as many as models and amounts of memory, not as combinations (decision 32).
    """
    chosen = {MODELS[name] for name in names}
    if len(chosen) == 1:
        return tuple(chosen)
    width = max(model.width for model in chosen)
    return tuple(model for model in MODELS.values() if model.width <= width)
