"""Figures and exercises of a page without a number of its own are counted from 1 on that page.

Sphinx counts those of all such pages, the appendices, in one row: the first figure of one was Fig. 6.
"""


def count_by_page(app, env):
    changed = []
    for docname, kinds in env.toc_fignumbers.items():
        if env.toc_secnumbers.get(docname):
            continue
        for numbers in kinds.values():
            order = sorted(numbers, key=numbers.get)
            anew = {name: (k,) for k, name in enumerate(order, start=1)}
            if anew != numbers:
                numbers.update(anew)
                changed.append(docname)
    return changed


def setup(app):
    app.connect("env-get-updated", count_by_page, priority=900)  # after Sphinx has counted
    return {"parallel_read_safe": True, "parallel_write_safe": True}
