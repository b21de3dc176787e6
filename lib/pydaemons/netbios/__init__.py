# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 1: NetBIOS over TCP/IP messages (RFC 1002)."""
