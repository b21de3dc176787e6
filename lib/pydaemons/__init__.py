# SPDX-License-Identifier: GPL-3.0-or-later
"""The classic network daemons for systemd hosts. Read docs/architecture.md first."""

__version__ = "0.1.0"
