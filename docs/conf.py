"""Settings of the docs as a site, which `make site` builds with Sphinx, MyST and Furo."""

from ccproxy import __version__

project = "ccproxy"
release = __version__
extensions = ["myst_parser"]
exclude_patterns = ["conformance-items.yaml"]

html_theme = "furo"
html_title = f"ccproxy {__version__}"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

# Links such as `routing.md#rules` work on the site as they do where the files are read.
myst_heading_anchors = 4
