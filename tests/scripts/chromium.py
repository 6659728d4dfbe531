"""The browser of the tests marked `browser`."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def opened(width: int, height: int, *options: str) -> Iterator[Any]:
    """Headless Chromium of the distribution, driven by selenium; skips the test where one of them is missing."""
    selenium = pytest.importorskip("selenium.webdriver", reason='needs the extra "browser"')
    program, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    chosen = selenium.ChromeOptions()
    chosen.binary_location = program
    size = f"--window-size={width},{height}"
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", size, *options):
        chosen.add_argument(option)
    browser = selenium.Chrome(options=chosen, service=selenium.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
