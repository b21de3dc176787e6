# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 2: the network lock manager's state and rules. Read server first."""
