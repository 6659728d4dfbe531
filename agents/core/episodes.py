"""Statistics of the episodes that end while an agent trains."""

from typing import Any

import numpy as np
import torch


class Episodes:
    """Collects returns, lengths and successes out of the infos of an environment's steps."""

    def __init__(self) -> None:
        """Starts empty."""
        self.returns: list[float] = []
        self.lengths: list[float] = []
        self.successes: list[float] = []

    def note(self, info: dict[str, Any]) -> None:
        """Takes in what ended in this step."""
        ended = info["_episode_return"].as_subclass(torch.Tensor)
        if not bool(ended.any()):
            return
        self.returns += info["episode_return"].as_subclass(torch.Tensor)[ended].tolist()
        self.lengths += info["episode_length"].as_subclass(torch.Tensor)[ended].tolist()
        success = info["final_info"].get("success")
        if success is not None:
            self.successes += success.as_subclass(torch.Tensor)[ended].to(torch.float64).tolist()

    def scalars(self) -> dict[str, float]:
        """Means by TensorBoard tag, of what there is."""
        named = {
            "charts/episodic_return": self.returns,
            "charts/episodic_length": self.lengths,
            "charts/success_rate": self.successes,
        }
        return {name: float(np.mean(values)) for name, values in named.items() if values}
