"""The inspector and the live page: a small HTTP service on this machine alone.

Pages are plain HTML, CSS and JavaScript in `static/`; nothing is fetched from anywhere else.
"""
