"""Firefox driven as browser.py drives Chromium, through its Marionette protocol on a local port.

No package is needed: a message is the length of its JSON, a colon, and the JSON.
"""

import base64
import json
import shutil
import socket
import subprocess
import time

import browser

PROGRAM = next(filter(None, map(shutil.which, ("firefox", "firefox-esr"))), None)
KEYS = {  # the code points that WebDriver has for keys without a character
    "Tab": "\ue004",
    "Enter": "\ue006",
    "Escape": "\ue00c",
    "Space": " ",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}
SHIFT = "\ue008"
ANY_WIDTH = "for (const w of Services.wm.getEnumerator('')) w.document.documentElement.style.minWidth = 0;"


class Browser(browser.Browser):
    """One tab, with the methods of Chromium's but for `names`."""

    def __init__(self, profile, *, width=1280, height=844):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        profile.mkdir()
        settings = {"marionette.port": port, "ui.useOverlayScrollbars": 1}
        lines = [f"user_pref({json.dumps(name)}, {value});\n" for name, value in settings.items()]
        (profile / "user.js").write_text("".join(lines))
        options = ("headless", "marionette", "remote-allow-system-access", "no-remote")
        command = [PROGRAM, *(f"--{option}" for option in options), "--profile", str(profile)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.answers, self.number, self.left = self.connected(port), 0, b""
        self.receive()
        self.send("WebDriver:NewSession")
        self.of_the_program(ANY_WIDTH)
        self.resize(width, height)

    def connected(self, port):
        for _ in range(300):
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:  # it has not started yet
                time.sleep(0.1)
        raise RuntimeError("the browser does not answer")

    def __exit__(self, *_):
        self.answers.close()
        self.process.terminate()
        self.process.wait(timeout=30)

    def receive(self):
        while True:
            size, colon, rest = self.left.partition(b":")
            if colon and len(rest) >= int(size):
                self.left = rest[int(size) :]
                return json.loads(rest[: int(size)])
            more = self.answers.recv(1 << 16)
            if not more:
                raise RuntimeError("the browser has ended")
            self.left += more

    def send(self, method, **params):
        self.number += 1
        message = json.dumps([0, self.number, method, params]).encode()
        self.answers.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self.receive()
        if error:
            raise RuntimeError(f"{method}: {error['message']}")
        return result

    def execute(self, script, *args):
        return self.send("WebDriver:ExecuteScript", script=script, args=args)["value"]

    def of_the_program(self, script):
        """Run a script that sees Firefox itself, not the page."""
        self.send("Marionette:SetContext", value="chrome")
        try:
            return self.execute(script)
        finally:
            self.send("Marionette:SetContext", value="content")

    def resize(self, width, height=844):
        """The page gets this size; the window is larger by its frame."""
        for _ in range(2):
            window = self.send("WebDriver:GetWindowRect")
            inner = self.execute("return [innerWidth, innerHeight]")
            size = dict(width=window["width"] + width - inner[0], height=window["height"] + height - inner[1])
            self.send("WebDriver:SetWindowRect", **size)

    def media(self, medium="", scheme="light"):
        self.of_the_program(
            f"const page = Services.wm.getMostRecentBrowserWindow().gBrowser.selectedBrowser.browsingContext;"
            f"page.mediumOverride = '{medium}'; page.prefersColorSchemeOverride = '{scheme}';"
        )

    def open(self, address):
        self.of_the_program("Services.console.reset()")
        for where in ("about:blank", address):
            self.send("WebDriver:Navigate", url=where)

    def run(self, script):
        return self.execute("return window.eval(arguments[0])", script)

    def problems(self):
        said = self.of_the_program("return Services.console.getMessageArray().map(String)")
        return [message for message in said if "page.html" in message]

    def act(self, kind, *actions):
        self.send("WebDriver:PerformActions", actions=[{"type": kind, "id": kind, "actions": actions}])

    def hover(self, x, y):
        self.act("pointer", {"type": "pointerMove", "x": round(x), "y": round(y)})

    def click(self, selector):
        self.hover(*self.middle(selector))
        self.act("pointer", *({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")))

    def press(self, key, times=1, *, shift=False):
        down, up = ([{"type": kind, "value": SHIFT}] * shift for kind in ("keyDown", "keyUp"))
        one = [{"type": kind, "value": KEYS[key]} for kind in ("keyDown", "keyUp")]
        self.act("key", *down, *one * times, *up)

    def printed(self):
        return base64.b64decode(self.send("WebDriver:Print", background=True)["value"])
