"""System identification: parameters of a scene, with intervals, from recorded motion (docs/identification.md)."""

from genesis.identification.experiment import Channel, Experiment
from genesis.identification.identify import identify
from genesis.identification.recording import Recording
from genesis.identification.report import Estimate, Identification
from genesis.identification.synthetic import synthetic_recording

__all__ = ["Channel", "Estimate", "Experiment", "Identification", "Recording", "identify", "synthetic_recording"]
