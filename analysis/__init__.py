"""Reads the results of `desim run`: tables, time to target, speedups and figures.

It reads files only and never imports the simulator. Public are the names in `__init__.pyi`, each
loaded when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
