# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 3: everything that touches the outside world. Read driver first."""
