"""The viewer as a user sees it: a rollout in headless Chromium."""

import io
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.scripts import chromium

pytestmark = [pytest.mark.browser, pytest.mark.precision("32")]

WITHIN = 90
"""Seconds that a page drawn without a graphics card may take."""
DRAWN_WITHOUT_A_CARD = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="module")
def browser():
    with chromium.opened(800, 640, *DRAWN_WITHOUT_A_CARD) as running:
        yield running


@pytest.fixture
def viewer(tmp_path):
    """(process, address, file of what it says) of a viewer of a few seconds of Ant."""
    pytest.importorskip("viser", reason='needs the extra "view"')
    options = ["--env", "genesis/Ant-v0", "--actions", "random", "--seconds", "4", "--num-envs", "2", "--port", "0"]
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.view", *options], stdout=file, stderr=subprocess.STDOUT
        )
    try:
        address = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", said.read_text()), "address")
        yield process, address.group(), said
    finally:
        process.kill()
        process.wait()
        print(said.read_text())


def until(found, what):
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.3)
    pytest.fail(f"no {what} within {WITHIN} s")


def button(browser, label, press=False):
    """Whether there is a button of that label; it is drawn anew all the time, so it is pressed where it is found."""
    script = """
    const found = [...document.querySelectorAll('button')].find(x => x.innerText.trim() === arguments[0]);
    if (found && arguments[1]) found.click();
    return Boolean(found);
    """
    return browser.execute_script(script, label, press)


def step(browser):
    """The number beside the slider of steps."""
    return browser.execute_script("return +document.querySelector('input.mantine-NumberInput-input').value")


def picture(browser):
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(browser.get_screenshot_as_png()))
    return np.asarray(image.convert("RGB")).astype(int)


def orange(browser):
    """Pixels of the ant's torso."""
    red, green, blue = np.moveaxis(picture(browser), 2, 0)
    return int(((red > green + 50) & (green > blue + 20)).sum())


def test_a_rollout_is_seen_paused_played_and_explained(browser, viewer, tmp_path):
    process, address, said = viewer
    browser.get(address)
    until(lambda: button(browser, "Pause", press=True), "panel")
    until(lambda: button(browser, "Play"), "pause")
    until(lambda: orange(browser) > 500, "ant")
    floor = picture(browser)[-40:-10, 10:-10].reshape(-1, 3)
    shares = np.unique(floor, axis=0, return_counts=True)[1] / len(floor)
    assert (shares > 0.1).sum() == 2, "the floor has squares of two colours"

    still = step(browser)
    time.sleep(1.0)
    assert step(browser) == still
    button(browser, "Play", press=True)
    until(lambda: step(browser) != still, "movement of the slider")
    until(lambda: button(browser, "Pause", press=True), "pause button")
    until(lambda: button(browser, "Play"), "pause")

    browser.find_elements("css selector", "input[type=checkbox]")[-1].click()
    until(lambda: "of return per N" in browser.find_element("tag name", "body").text, "arrows")
    browser.save_screenshot(str(tmp_path / "viewer.png"))

    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert "ended" in said.read_text()
