# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 2: a NetBIOS node: its names, the WINS server and client. Read node.Node first; it puts the parts
together."""
