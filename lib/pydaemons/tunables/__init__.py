# SPDX-License-Identifier: GPL-3.0-or-later
"""Floor 0: declared settings, their text forms and their layers. Read declare first.

Nothing is imported here on purpose: pysysctl takes single modules of this package and must start in
a millisecond (see kinds).
"""
