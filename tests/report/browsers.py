"""Headless Chromium for tests, without further packages: its DevTools protocol over a pipe."""

import base64
import io
import json
import os
import shutil
import subprocess
import time

import numpy as np
from PIL import Image

NAMES = ("chromium", "google-chrome", "chromium-browser")
CHROME = next(filter(None, map(shutil.which, NAMES)), "")
# It neither phones home nor needs a GPU.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-pipe",
)


class Browser:
    """One window with one page."""

    def __init__(self, folder, *flags):
        from_us, to_browser = os.pipe()
        from_browser, to_us = os.pipe()
        # The protocol wants its two ends as the descriptors 3 and 4.
        shell = f'exec "$@" 3<&{from_us} 4>&{to_us} {from_us}<&- {to_us}>&-'
        command = [CHROME, *FLAGS, *flags, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(from_us, to_us),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(from_us)
        os.close(to_us)
        self._to, self._from = to_browser, os.fdopen(from_browser, "rb", 0)
        self._rest, self._count, self._session, self.events = b"", 0, None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        (target,) = [t["targetId"] for t in targets if t["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                part = self._from.read(1 << 20)
                assert part, "the browser ended"
                self._rest += part
            answer, self._rest = self._rest.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def wait(self, condition, seconds=20.0):
        end = time.monotonic() + seconds
        while not self.js(condition):
            assert time.monotonic() < end, f"{condition} did not come true"
            time.sleep(0.05)

    def open(self, path, place=""):
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=f"file://{path}{place}")
        self.wait("location.protocol === 'file:' && document.readyState === 'complete'")

    def drawn(self):
        """Waits until everything that was asked for is drawn: two frames later."""
        after = "requestAnimationFrame(() => requestAnimationFrame(() => window.drawn = true))"
        self.js(f"window.drawn = false, {after}")
        self.wait("window.drawn")

    def picture(self):
        """What the canvas shows, uint8 [height, width, 3]."""
        self.drawn()
        box = self.js("(r => [r.x, r.y, r.width, r.height])(canvas.getBoundingClientRect())")
        clip = {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 0.5}
        png = base64.b64decode(self.call("Page.captureScreenshot", clip=clip)["data"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def press(self, key, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=modifiers)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def requests(self):
        asked = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [e["params"]["request"]["url"] for e in asked]

    def complaints(self):
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [e for e in self.events if e["method"] in bad and "GPU stall" not in str(e)]

    def close(self):
        self.call("Browser.close")
        self._process.wait(30)
        os.close(self._to)
        self._from.close()
