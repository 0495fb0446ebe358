"""Every setting once: type, bounds, default, unit and the sentence why; without torch.

A module for each section of the configuration, so that a change concerns only what uses it. The
flags of the command line, the configuration's schema and the tables of config/README.md are made
from them.
"""
