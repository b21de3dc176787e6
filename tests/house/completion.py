# SPDX-License-Identifier: GPL-3.0-or-later
"""Completions of every command for zsh and fish, and for bash where no more than the options is needed.

Made from commands.py. What only a running daemon knows (keys, clients, bnodes) the command is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from house.commands import Command, Option, Value

HEAD = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# {what} of {name}(8), made from its parser by tests/house/regenerate
"""
FILES = ("FILE", "PATH", "CMD", "NOTIFIER")
FOLDERS = ("DIR", "ROOT", "PREFIX-DIR")
HOSTS = ("HOST", "SERVER", "ADDRESS")
ASKED = {
    ("pysysctl", "KEY"): "pysysctl -aN 2>/dev/null",
    ("pylockctl", "CLIENT"): "pylockctl clients -n 2>/dev/null | cut -d ' ' -f 1",
    ("pybos", "INSTANCE"): "pybos status 2>/dev/null | sed -n 's/^Instance \\([^,]*\\),.*/\\1/p'",
}
"""(command, value) → what prints the words, one a line"""
BY_HAND = ("pybos", "pylockctl", "pynmbctl", "pynmblookup", "pysysctl")
"""their bash completions know more than options"""


def files(commands: list[Command]) -> Iterator[tuple[str, str]]:
    """Each file below docs/completion, and its text."""
    for command in commands:
        yield f"zsh/_{command.name}", zsh(command)
        yield f"fish/{command.name}.fish", fish(command)
        if command.name not in BY_HAND:
            yield command.name, bash(command)


# ---- zsh


def zsh(command: Command) -> str:
    text = f"#compdef {command.name}\n" + HEAD.format(what="zsh completion", name=command.name)
    functions = list(_zsh_functions(command, command.name, f"_{command.name}"))
    return f"{text}\n" + "\n".join(functions) + f'\n_{command.name} "$@"\n'


def _zsh_functions(command: Command, program: str, function: str) -> Iterator[str]:
    lines = [f"{function}() {{"]
    specs = [spec for option in command.options for spec in _zsh_option(option, program)]
    if command.verbs:
        lines += ["  local curcontext=$curcontext state line", "  typeset -A opt_args", "  local -a verbs=("]
        lines += [f"    {_quote(_colon(verb.name) + ':' + verb.help)}" for verb in command.verbs]
        lines += ["  )", "  _arguments -C \\"]
        lines += [f"    {spec} \\" for spec in specs]
        lines += [
            "    '1: :->verb' '*:: :->rest'",
            "  case $state in",
            "    verb) _describe -t verbs verb verbs ;;",
        ]
        lines += ["    rest)", "      case $line[1] in"]
        lines += [f"        {verb.name}) {function}_{verb.name} ;;" for verb in command.verbs]
        lines += ["      esac", "      ;;", "  esac"]
    else:
        for number, value in enumerate(command.operands, start=1):
            place = "*" if value.many else str(number)
            colons = "::" if value.optional else ":"
            specs.append(_quote(f"{place}{colons}{_colon(value.name)}:{_zsh_action(value, program)}"))
        lines += [
            "  _arguments \\",
            *(f"    {spec} \\" for spec in specs[:-1]),
            f"    {specs[-1]}" if specs else "",
        ]
    lines.append("}")
    yield "\n".join(lines) + "\n"
    for verb in command.verbs:
        yield from _zsh_functions(verb, program, f"{function}_{verb.name}")


def _zsh_option(option: Option, program: str) -> Iterator[str]:
    text = "[" + option.help.replace("\\", "\\\\").replace("]", "\\]").replace("[", "\\[") + "]"
    excluded = f"({' '.join(option.flags)})" if len(option.flags) > 1 else ""
    for flag in option.flags:
        if option.value is None:
            yield _quote(f"{excluded}{flag}{text}")
            continue
        value = option.value
        joined = "" if not flag.startswith("--") else "=-" if value.optional else "="
        after = ":*-*:" if value.many else "::" if value.optional else ":"
        yield _quote(
            f"{excluded}{flag}{joined}{text}{after}{_colon(value.name)}:{_zsh_action(value, program)}"
        )


