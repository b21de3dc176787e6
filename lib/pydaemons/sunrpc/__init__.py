# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 1: ONC RPC version 2 messages (RFC 5531), without any I/O. Read program first."""
