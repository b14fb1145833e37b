"""What a stored lesson must be. Each rule takes a notebook and returns its complaints, a list of sentences.

Three conventions that a reader of the lessons can rely on:

- A figure is stored with alt text, as ``resnet_lessons.plots.show(fig, alt="...")`` does, and the next cell is text
  that begins with ``**Figure.**`` (or ``**Figure 2.**``) and says in a sentence what the figure shows.
- A cell whose output may vary is tagged ``nbval-ignore-output``; it, or the code cell after it, asserts what must hold.
- All other output is compared, character by character.
"""

import ast
import re

IGNORED = "nbval-ignore-output"
TAGS = {IGNORED}
MAX_LINES = 25
MAX_IGNORED = 0.4
MIN_ALT = 20  # characters

# A path from the root of a file system: at least one folder, and no letter before it as in "images/s" or in an address.
ABSOLUTE_PATH = re.compile(r"(?<![\w.~:/<\\-])/(?:[\w.+-]+/)+[\w.+-]+|\b[A-Za-z]:\\+\w|file://")
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")  # a binary in a text; among so many letters all is found
MEMORY_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
MARKER_COMMENT = re.compile(r"#\s*(NBVAL_|PYTEST_VALIDATE_)", re.IGNORECASE)
FIGURE_TEXT = re.compile(r"\*\*Figure( \d+)?\.\*\* (\S.{18,}[.?!])", re.DOTALL)
NAMELESS_IMAGE = re.compile(r"!\[\s*\]\(|<img\b(?![^>]*\balt=\"[^\"]+\")")


def code_cells(notebook):
    """List (number, cell) of the cells that hold code; the first cell of the notebook is number 1."""
    return [(number, cell) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"]


def outputs(notebook):
    """List (number, output) of everything the cells put out."""
    return [(number, output) for number, cell in code_cells(notebook) for output in cell.outputs]


def tags(cell):
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


def texts(notebook):
    """List (place, text) of every stored text: outputs and what widgets hold, pictures and other binaries aside."""
    found = []
    for number, output in outputs(notebook):
        kept = {key: value for key, value in output.get("data", {}).items() if not key.startswith("image/")}
        parts = [output.get("text", ""), kept, output.get("metadata", {}), output.get("traceback", [])]
        found += [(f"cell {number}", text) for text in _strings(parts)]
    for view in notebook.metadata.get("widgets", {}).values():
        states = [model.get("state", {}) for model in view.get("state", {}).values()]
        found += [("a widget", text) for text in _strings(states)]
    return found


def _strings(value):
    if isinstance(value, str):
        return [PICTURE.sub("", value)]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for child in children for text in _strings(child)]


