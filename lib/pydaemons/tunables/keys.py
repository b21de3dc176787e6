# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of tunables: `fs.nfs.nlm_timeout` and `fs/nfs/nlm_timeout` are one key, after sysctl.d(5).

The first separator in a key decides which of the two forms it has; the other character then stands
for itself inside a component, written as its opposite. So `net.ipv4.conf.eth0/100.x` and
`net/ipv4/conf/eth0.100/x` name the same key, whose middle component is `eth0.100`.
"""

SWAP = str.maketrans("./", "/.")
"""Either form to the other, and what stands for itself inside a component."""


def is_dotted(key: str) -> bool:
    """Whether the first separator of `key` is a dot. A key without separators counts as dotted."""
    slash = key.find("/")
    return slash < 0 or -1 < key.find(".") < slash


def to_path(key: str) -> str:
    """The key as a path relative to the tree's root."""
    return key.translate(SWAP) if is_dotted(key) else key


def to_dotted(key: str) -> str:
    """The key in the form people print: dots between components."""
    return key if is_dotted(key) else key.translate(SWAP)


def split(key: str) -> tuple[str, str]:
    """The dotted folder and the last name: `fs/nfs/nlm_timeout` gives `("fs.nfs", "nlm_timeout")`."""
    folder, _, name = to_path(key).rpartition("/")
    return folder.translate(SWAP), name
