"""The platform of this repository on one machine: `python -m local_platform up`.

The commands work on the checkout in the current folder. The Makefile runs them from there.
"""
