# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus' text format (version 0.0.4), for every command that shows counters. Read Metrics.family.

Names follow Prometheus' rules: the daemon, what is counted, its unit or `_total` at the end, labels for the
rest. docs/monitoring.md lists what there is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # pybos starts without typing
    from collections.abc import Iterable, Mapping

    Labels = Mapping[str, str]


class Metrics:
    """A page of families in the order they were added; `text` is the whole of it."""

    def __init__(self, daemon: str) -> None:
        self._daemon = daemon
        self._lines: list[str] = []

    def family(self, name: str, kind: str, doc: str, samples: Iterable[tuple[Labels, object]]) -> None:
        """One family: its kind ("counter", "gauge"), a sentence, and a value for each set of labels."""
        whole = f"{self._daemon}_{name}"
        self._lines.append(f"# HELP {whole} {doc}")
        self._lines.append(f"# TYPE {whole} {kind}")
        self._lines.extend(f"{whole}{_labels(labels)} {_number(value)}" for labels, value in samples)

    def gauge(self, name: str, doc: str, value: object) -> None:
        """A family of one value without labels."""
        self.family(name, "gauge", doc, [({}, value)])

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self._lines)


def _number(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
