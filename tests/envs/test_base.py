"""The base class on a scene of a few lines of torch: resets, gradients, noise, failed rows, resume, bad input."""

import math

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

import genesis as gs
from tests.envs.point_mass import PointMass, PointMassEnv, make

MODES = list(AutoresetMode)


def actions(steps, num_envs, seed=0):
    return torch.rand(steps, num_envs, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def roll(env, steps, seed=3, offset=0, total=None):
    """Observations of a rollout under fixed actions; `offset` picks the columns of a larger batch."""
    total = total or env.num_envs
    result = [env.reset(seed=seed)[0]]
    for action in actions(steps, total)[:, offset : offset + env.num_envs]:
        result.append(env.step(action)[0])
    return torch.stack([x.detach().as_subclass(torch.Tensor) for x in result])


NOISY = {"action_noise": 0.1, "observation_noise": 0.1, "parameter_randomisation": 0.3, "action_delay": 2}


@pytest.mark.parametrize("options", [{}, NOISY], ids=["plain", "noisy"])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_batch_split_changes_nothing(mode, options):
    whole = roll(make(6, 5, autoreset_mode=mode, **options), 17)
    parts = [
        roll(make(2, 5, autoreset_mode=mode, first_env_index=first, **options), 17, offset=first, total=6)
        for first in (0, 2, 4)
    ]
    assert torch.equal(whole, torch.cat(parts, dim=1))


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_staggered_first_episodes_are_any_part_of_whole_ones(mode):
    """Whatever the range of environments, and also where the state was saved underway."""
    lengths = []
    for first, resumed in ((0, False), (0, True), (32, False)):
        env = make(64 - first, 20, staggered=True, autoreset_mode=mode, first_env_index=first)
        env.reset(seed=0)
        ended = [[] for _ in range(env.num_envs)]
        for step in range(62):
            if resumed and step == 5:
                state = env.state_dict()
                env = make(64, 20, staggered=True, autoreset_mode=mode)
                env.load_state_dict(state)
            *_, info = env.step(torch.zeros(env.num_envs, 2))
            for row in info["_episode_length"].nonzero().flatten().tolist():
                ended[row].append(int(info["episode_length"][row]))
        lengths.append(ended)
    whole, again, part = lengths
    assert whole == again and part == whole[32:]
    assert all(set(later) == {20} for _, *later in whole)
    first = np.sort([first for first, *_ in whole])
    assert np.abs(first - np.arange(1, 65) * 20 / 64).max() < 2


def test_modes_give_the_same_episodes():
    """Initial states and goals depend on the episode, not on when its reset happens."""
    starts = {}
    for mode in MODES:
        env = make(2, 4, autoreset_mode=mode)
        starts[mode] = [env.reset(seed=1)[0]]
        while len(starts[mode]) < 4:
            observation, _, terminated, truncated, _ = env.step(torch.zeros(2, 2))
            done = bool((terminated | truncated).all())
            if done and mode == AutoresetMode.SAME_STEP:
                starts[mode].append(observation)
            elif done and mode == AutoresetMode.NEXT_STEP:
                starts[mode].append(env.step(torch.zeros(2, 2))[0])
            elif done:
                starts[mode].append(env.reset()[0])
    for mode in MODES[1:]:
        assert torch.equal(torch.stack(starts[mode]), torch.stack(starts[MODES[0]]))


def test_same_step_keeps_the_last_observation():
    env = make(3, 4, autoreset_mode="SameStep", differentiable=True)
    env.reset(seed=0)
    action = torch.full((3, 2), 0.5, requires_grad=True)
    for step in range(4):
        observation, _, _, truncated, info = env.step(action)
        assert bool(truncated.all()) == (step == 3) == bool(info["_final_obs"].all())
        if step < 3:
            assert torch.equal(info["final_obs"], observation)
    assert not torch.equal(info["final_obs"], observation)
    (grad,) = torch.autograd.grad(info["final_obs"].sum(), action, retain_graph=True)
    assert (grad != 0).all()
    (grad,) = torch.autograd.grad(observation.sum(), action, allow_unused=True)
    assert grad is None or not grad.any()  # the reset cuts
    assert info["final_info"]["distance"].shape == (3,)


def test_numpy_interface_has_gymnasiums_final_obs():
    env = make(3, 2, output="numpy", autoreset_mode="SameStep")
    env.reset(seed=0)
    assert "final_obs" not in env.step(np.zeros((3, 2)))[4]
    info = env.step(np.zeros((3, 2)))[4]
    assert info["final_obs"].dtype == object and info["final_obs"][1].shape == (6,)
    assert info["_final_obs"].all() and info["_final_info"].all() and info["final_info"]["_success"].all()


def test_next_step_ignores_the_action_of_a_restarting_row():
    env = make(2, 3, autoreset_mode="NextStep")
    env.reset(seed=0)
    for _ in range(3):
        truncated = env.step(torch.ones(2, 2))[3]
    assert truncated.all()
    _, reward, terminated, truncated, info = env.step(torch.full((2, 2), math.nan))
    assert not reward.any() and not terminated.any() and not truncated.any() and not info["_episode_return"].any()
    assert not env.elapsed.any()


def test_disabled_demands_a_reset_and_a_mask_leaves_the_others_alone():
    env = make(3, 3, autoreset_mode="Disabled")
    env.reset(seed=0)
    env.step(torch.ones(3, 2))
    before, _ = env.step(torch.ones(3, 2))[:2]
    after, info = env.reset(options={"reset_mask": torch.tensor([True, False, False])})
    assert torch.equal(after[1:], before[1:]) and not torch.equal(after[0], before[0])
    assert info["_distance"].tolist() == [True, False, False]
    assert env.elapsed.tolist() == [0, 2, 2]
    env.step(torch.ones(3, 2))
    with pytest.raises(gs.GenesisException, match=r"Environments \[1, 2\] must be reset"):
        env.step(torch.ones(3, 2))
    env.reset(options={"reset_mask": torch.tensor([False, True, True])})
    env.step(torch.ones(3, 2))


def test_masked_reset_with_a_seed_reseeds_only_these_rows():
    env, other = make(2), make(2)
    first, _ = env.reset(seed=5)
    other.reset(seed=6)
    mixed, _ = other.reset(seed=5, options={"reset_mask": torch.tensor([True, False])})
    assert torch.equal(mixed[0], first[0]) and not torch.equal(mixed[1], first[1])


def test_episode_statistics():
    env = make(2, 4, autoreset_mode="SameStep")
    env.reset(seed=0)
    total = torch.zeros(2)
    for _ in range(4):
        _, reward, _, _, info = env.step(torch.ones(2, 2) * 0.3)
        total = total + reward
    assert info["_episode_return"].all() and info["episode_length"].tolist() == [4, 4]
    torch.testing.assert_close(info["episode_return"], total, check_dtype=False)


def test_termination_and_truncation_are_not_merged():
    env = make(2, 1000, autoreset_mode="SameStep")
    env.reset(seed=0)
    push = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    for _ in range(200):
        _, _, terminated, truncated, _ = env.step(push)
        assert not truncated.any() and not terminated[1]
        if terminated[0]:
            return
    pytest.fail("never terminated")


@pytest.mark.precision("64")
def test_gradient_of_a_rollout_with_resets():
    """gradcheck through three episodes with delay; noise is a constant of the rollout."""
    env = make(2, 3, differentiable=True, autoreset_mode="SameStep", action_delay=1, action_noise=0.05)

    def rewards(sequence):
        env.reset(seed=2)
        return torch.stack([env.step(action)[1] for action in sequence]).as_subclass(torch.Tensor)

    sequence = (0.5 * actions(7, 2)).requires_grad_()
    assert torch.autograd.gradcheck(rewards, sequence, check_undefined_grad=False)


def test_outside_actions_are_clipped_and_have_no_gradient():
    env, clipped = make(2, differentiable=True), make(2)
    env.reset(seed=0), clipped.reset(seed=0)
    action = torch.tensor([[3.0, 0.5], [-2.0, 0.1]], requires_grad=True)
    observation, reward, *_ = env.step(action)
    assert torch.equal(observation, clipped.step(action.detach().clamp(-1, 1))[0])
    reward.sum().backward()
    assert action.grad[:, 0].tolist() == [0.0, 0.0] and action.grad[:, 1].all()


def test_delay():
    now, late = make(1, action_delay=0), make(1, action_delay=2)
    now.reset(seed=0), late.reset(seed=0)
    ones = torch.ones(1, 2)
    late.step(ones), late.step(ones)
    assert late.action.tolist() == [[0.0, 0.0]]
    late.step(0 * ones)
    assert late.action.tolist() == [[1.0, 1.0]]


def test_nonfinite_rows_are_replaced_and_poison_nobody():
    outcomes = []
    for poison in ({}, {2: [1]}):
        env = make(3, 10, differentiable=True, autoreset_mode="SameStep")
        env.reset(seed=0)
        env.scene.poison = poison
        action = torch.full((3, 2), 0.3, requires_grad=True)
        total = 0.0
        reports = []
        for _ in range(5):
            observation, reward, terminated, _, info = env.step(action)
            assert torch.isfinite(observation).all() and torch.isfinite(reward).all()
            reports.append((terminated.tolist(), info["nonfinite"].tolist()))
            total = total + reward
        (grad,) = torch.autograd.grad(total.sum(), action)
        outcomes.append((grad, reports))
    (healthy, _), (failed, reports) = outcomes
    assert reports[2] == ([False, True, False], [False, True, False])
    assert all(not any(x) for step in (0, 1, 3, 4) for x in reports[step])
    assert torch.isfinite(failed).all() and torch.equal(failed[[0, 2]], healthy[[0, 2]])


def test_resume_is_exact():
    options = {**NOISY, "autoreset_mode": "SameStep"}
    env = make(3, 4, **options)
    env.reset(seed=1)
    sequence = actions(12, 3)
    for action in sequence[:6]:
        env.step(action)
    saved = env.state_dict()
    rest = [env.step(action)[0] for action in sequence[6:]]
    again = make(3, 4, **options)
    again.load_state_dict(saved)
    assert all(torch.equal(again.step(a)[0], o) for a, o in zip(sequence[6:], rest, strict=True))


def test_state_dict_survives_a_file(tmp_path):
    env = make(2)
    env.reset(seed=0)
    torch.save(env.state_dict(), tmp_path / "state.pt")
    make(2).load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


def test_state_of_another_shape_is_refused():
    env = make(2)
    env.reset(seed=0)
    with pytest.raises(gs.GenesisException, match="num_envs"):
        make(3).load_state_dict(env.state_dict())


def test_detach_cuts_the_graph():
    env = make(2, differentiable=True, action_delay=1)
    env.reset(seed=0)
    action = torch.zeros(2, 2, requires_grad=True)
    env.step(action)
    env.detach_()
    assert not env.step(torch.zeros(2, 2))[1].requires_grad


def test_without_differentiable_there_is_no_graph():
    env = make(2)
    env.reset(seed=0)
    assert not env.step(torch.zeros(2, 2, requires_grad=True))[1].requires_grad


BAD_ACTIONS = [
    (None, "real numbers, got NoneType"),
    ("00", "real numbers, got str"),
    ([[0.0, 0.0], [0.0]], "rows of one length"),
    ([torch.zeros(2), torch.zeros(2, requires_grad=True)], "torch.stack"),
    (np.zeros((2, 2), dtype=bool), "real numbers, got bool"),
    (torch.zeros((2, 2), dtype=torch.bool), "real numbers, got torch.bool"),
    (np.zeros((2, 2), dtype=complex), "real numbers, got complex"),
    (np.full((2, 2), None), "real numbers, got object"),
    ([[0.0, 0.0, 0.0]] * 2, "shape"),
    ([[0.0, math.nan], [0.0, 0.0]], r"NaN for environments \[0\]"),
    (np.zeros((2, 3)), "shape"),
    (np.zeros(2), "shape"),
    (np.array([[0.0, math.nan], [0.0, 0.0]]), r"NaN for environments \[0\]"),
]


@pytest.mark.parametrize("action, message", BAD_ACTIONS)
def test_bad_actions_change_nothing(action, message):
    env = make(2, output="numpy")
    env.reset(seed=0)
    env.step(np.ones((2, 2)))
    before = env.state_dict()
    with pytest.raises(gs.GenesisException, match=message):
        env.step(action)
    after = env.state_dict()
    assert all(torch.equal(after["scene"][name], value) for name, value in before["scene"].items())
    assert torch.equal(after["elapsed"], before["elapsed"])


@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_actions_are_what_gymnasiums_batches_take(output):
    """Lists and integers too, as a `SyncVectorEnv` does."""
    ways = [
        np.array([[1, 0], [-1, 1]], np.float32),
        [[1, 0], [-1.0, 1]],
        ((1, 0), (-1, 1)),
        [np.array([1.0, 0.0]), np.array([-1.0, 1.0])],
        np.array([[1, 0], [-1, 1]], np.int8),
        torch.tensor([[1, 0], [-1, 1]]),
    ]
    outcomes = []
    for action in ways:
        env = make(2, output=output)
        env.reset(seed=0)
        outcomes.append(env.step(action)[0])
        assert np.array_equal(outcomes[-1], outcomes[0])
    single = PointMassEnv()
    first, _ = single.reset(seed=0)
    for action in (np.array([1, 0]), [1, 0], (1.0, 0)):
        single.reset(seed=0)
        assert np.array_equal(single.step(action)[0], outcomes[0][0] if output == "numpy" else outcomes[0][0].float())
    with pytest.raises(gs.GenesisException, match="rows of one length"):
        single.step([0.0, [1.0]])


BAD_OPTIONS = [
    ({"num_envs": 0}, "num_envs"),
    ({"num_envs": 1.5}, "num_envs"),
    ({"max_episode_steps": 0}, "max_episode_steps"),
    ({"output": "jax"}, "output"),
    ({"output": "numpy", "differentiable": True}, "differentiable"),
    ({"autoreset_mode": "sometimes"}, "autoreset_mode"),
    ({"render_mode": "human"}, "render_mode"),
    ({"action_noise": -1.0}, "action_noise"),
    ({"observation_noise": math.nan}, "observation_noise"),
    ({"parameter_randomisation": 1.0}, "parameter_randomisation"),
    ({"action_delay": -1}, "action_delay"),
    ({"first_env_index": -1}, "first_env_index"),
    ({"first_env_index": 0.5}, "first_env_index"),
    ({"num_envs": "four"}, "num_envs"),
    ({"num_envs": None}, "num_envs"),
    ({"max_episode_steps": "long"}, "max_episode_steps"),
    ({"output": ["numpy"]}, "output"),
    ({"differentiable": "yes"}, "differentiable"),
    ({"autoreset_mode": []}, "autoreset_mode"),
    ({"autoreset_mode": None}, "autoreset_mode"),
    ({"action_noise": "loud"}, "action_noise"),
    ({"observation_noise": None}, "observation_noise"),
    ({"parameter_randomisation": (0.1, 0.2)}, "parameter_randomisation"),
    ({"parameter_randomisation": True}, "parameter_randomisation"),
    ({"action_delay": 1.0}, "action_delay"),
]


@pytest.mark.parametrize("options, name", BAD_OPTIONS)
def test_bad_options(options, name):
    with pytest.raises(gs.GenesisException, match=rf"^{name}.* must .*got .*\. \S.*\.$"):
        make(**options)


BAD_MASKS = [
    ([True, False], "must be a bool array"),
    (np.array([True]), "shape"),
    (np.array([1, 0]), "bool"),
    (np.array([False, False]), "at least one True"),
]


@pytest.mark.parametrize("mask, message", BAD_MASKS)
def test_bad_masks(mask, message):
    env = make(2)
    env.reset(seed=0)
    with pytest.raises(gs.GenesisException, match=message):
        env.reset(options={"reset_mask": mask})


@pytest.mark.parametrize("seed", [-1, 1.5, 2**63, "1"])
def test_bad_seeds(seed):
    with pytest.raises(gs.GenesisException, match="seed"):
        make(2).reset(seed=seed)


def test_order_of_calls():
    env = make(2)
    with pytest.raises(gs.GenesisException, match="reset"):
        env.step(torch.zeros(2, 2))
    with pytest.raises(gs.GenesisException, match="all environments"):
        env.reset(options={"reset_mask": np.array([True, False])})
    env.reset()
    with pytest.raises(gs.GenesisException, match="render"):
        env.render()
    env.close()
    env.close()
    with pytest.raises(gs.GenesisException, match="closed"):
        env.step(torch.zeros(2, 2))


def test_a_task_without_randomisation_refuses_it():
    class Plain(PointMass):
        randomise_parameters = PointMass.__mro__[1].randomise_parameters

    with pytest.raises(gs.GenesisException, match="Plain"):
        Plain(2, parameter_randomisation=0.1)
