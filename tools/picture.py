"""Take the moving picture of the README, docs/images/inspect.gif: `python tools/picture.py`. Needs chromium.

The demo's night is painted and replayed, and the inspector shown at one of its movers, frame by frame.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "inspect.gif"
SSOSD = (sys.executable, "-m", "ssosd.cli")
SIZE = {"width": 1180, "height": 700}
NUMBER_IN_THE_LIST = 3  # a fast mover in the middle of its field, in all five exposures
FRAMES, FRAME_MS = 5, 600
GREYS, FLAT_COLOURS = 36, 92


def shots(url: str) -> list[Image.Image]:
    """The page at each frame of the blink."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(url)
        page.wait_for_timeout(3000)
        page.keyboard.press("Space")
        for _ in range(NUMBER_IN_THE_LIST):
            page.keyboard.press("j")
            page.wait_for_timeout(1500)
        taken = []
        for _ in range(FRAMES):
            page.keyboard.press(".")
            page.wait_for_timeout(400)
            taken.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        browser.close()
    return taken


def palette_of(shot: Image.Image) -> Image.Image:
    """Greys for the sky, and the colours of which the page has the most."""
    counted = sorted(shot.getcolors(shot.width * shot.height), reverse=True)
    colours = [colour for _, colour in counted[:FLAT_COLOURS]]
    colours += [(round(255 * k / (GREYS - 1)),) * 3 for k in range(GREYS)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for colour in colours for value in colour])
    return palette


def main() -> None:
    """Paint, replay, look, and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        night = Path(folder) / "night"
        subprocess.run([*SSOSD, "demo", str(night), "-q"], check=True)
        command = [*SSOSD, "inspect", "-t", str(night), "--person", "observer"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as served:
            taken = shots(served.stdout.readline().strip())
            served.terminate()
    palette = palette_of(taken[0])
    frames = [shot.quantize(palette=palette, dither=Image.Dither.NONE) for shot in taken]
    PICTURE.parent.mkdir(exist_ok=True)
    frames[0].save(PICTURE, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
