# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 1: NetBIOS over TCP/IP messages (RFC 1001 and 1002). Read name first, then nspacket; `node` is the
engine above them."""
