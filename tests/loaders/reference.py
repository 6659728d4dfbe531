"""MuJoCo's own numbers in the form of ours, for comparison."""

import warnings

import mujoco
import numpy as np


def compile_text(text):
    """MuJoCo's model and data of MJCF text."""
    model = mujoco.MjModel.from_xml_string(text)
    return model, mujoco.MjData(model)


def compile_quietly(path):
    """MuJoCo's model of a file; its warnings go nowhere, instead of to a file in the working directory."""
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mujoco.MjModel.from_xml_path(str(path))
    finally:
        mujoco.set_mju_user_warning(None)


def full_mass_matrix(model, data):
    """(D, D), whatever the order of arguments in the installed version."""
    matrix = np.zeros((model.nv, model.nv))
    try:
        mujoco.mj_fullM(model, data, matrix)
    except TypeError:
        mujoco.mj_fullM(model, matrix, data.qM)
    return matrix


def moving_together(model, body):
    """MuJoCo's bodies that are welded to `body`, itself included."""
    return np.flatnonzero(model.body_weldid == model.body_weldid[body])


def composite(model, data, bodies):
    """Mass, centre of mass and inertia about it (3, 3) of some bodies together, world frame."""
    mass = model.body_mass[bodies].sum()
    com = model.body_mass[bodies] @ data.xipos[bodies] / mass
    inertia = np.zeros((3, 3))
    for body in bodies:
        axes, arm = data.ximat[body].reshape(3, 3), data.xipos[body] - com
        inertia += axes @ np.diag(model.body_inertia[body]) @ axes.T
        inertia += model.body_mass[body] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return mass, com, inertia
