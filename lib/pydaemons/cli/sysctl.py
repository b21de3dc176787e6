# SPDX-License-Identifier: GPL-3.0-or-later
"""pysysctl(8): sysctl(8) for the daemons' tunables. Behaves as procps 4.0.2 does unless its man page says
otherwise under DIFFERENCES FROM sysctl(8).

This module has the output and the reading of keys, which is what scripts want fast; with sysctl_options and
sysctl_tree it imports nothing but what is built into the interpreter, and loads the rest when asked for it:
sysctl_write sets a key, sysctl_files reads sysctl.d, sysctl_report describes, sysctl_save compares and saves,
sysctl_watch waits. `sysctl_tree` says how bytes are carried and why no link is followed.
"""

import posix
import sys

from .sysctl_options import PROGRAM, USAGE, Options, UsageError, parse_options
from .sysctl_tree import KERNEL_ROOT, OutsideError, Place, Tree, encode, is_deprecated, narrow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EPIPE = 32
_ENOENT = 2
_ENOTDIR = 20


class Output:
    """Standard output, gathered; standard error; and the exit status."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._size = 0
        self.status = 0

    def write(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)
        if self._size > 65536:
            self.flush()

    def flush(self) -> None:
        """Hand everything over; OSError when nobody takes it."""
        data = encode("".join(self._parts))
        self._parts.clear()
        self._size = 0
        while data:
            data = data[posix.write(1, data) :]

    def say(self, message: str) -> None:
        """A line for people, after what was printed so far."""
        self.flush()
        try:
            posix.write(2, encode(f"{PROGRAM}: {message}\n"))
        except OSError:
            pass  # nobody listens

    def fail(self, message: str) -> None:
        """A line for people, and failure at the end."""
        self.status = 1
        self.say(message)


class Session:
    """What the parts of the command share."""

    def __init__(self, options: Options, output: Output) -> None:
        self.options = options
        self.output = output
        self.trees = [Tree(narrow(options.root))]
        if "kernel" in options:
            self.trees.append(Tree(KERNEL_ROOT))
        self.wanted: Callable[[str], object] = _anything
        """whether a key (dotted) is to be shown"""
        self.settable: Callable[[str, str], object] = _anything
        """whether a setting is to be made: its key (dotted), and the whole of it as written"""
        self.collected: dict[str, str] = {}
        """what was read or set, for the JSON printed at the end"""
        self._refreshed: set[tuple[int, int]] = set()
        if options.pattern or options.prefixes:
            from .sysctl_files import selectors  # noqa: PLC0415

            self.wanted, self.settable = selectors(options)

    def find(self, path: str) -> Place:
        """The key or folder at a path in the first tree that has it. OSError, OutsideError."""
        for tree in self.trees[:-1]:
            try:
                return tree.find(path)
            except OSError as error:
                if error.errno != _ENOENT:
                    raise
        return self.trees[-1].find(path)

    def root_of(self, error_path: str) -> str:
        """How a path that was not found is named in a message."""
        return f"{self.trees[-1].root}/{error_path}"

    def read_value(self, place: Place) -> str:
        """What the key says now; a live one is waited for until its daemon has brought it up to date."""
        text = place.read()
        if place.tree.root != KERNEL_ROOT:
            where = posix.fstat(place.folder)
            folder = (where.st_dev, where.st_ino)
            if folder not in self._refreshed:
                from .sysctl_live import is_stale, wait  # noqa: PLC0415

                if is_stale(place):
                    self._refreshed.add(folder)
                    if wait(place):
                        text = place.read()
        return text

    def not_shown(self, message: str) -> None:
        """Something may not be read: a failure, unless everything there is was asked for."""
        if "all" in self.options:
            self.output.say(message)
        else:
            self.output.fail(message)

    def print_value(self, shown: str, text: str) -> None:
        """A value that was read, in the form the options ask for."""
        options, write = self.options, self.output.write
        if "json" in options:
            self.collect(shown, text)
        elif "binary" in options:
            write(text.replace("\n", ""))
        elif "values" in options:
            write(text)
        elif text:
            for line in text.removesuffix("\n").split("\n"):
                write(f"{shown} = {line}\n")

    def collect(self, shown: str, text: str) -> None:
        """Keep a value for the JSON object printed at the end."""
        self.collected[shown] = text.removesuffix("\n")


def _anything(key: str, text: str = "") -> bool:
    return True


def show(session: Session, operand: str) -> None:
    """Print one operand: a key, the keys of a folder, or those a glob gives."""
    from pydaemons.tunables.keys import to_dotted, to_path  # noqa: PLC0415

    output = session.output
    path, dotted = to_path(operand), to_dotted(operand)
    if not operand:
        output.fail('"" is an unknown key')
        return
    warn_of_separators(session, operand)
    try:
        place = session.find(path)
    except OutsideError:
        output.fail(f"Path is not under {session.root_of('')}: {session.root_of(path)}")
        return
    except OSError as error:
        if error.errno == _ENOENT and not {"*", "?", "["}.isdisjoint(operand):
            matched = sorted({name for tree in session.trees for name in tree.match(path)})
            for name in matched:
                show(session, name)
            if matched:
                return
        if "ignore" not in session.options:
            output.fail(f"cannot stat {session.root_of(path)}: {error.strerror}")
        return
    try:
        if place.is_folder:
            show_folder(session, place, dotted.rstrip("./"))
        elif path.endswith("/"):
            output.fail(f"cannot stat {session.root_of(path)}: {posix.strerror(_ENOTDIR)}")
        elif session.wanted(dotted):
            show_key(session, place, dotted, listed=False)
    finally:
        place.close()


def warn_of_separators(session: Session, key: str) -> None:
    """Two separators in a row are read as one."""
    for index, mark in enumerate(key[1:]):
        if mark in "./" and key[index] in "./" and ".." not in key.split("/"):
            session.output.say(f"separators should not be repeated: {key[index:]}")
            return


def show_folder(session: Session, place: Place, dotted: str) -> None:
    """Print all keys below a folder."""
    try:
        folder, names = place.tree.names(place)
    except OSError:
        path = session.root_of(dotted.translate(str.maketrans("./", "/.")))
        session.not_shown(f'unable to open directory "{path}/"')
        return
    show_names(session, place.tree, folder, names, f"{dotted}.")


def show_names(session: Session, tree: Tree, folder: int, names: list[str], prefix: str) -> None:
    """Print the keys of an open folder, and close it."""
    try:
        for name in names:
            place = tree.look(folder, name)
            if place is None:
                continue
            dotted = prefix + name.translate(str.maketrans("./", "/."))
            if place.is_folder:
                show_folder(session, place, dotted)
            elif session.wanted(dotted) and ("deprecated" in session.options or not is_deprecated(name)):
                show_key(session, place, dotted, listed=True)
    finally:
        posix.close(folder)


def show_key(session: Session, place: Place, dotted: str, *, listed: bool) -> None:
    """Print one key; in a listing, what cannot be read for a reason of its own is left out."""
    if not place.readable:
        return
    if "names" in session.options and "json" not in session.options:
        session.output.write(f"{dotted}\n")
        return
    try:
        session.print_value(dotted, session.read_value(place))
    except PermissionError:
        session.not_shown(f"permission denied on key '{dotted}'")
    except OSError as error:
        if not listed:
            session.output.fail(f'reading key "{dotted}": {error.strerror}')


def show_all(session: Session) -> None:
    """Print every key of every tree."""
    for tree in session.trees:
        try:
            folder, names = tree.top()
        except OSError:
            session.output.fail(f'unable to open directory "{tree.root}/"')
            continue
        show_names(session, tree, folder, names, "")


def run(session: Session) -> None:
    """Do what the options say; see Output.status."""
    options = session.options
    if "cat-config" in options or "system" in options:
        from . import sysctl_files  # noqa: PLC0415

        if "cat-config" in options:
            sysctl_files.cat_config(session)
        else:
            sysctl_files.apply_system(session)
    elif options.flags & {"list", "describe"}:
        from . import sysctl_report  # noqa: PLC0415

        sysctl_report.run(session)
    elif options.flags & {"diff", "save"}:
        from . import sysctl_save  # noqa: PLC0415

        sysctl_save.run(session)
    elif "watch" in options:
        from . import sysctl_watch  # noqa: PLC0415

        sysctl_watch.run(session)
    elif "all" in options:
        show_all(session)
    elif "load" in options:
        from . import sysctl_files  # noqa: PLC0415

        sysctl_files.apply_named(session)
    elif not options.operands:
        raise UsageError("no variables specified")
    elif {"names", "quiet"} <= options.flags:
        raise UsageError("options -N and -q cannot coexist")
    else:
        for operand in options.operands:
            run_operand(session, operand)
    if "json" in options:
        from . import sysctl_report  # noqa: PLC0415

        sysctl_report.print_collected(session)


def run_operand(session: Session, operand: str) -> None:
    """Set a key (`key=value`) or print it."""
    operand = narrow(operand)
    if "=" in operand:
        from . import sysctl_write  # noqa: PLC0415

        sysctl_write.set_operand(session, operand)
    elif "write" in session.options:
        session.output.fail("command line(0): invalid syntax, continuing...")
    else:
        show(session, operand)


def main() -> int:
    """The command; returns its exit status."""
    output = Output()
    try:
        options = parse_options(sys.argv[1:])
        if len(sys.argv) == 1:
            posix.write(2, encode(USAGE))
            return 1
        if "help" in options:
            output.write(USAGE)
        elif "version" in options:
            from pydaemons import __version__  # noqa: PLC0415

            output.write(f"{PROGRAM} from pydaemons {__version__}\n")
        else:
            run(Session(options, output))
        output.flush()
    except UsageError as error:
        output.fail(f"{narrow(str(error))}\nTry `{PROGRAM} --help' for more information.")
    except KeyboardInterrupt:
        _die_of(2)
    except OSError as error:
        if error.errno == _EPIPE:
            _die_of(13)
        try:
            posix.write(2, encode(f"{PROGRAM}: write error: {error.strerror}\n"))
        except OSError:
            pass
        return 1
    return output.status


def _die_of(number: int) -> None:
    """End as a program that leaves the signal alone would, so that the shell sees what happened."""
    import _signal  # type: ignore[import-not-found]  # noqa: PLC0415 -- signal without its enums

    _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
