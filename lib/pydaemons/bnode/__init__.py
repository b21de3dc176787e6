# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 2: supervision rules. Read machine first."""
