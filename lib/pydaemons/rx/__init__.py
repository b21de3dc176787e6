# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 1: Rx, the remote procedure calls of AFS, without any I/O. Read endpoint first."""
