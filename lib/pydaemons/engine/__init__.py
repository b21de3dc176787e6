# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: what every engine and its shell agree on. Read protocol first."""
