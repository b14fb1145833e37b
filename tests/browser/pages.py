"""What a person does on a page, by mouse and keyboard, and what they read there."""

import os
import re
import time

import filelock

COUNT = re.compile(r"Update ([\d,]+) of")
PROGRESS, CURVE = ".resnet-lessons-progress", "img[alt*=', seed ']"  # the sentence and the picture that move


class Lesson:
    """A lesson in JupyterLab."""

    def __init__(self, page, server, name):
        self.page, self.server = page, server
        page.goto(f"{server.address}/doc/tree/notebooks/{name}.ipynb?token=test&reset", wait_until="domcontentloaded")
        self._idle()

    def cell(self, text):
        """Find the code cell that holds a text."""
        return self.page.locator(".jp-CodeCell").filter(has=self.page.locator(".cm-content", has_text=text)).first

    def run(self, text):
        """Run the cell that holds a text, wait until it is done, and return what it shows."""
        cell = self.cell(text)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        return self._done(cell)

    def run_instead(self, text, code):
        """Write other code into the cell that holds a text, and run it."""
        self.cell(text).locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        self._done(self.cell(code))

    def _idle(self):
        """Wait until the kernel is there and has nothing to do; what is run before that, JupyterLab drops."""
        self.page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for()

    def _done(self, cell):
        self._idle()
        cell.locator(".jp-InputPrompt").filter(has_text=re.compile(r"\[\d+\]")).first.wait_for()
        return cell.locator(".jp-Cell-outputWrapper")

    def end_kernels(self):
        """End all kernels of the server, whatever they are at."""
        token = {"Authorization": "token test"}
        for kernel in self.page.request.get(f"{self.server.address}/api/kernels", headers=token).json():
            ended = self.page.request.delete(f"{self.server.address}/api/kernels/{kernel['id']}", headers=token)
            assert ended.ok

    def interrupt(self):
        """Press the kernel's button for it."""
        self.page.get_by_role("button", name="Interrupt the kernel").first.click()


class Picker:
    """A model picker, wherever it is shown."""

    def __init__(self, root):
        self.root = root

    def type(self, n):
        """Type n where its label says."""
        field = self.root.get_by_role("spinbutton", name="units n", exact=True)
        field.fill(str(n))
        field.press("Enter")

    def slide(self, key):
        """Move the slider for n, which has no label, by a key; the input beside it follows."""
        self.root.get_by_role("slider").first.press(key)

    def row(self, name):
        """Wait until the table has this network, and return the row's cells."""
        row = self.root.locator("tr").filter(has=self.root.page.locator(f"td:text-is('{name}')")).first
        row.wait_for()
        return row.locator("td").all_inner_texts()


class Trainer:
    """The part of the explorer that trains."""

    def __init__(self, root):
        self.root, self.page = root, root.page

    def choose(self, recipe):
        """Choose a recipe by its dropdown."""
        self.root.get_by_role("combobox", name="recipe", exact=True).select_option(recipe)

    def seed(self, number):
        """Type the seed where its label says."""
        field = self.root.get_by_role("spinbutton", name="seed", exact=True)
        field.fill(str(number))
        field.press("Tab")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def words(self, text):
        """Wait until the sentence has a text, a string or a pattern, and return the sentence."""
        sentence = self.root.locator("[role=status], [role=alert]").filter(has_text=text).last
        sentence.wait_for()
        return sentence.inner_text()

    def updates(self, least=1):
        """Wait until at least so many updates are made, as the sentence says; return the sentence's number."""
        found = self.page.wait_for_function(
            """([progress, least]) => {
                for (const element of document.querySelectorAll(progress)) {
                    const [, count] = element.innerText.match(/Update ([\\d,]+) of/) || ['', '0'];
                    const made = Number(count.replaceAll(',', ''));
                    if (made >= least) return made;
                } }""",
            arg=[PROGRESS, least],
        )
        return int(found.json_value())

    def limit(self):
        """Measure an update; return the seconds that Stop may take: one and an update, or thrice that."""
        first, before = self.updates(), time.monotonic()
        made = self.updates(first + 1) - first
        update = (time.monotonic() - before) / made
        beside_other_tests = "PYTEST_XDIST_WORKER" in os.environ
        return (3 if beside_other_tests else 1) * (1 + update)

    def curve(self):
        """Return the address of the curve's picture; another picture has another."""
        return self.root.locator(CURVE).get_attribute("src")

    def curve_moves(self, before):
        """Wait until the picture is another, and return its address; see that it is there in every frame till then."""
        seen = self.page.evaluate(
            """([curve, before]) => new Promise(resolve => {
                const until = performance.now() + 60000, seen = {missing: 0, heights: [], frames: 0};
                let after = 0;
                const look = () => {
                    const image = [...document.querySelectorAll(curve)].pop();
                    seen.frames += 1;
                    if (!image || !image.complete || !image.naturalWidth) seen.missing += 1;
                    else if (!seen.heights.includes(image.clientHeight)) seen.heights.push(image.clientHeight);
                    if (image && image.src !== before) after += 1;
                    if (after > 3 || performance.now() > until) resolve({...seen, after});
                    else requestAnimationFrame(look);
                };
                requestAnimationFrame(look);
            })""",
            [CURVE, before],
        )
        assert seen["after"] > 3, "the picture does not move"
        assert (seen["missing"], len(seen["heights"])) == (0, 1), seen
        return self.curve()

    def stop(self, limit):
        """Press Stop by the keyboard; return the seconds until it says that it has stopped, at most ``limit``."""
        self.button("Stop").focus()
        before = time.monotonic()
        self.page.keyboard.press("Space")
        self.stopped(limit)
        return time.monotonic() - before

    def stopped(self, limit):
        """Wait until it says that it has stopped, at most ``limit`` seconds."""
        sentence = self.root.locator("[role=status]").filter(has_text="Stopped after update")
        sentence.wait_for(timeout=1000 * limit)
        self.root.get_by_role("button", name="Resume", exact=True, disabled=False).wait_for(timeout=1000 * limit)


def nobody_trains_in(folder):
    """Tell whether no process holds the lock of a run's folder, as the one that trains in it does."""
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            return True
    except filelock.Timeout:
        return False


def until(condition, seconds=60):
    """Wait for a condition that another process makes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
