# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of pysysctl(8): sysctl(8)'s, and ours. By hand, as argparse alone would double the start-up."""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "pysysctl"
DEFAULT_ROOT = "/run/pysysctl"

# What sysctl(8) has; its abbreviations stay unambiguous whatever we add.
_SHORT = {
    "a": "all", "A": "all", "X": "all", "b": "binary", "e": "ignore", "N": "names", "n": "values",
    "p": "load", "f": "load", "r": "pattern", "q": "quiet", "w": "write", "o": "", "x": "", "h": "help",
    "d": "help", "V": "version", "L": "list",
}  # fmt: skip
_SYSCTL_LONG = (
    "all", "binary", "deprecated", "dry-run", "help", "ignore", "load", "names", "pattern", "quiet",
    "system", "values", "version", "write",
)  # fmt: skip
_OWN_LONG = (
    "cat-config", "describe", "diff", "json", "kernel", "list", "prefix", "prefix-dir", "root", "save",
    "watch",
)  # fmt: skip
_TAKES_ARGUMENT = ("pattern", "prefix", "prefix-dir", "root")

USAGE = f"""
Usage:
 {PROGRAM} [options] [key[=value] ...]

Options:
  -a, --all            show every key (also -A, -X)
  -b, --binary         values only, without a newline
  -e, --ignore         keep silent about unknown keys
  -N, --names          names only
  -n, --values         values only
  -q, --quiet          do not repeat what was set
  -w, --write          every argument sets a key
  -r, --pattern EXPR   only keys that match the extended regular expression
  -p, --load[=FILE]    set keys from FILE, from the files named, or from /etc/sysctl.conf (also -f)
      --system         set keys from all sysctl.d folders
      --prefix KEY     only keys under KEY (may be given several times)
      --cat-config     show the files --system reads, in their order
      --dry-run        say what would be set, set nothing
      --deprecated     show keys that others replace, too
  -L, --list           a table: value, default, range, unit, origin
      --describe       all that is known of the keys
      --diff           keys whose value is not the one a restart would find
      --save           write the keys' values to /etc/sysctl.d, showing what changes
      --watch          print keys as they change
      --json           print JSON
      --kernel         the kernel's own keys, too
      --root DIR       the tree (default {DEFAULT_ROOT})
      --prefix-dir DIR what stands before /etc, /run and /usr of configuration files
  -o, -x               nothing, as in sysctl(8)
  -h, --help           this text (also -d)
  -V, --version        the version

See {PROGRAM}(8).
"""


class UsageError(Exception):
    """The command line makes no sense; the text says why, without the program's name."""


class Options:
    """The command line."""

    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.operands: list[str] = []
        self.load: str | None = None
        self.pattern = ""
        self.prefixes: list[str] = []
        self.root = _environment(b"PYSYSCTL_ROOT") or DEFAULT_ROOT
        self.sysroot = _environment(b"PYSYSCTL_SYSROOT")

    def __contains__(self, flag: str) -> bool:
        return flag in self.flags

    def take(self, flag: str, argument: str | None) -> None:
        match flag:
            case "load":
                self.load = argument
            case "pattern":
                self.pattern = argument or ""
            case "prefix":
                self.prefixes.append(argument or "")
            case "root":
                self.root = argument or DEFAULT_ROOT
            case "prefix-dir":
                self.sysroot = (argument or "").rstrip("/")
        self.flags.add(flag)


def _environment(name: bytes) -> str:
    return posix.environ.get(name, b"").decode("latin-1")


def parse_options(arguments: list[str]) -> Options:
    """The options, wherever they stand before `--`; help and version end the reading. UsageError."""
    options = Options()
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            options.operands.extend(rest)
        elif argument[:2] == "--":
            _take_long(options, argument[2:], rest)
        elif argument[:1] == "-" and argument != "-":
            _take_short(options, argument[1:], rest)
        else:
            options.operands.append(argument)
        if "help" in options or "version" in options:
            break
    return options


def _take_long(options: Options, text: str, rest: "Iterator[str]") -> None:
    word, equals, value = text.partition("=")
    own = [name for name in _OWN_LONG if name.startswith(word)]
    found = [name for name in _SYSCTL_LONG if name.startswith(word)] or own
    if word in own or word in _SYSCTL_LONG:
        found = [word]
    if not found:
        raise UsageError(f"unrecognized option '--{text}'")
    if len(found) > 1:
        known = " ".join(f"'--{name}'" for name in found)
        raise UsageError(f"option '--{text}' is ambiguous; possibilities: {known}")
    (name,) = found
    if name in _TAKES_ARGUMENT:
        argument = value if equals else next(rest, None)
        if argument is None:
            raise UsageError(f"option '--{name}' requires an argument")
        options.take(name, argument)
    elif equals and name != "load":
        raise UsageError(f"option '--{name}' doesn't allow an argument")
    else:
        options.take(name, value if equals else None)


def _take_short(options: Options, letters: str, rest: "Iterator[str]") -> None:
    for index, letter in enumerate(letters):
        name = _SHORT.get(letter)
        tail = letters[index + 1 :]
        if name is None:
            raise UsageError(f"invalid option -- '{letter}'")
        if name == "pattern":
            argument = tail or next(rest, None)
            if argument is None:
                raise UsageError(f"option requires an argument -- '{letter}'")
            options.take(name, argument)
            return
        if letter == "p":
            options.take(name, tail or None)
            return
        options.take(name, None)
