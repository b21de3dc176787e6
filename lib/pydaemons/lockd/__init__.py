# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 4: pylockd, composed of nlm, nsm and sunrpc. Read daemon first."""
