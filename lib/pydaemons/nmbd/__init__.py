# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 4: pynmbd."""