def counts_run_from_one(notebook):
    """Every code cell was run, once, in order: a cell without a count is one that nbval passes unchecked."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    wanted = list(range(1, len(counts) + 1))
    return [] if counts == wanted else [f"execution counts are {counts}, not 1 to {len(counts)} in order"]


def no_errors(notebook):
    """No stored output is an error."""
    return [f"cell {n} stores an error: {o.ename}" for n, o in outputs(notebook) if o.output_type == "error"]


def no_stderr(notebook):
    """No stored output went to the standard error."""
    return [f"cell {n} stores stderr: {o.text[:80]!r}" for n, o in outputs(notebook) if o.get("name") == "stderr"]


def no_absolute_paths(notebook):
    """No stored text names a folder of the machine that built the lesson."""
    return [f"{place} names a path: {m[0]!r}" for place, text in texts(notebook) if (m := ABSOLUTE_PATH.search(text))]


def no_memory_addresses(notebook):
    """No stored text holds where an object lay in memory."""
    found = [(place, MEMORY_ADDRESS.search(text)) for place, text in texts(notebook)]
    return [f"{place} holds a memory address: {match[0]}" for place, match in found if match]


def short_cells(notebook):
    """A code cell does one thing."""
    lines = [(number, cell.source.count("\n") + 1) for number, cell in code_cells(notebook)]
    return [f"cell {number} has {n} lines; at most {MAX_LINES}" for number, n in lines if n > MAX_LINES]


def figures_have_alt_text(notebook):
    """Every picture says in its metadata what a reader who cannot see it would miss."""
    said = []
    for number, output in outputs(notebook):
        for kind in (key for key in output.get("data", {}) if key.startswith("image/")):
            alt = output.metadata.get(kind, {}).get("alt", "")
            if len(alt.strip()) < MIN_ALT:
                said.append(f"cell {number}: {kind} has alt text {alt!r}; at least {MIN_ALT} characters")
    return said


def figures_have_a_sentence(notebook):
    """Below every figure stands what it shows."""
    said = []
    for number, cell in code_cells(notebook):
        if not any(key.startswith("image/") for output in cell.outputs for key in output.get("data", {})):
            continue
        below = notebook.cells[number] if number < len(notebook.cells) else None  # numbers count from 1
        text = below.source.split("\n\n")[0] if below and below.cell_type == "markdown" else ""
        if not FIGURE_TEXT.fullmatch(text.strip()):
            said.append(f"cell {number} shows a figure; the next must begin '**Figure.** ' and say what it shows")
    return said


def images_in_text_have_alt_text(notebook):
    """Pictures embedded in prose have alt text too."""
    prose = [(number, cell.source) for number, cell in enumerate(notebook.cells, 1) if cell.cell_type == "markdown"]
    return [f"cell {number} has an image without alt text" for number, text in prose if NAMELESS_IMAGE.search(text)]


def known_tags(notebook):
    """Only tags that this suite knows, each with something to do; no comment that switches nbval off."""
    said = []
    for number, cell in enumerate(notebook.cells, 1):
        said += [f"cell {number} has the unknown tag {tag!r}" for tag in sorted(set(tags(cell)) - TAGS)]
        if IGNORED in tags(cell) and not cell.get("outputs"):
            said.append(f"cell {number} is tagged {IGNORED} but puts out nothing: drop the tag")
        if cell.cell_type == "code" and MARKER_COMMENT.search(cell.source):
            said.append(f"cell {number} steers nbval by a comment: use the tag {IGNORED}")
    return said


def few_ignored_cells(notebook):
    """Most code cells are compared."""
    cells = [cell for _, cell in code_cells(notebook)]
    ignored = sum(IGNORED in tags(cell) for cell in cells)
    if ignored <= MAX_IGNORED * len(cells):
        return []
    return [f"{ignored} of {len(cells)} code cells are tagged {IGNORED}; at most {MAX_IGNORED:.0%}"]


def ignored_cells_assert(notebook):
    """What is not compared is asserted: in the cell itself or in the code cell after it."""
    cells = code_cells(notebook)
    following = [*cells[1:], (None, None)]
    return [
        f"cell {number} is tagged {IGNORED}, and neither it nor the code cell after it asserts anything"
        for (number, cell), (_, after) in zip(cells, following, strict=True)
        if IGNORED in tags(cell) and not _asserts(cell) and not (after and _asserts(after))
    ]


def _asserts(cell):
    """Tell whether a cell asserts something that its own run decides, so not ``assert True``."""
    source = "\n".join(line for line in cell.source.splitlines() if not line.lstrip().startswith(("%", "!")))
    tree = compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return any(isinstance(node, ast.Name | ast.Call | ast.Attribute) for test in tests for node in ast.walk(test))


def no_shell(notebook):
    """A lesson installs nothing and calls no shell: it runs the same on every system."""
    said = []
    for number, cell in code_cells(notebook):
        for line in cell.source.splitlines():
            if re.match(r"\s*(!|%%?(pip|conda|sx|system|bash|sh|script)\b)", line):
                said.append(f"cell {number} calls a shell or an installer: {line.strip()!r}")
    return said


def widgets_have_state(notebook):
    """Widget metadata is complete: without ``state`` GitHub shows "Invalid notebook", without a model an empty box."""
    views = notebook.metadata.get("widgets", {})
    said = [f"metadata.widgets[{kind!r}] has no state" for kind, view in views.items() if "state" not in view]
    stored = {model for view in views.values() for model in view.get("state", {})}
    for number, output in outputs(notebook):
        view = output.get("data", {}).get("application/vnd.jupyter.widget-view+json")
        if view and view["model_id"] not in stored:
            said.append(f"cell {number} shows a widget whose state is not stored")
    return said


RULES = (
    counts_run_from_one,
    no_errors,
    no_stderr,
    no_absolute_paths,
    no_memory_addresses,
    short_cells,
    figures_have_alt_text,
    figures_have_a_sentence,
    images_in_text_have_alt_text,
    known_tags,
    few_ignored_cells,
    ignored_cells_assert,
    no_shell,
    widgets_have_state,
)


def complaints(notebook):
    """Apply every rule.

    Args:
        notebook: a notebook as nbformat reads it.

    Returns:
        A list of sentences, each begun by the name of the rule; empty for a lesson that is as it should be.
    """
    return [f"{rule.__name__}: {said}" for rule in RULES for said in rule(notebook)]
