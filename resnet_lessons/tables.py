"""Tables that a notebook shows."""

import tabulate


def html_table(rows, header, align):
    """Make a table of texts and numbers, each written as it is.

    Args:
        rows: lists of cells, as many in each as in ``header``.
        header: the columns' names.
        align: "left" or "right", one a column.

    Returns:
        HTML, text that a notebook shows as a table.
    """
    html = tabulate.tabulate(rows, header, "html", colalign=align if rows else None, disable_numparse=True)
    # tabulate takes cells to stand at the left by themselves; in JupyterLab they stand at the right.
    for cell in ("<th>", "<td>"):
        html = html.replace(cell, f'{cell[:-1]} style="text-align: left;">')
    return tabulate.JupyterHTMLStr(html)
