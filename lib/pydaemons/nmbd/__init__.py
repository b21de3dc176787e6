# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 4: pynmbd, the NetBIOS node in its shell. Read daemon first."""
