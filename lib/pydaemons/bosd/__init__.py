# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 4: pybosd.

Of pystemd only the D-Bus binding is used (`pystemd.dbuslib`). Running the package's own __init__ would load
lxml and an object layer over all of systemd's interfaces, 7 MB and 30 ms for a daemon that makes six calls;
so the package is entered here without being run, and its modules are found as ever.
"""

import sys
from importlib.util import find_spec, module_from_spec

if "pystemd" not in sys.modules:
    _spec = find_spec("pystemd")
    if _spec is not None:
        sys.modules["pystemd"] = module_from_spec(_spec)
