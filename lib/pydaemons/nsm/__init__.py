# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 2: the network status monitor's state and rules. Read monitor first."""
