# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: bytes to records and back. Read record first."""
