"""Builds the site of these pages: ``sphinx-build -W -b html docs _site``, with ``emgsim[docs]``.

A page stands where its reader's task is (``index.md``); nothing that a browser loads comes from
another server.
"""

from importlib.metadata import version as installed

project = "emgsim"
author = "emgsim contributors"
copyright = author
release = version = installed("emgsim")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",  # reads numpydoc
    "cyclopts.sphinx_ext",  # the commands, from the functions that they are
]
autosummary_generate = False  # the names are few, and stand on one page
exclude_patterns = ["schema"]
templates_path: list[str] = []
html_theme = "furo"
html_title = "emgsim"
html_copy_source = False
html_theme_options = {
    "announcement": "Never with a person connected.",
}

myst_heading_anchors = 4  # as the links from page to page have them
highlight_language = "none"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_type_aliases = {"Floats": "numpy.ndarray"}
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_display_short_literal_types = True
default_role = "py:obj"
nitpicky = True
# Other people's names are not looked up: that would need the network. Neither are ours that are
# no part of the public interface, and have no entry in the reference.
nitpick_ignore_regex = [(r"py:.*", r"(?!emgsim\.).*"), (r"py:.*", r"emgsim\..*")]
