"""HTML tables read back, as the widgets and their twins make them."""

import re


def rows(html):
    """List the cells of each row of an HTML table, as texts."""
    found = re.findall(r"<tr>(.*?)</tr>", html, flags=re.DOTALL)
    return [[cell.strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in found]
