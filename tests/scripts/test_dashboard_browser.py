"""TensorBoard as a user sees it: a small run's charts, videos and tables in headless Chromium."""

import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from agents import AGENTS
from scripts import train
from tests.scripts import chromium

pytestmark = [pytest.mark.browser, pytest.mark.precision("32")]

ENV = "genesis/CartPoleSwingUp-v0"
TEXT_OF_THE_PAGE = """
const found = [];
(function walk(node) {
  if (node.nodeType === Node.TEXT_NODE) found.push(node.textContent.trim());
  if (node.tagName === 'STYLE' || node.tagName === 'SCRIPT') return;
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
})(document.body);
return found.filter(text => text).join('\\n');
"""
WIDTHS_OF_PICTURES = """
const found = [];
(function walk(node) {
  if (node.tagName === 'IMG' && node.complete && node.naturalWidth) found.push(node.naturalWidth);
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk);
})(document.body);
return found;
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Of a TensorBoard that shows a run of a few updates."""
    runs = tmp_path_factory.mktemp("runs")
    config = train.TrainConfig(
        env=ENV, agent="shac", total_steps=4000, num_envs=8, eval_episodes=8, eval_every=2000, run_dir=runs
    )
    train.train(config, AGENTS["shac"].config(window=8, hidden=(16,), critic_hidden=(16,)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(runs)]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{address}/data/runs"), 90)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def browser():
    with chromium.opened(1400, 1200) as running:
        yield running


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as response:
            return response.read() not in (b"", b"[]\n", b"[]")
    except OSError:
        return False


def until(happens, seconds):
    """The first true value of a function that is asked again and again."""
    end = time.monotonic() + seconds
    while not (value := happens()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.5)
    return value


def sees(browser, *texts):
    """Waits for texts anywhere on the page."""

    def missing():
        page = browser.execute_script(TEXT_OF_THE_PAGE)
        return [text for text in texts if text not in page]

    end = time.monotonic() + 60
    while lacking := missing():
        assert time.monotonic() < end, f"the page lacks {lacking}"
        time.sleep(0.5)


def test_tensorboard_shows_a_run(browser, address, tmp_path):
    """Charts of the layout, videos that move, hyper-parameters and text; a screenshot of each is left in tmp_path."""

    def opened(tab, query=""):
        browser.get("about:blank")
        browser.get(f"{address}/{query}#{tab}")

    def screenshot(tab):
        time.sleep(2)  # lines are drawn a little after their titles
        path = tmp_path / f"{tab}.png"
        assert browser.save_screenshot(str(path)) and path.stat().st_size > 20_000
        print(f"screenshot: {path}")

    opened("custom_scalars")
    sees(browser, "Learning", "Return", "Policy loss", "Norm before and after clipping", "Simulator's share")
    screenshot("custom_scalars")
    opened("timeseries", "?tagFilter=norm_before")
    sees(browser, "2 cards", "gradients", "/norm_before_clip")
    screenshot("timeseries")
    opened("images")
    sees(browser, "videos/policy", "gradients/by_step")
    until(lambda: set(browser.execute_script(WIDTHS_OF_PICTURES)) >= {258, 594}, 30)  # a video, and gradients by step
    screenshot("images")
    opened("hparams")
    sees(browser, "hyper.gamma", "evaluation/return_mean", "shac")
    screenshot("hparams")
    opened("text")
    sees(browser, "hyperparameters", "run/config", "run/git")
    screenshot("text")