def _zsh_action(value: Value, program: str) -> str:
    if value.choices:
        return f"({' '.join(value.choices)})"
    if (program, value.name) in ASKED:
        return f'{{compadd -- ${{(f)"$({ASKED[program, value.name]})"}}}}'
    if value.name in FILES:
        return "_files"
    if value.name in FOLDERS:
        return "_files -/"
    return "_hosts" if value.name in HOSTS else " "


def _colon(text: str) -> str:
    return text.replace(":", "\\:")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- fish


def fish(command: Command) -> str:
    lines = [f"complete -c {command.name} -f"]
    lines += _fish(command, command.name, ())
    return HEAD.format(what="fish completion", name=command.name) + "\n" + "\n".join(lines) + "\n"


def _fish(command: Command, program: str, path: tuple[str, ...]) -> Iterator[str]:
    seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in path)
    if command.verbs:
        names = " ".join(verb.name for verb in command.verbs)
        here = "; and ".join(filter(None, (seen, f"not __fish_seen_subcommand_from {names}")))
        for verb in command.verbs:
            yield f"complete -c {program} -n {_quote(here)} -a {verb.name} -d {_fish_quote(verb.help)}"
        seen = seen or "__fish_use_subcommand"
    start = f"complete -c {program}" + (f" -n {_quote(seen)}" if seen else "")
    for option in command.options:
        words = [_fish_flag(flag) for flag in option.flags]
        if option.value is not None:
            words.append(_fish_value(option.value, program, taken=True))
        yield " ".join([start, *words, "-d", _fish_quote(option.help)]).replace("  ", " ")
    for value in command.operands:
        if words := _fish_value(value, program, taken=False):
            yield f"{start} {words}"
    for verb in command.verbs:
        yield from _fish(verb, program, (*path, verb.name))


def _fish_flag(flag: str) -> str:
    if flag.startswith("--"):
        return f"-l {flag[2:]}"
    return f"-s {flag[1:]}" if len(flag) == 2 else f"-o {flag[1:]}"


def _fish_value(value: Value, program: str, *, taken: bool) -> str:
    if value.choices:
        words = _fish_quote(" ".join(value.choices))
    elif (program, value.name) in ASKED:
        words = _fish_quote(f"({ASKED[program, value.name]})")
    elif value.name in FILES:
        return "" if taken and value.optional else "-r -F" if taken else "-F"
    elif value.name in FOLDERS:
        words = "'(__fish_complete_directories)'"
    elif value.name in HOSTS:
        words = "'(__fish_print_hostnames)'"
    else:
        return "" if value.optional or not taken else "-x"
    return f"-x -a {words}" if taken and not value.optional else f"-a {words}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


# ---- bash


def bash(command: Command) -> str:
    name = command.name.replace("-", "_")
    every = [command, *command.verbs]
    taking = {
        kind: sorted({f for c in every for f in _flags_taking(c, kind)}) for kind in (FILES, FOLDERS, ())
    }
    flags = sorted({flag for each in every for option in each.options for flag in option.flags})
    words = " ".join([*(verb.name for verb in command.verbs), *flags])
    lines = [f"_{name}()", "{", "    local cur prev words cword", "    _init_completion -s || return", ""]
    cases = [
        (taking[FILES], "_filedir"),
        (taking[FOLDERS], "_filedir -d"),
        (taking[()], ":"),
    ]
    shown = [
        f"        {' | '.join(flags)})\n            {action}\n            return\n            ;;"
        for flags, action in cases
        if flags
    ]
    if shown:
        lines += ["    case $prev in", *shown, "    esac"]
    lines += [
        f'    COMPREPLY=($(compgen -W {_quote(words)} -- "$cur"))',
        "} &&",
        f"    complete -F _{name} {command.name}",
    ]
    return HEAD.format(what="bash completion", name=command.name) + "\n" + "\n".join(lines) + "\n"


def _flags_taking(command: Command, kind: tuple[str, ...]) -> Iterator[str]:
    for option in command.options:
        value = option.value
        if value is None or value.optional:
            continue
        if value.name in kind if kind else value.name not in (*FILES, *FOLDERS):
            yield from option.flags
