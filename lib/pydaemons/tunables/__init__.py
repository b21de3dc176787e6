# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: declared settings, their text forms and their layers. Read declare first."""
