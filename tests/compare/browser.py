"""Chromium driven as a reader would: real clicks and keys, through its DevTools protocol on two pipes.

No package is needed: a message is JSON that ends with a zero byte.
"""

import base64
import json
import os
import shutil
import subprocess

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

KEYS = {  # key: its virtual key code, and the text it types
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Space": (32, " "),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowLeft": (37, ""),
    "ArrowUp": (38, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
}


class Browser:
    """One tab. Use as a context manager; every method raises RuntimeError with the browser's message on failure."""

    def __init__(self, profile, *, width=1280, height=844):
        down, up = os.pipe(), os.pipe()  # commands to the browser, answers from it

        def as_3_and_4():  # the numbers that the browser expects
            source, sink = os.dup(down[0]), os.dup(up[1])
            os.dup2(source, 3)
            os.dup2(sink, 4)

        options = ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking")
        options += ("disable-ipc-flooding-protection",)  # or a page may change its address 200 times in 10 s, no more
        command = [PROGRAM, *(f"--{option}" for option in options), f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            [*command, "--hide-scrollbars", "--remote-debugging-pipe"],
            preexec_fn=as_3_and_4,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(down[0])
        os.close(up[1])
        self.commands, self.answers = os.fdopen(down[1], "wb"), os.fdopen(up[0], "rb")
        self.session, self.number, self.left, self.events = None, 0, b"", []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.commands.close()
        self.answers.close()

    def receive(self):
        while b"\0" not in self.left:
            more = os.read(self.answers.fileno(), 1 << 16)
            if not more:
                raise RuntimeError("the browser has ended")
            self.left += more
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def send(self, method, **params):
        """Send a command and return its result. What the browser reports meanwhile is kept in `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def resize(self, width, height=844):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def media(self, medium="", scheme="light"):
        """Show the page as on paper ("print") or on a screen (""), and prefer "light" or "dark" colours."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=medium, features=features)

    def open(self, address):
        """Load a page from the start, and wait until its scripts have run."""
        for where in ("about:blank", address):  # a new fragment alone would not load the page again
            self.events.clear()
            self.send("Page.navigate", url=where)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self.receive())

    def go(self, fragment):
        """Show what a fragment names on the page that is open, as a link within the page does."""
        self.run(f"history.replaceState(null, '', {json.dumps(fragment)}), readAddress()")

    def run(self, script):
        """The value of an expression on the page."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def problems(self):
        """Everything that the page reported as an error."""
        self.run("0")  # so that all earlier reports have arrived
        thrown = [e["params"]["exceptionDetails"] for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        logged = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        return thrown + [entry for entry in logged if entry["level"] == "error"]

    def middle(self, selector):
        """Scroll an element into view unless it can be seen; the position of its middle."""
        return self.run(
            f"""(() => {{
                const element = document.querySelector({json.dumps(selector)});
                const at = () => {{
                    const {{ left, top, width, height }} = element.getBoundingClientRect();
                    return [left + width / 2, top + height / 2];
                }};
                const seen = document.elementFromPoint(...at());
                if (!seen || !(element.contains(seen) || seen.contains(element))) {{
                    element.scrollIntoView({{ block: "center" }});
                }}
                return at();
            }})()"""
        )

    def click(self, selector):
        x, y = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, x, y):
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key, times=1, *, shift=False):
        code, text = KEYS[key]
        name = " " if key == "Space" else key
        common = dict(key=name, code=key, windowsVirtualKeyCode=code, modifiers=8 if shift else 0)
        for _ in range(times):
            self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
            self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def printed(self):
        """The page as a PDF file, as the browser would print it."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=True)["data"])

    def names(self):
        """What a screen reader is given: (role, name) of every node of the accessibility tree that is not ignored."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
