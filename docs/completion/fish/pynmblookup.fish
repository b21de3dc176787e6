# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion of pynmblookup(8), made from its parser by tests/house/regenerate

complete -c pynmblookup -f
complete -c pynmblookup -s h -l help -d 'show help'
complete -c pynmblookup -s B -l broadcast -x -a '(__fish_print_hostnames)' -d 'broadcast address to ask'
complete -c pynmblookup -s U -l unicast -x -a '(__fish_print_hostnames)' -d 'ask this host only'
complete -c pynmblookup -s R -l recursion -d 'set the recursion desired bit: ask a WINS server'
complete -c pynmblookup -s M -l master-browser -d 'look for master browsers of the given workgroups'
complete -c pynmblookup -s S -l status -d 'ask the hosts found for their node status too'
complete -c pynmblookup -s A -l lookup-by-ip -d 'node status of the given addresses'
complete -c pynmblookup -s f -l flags -d 'show the flags of answers'
complete -c pynmblookup -s T -l translate -d 'show host names of addresses found, by the DNS'
complete -c pynmblookup -s r -l root-port -d 'ask from port 137 (old hosts answer there)'
complete -c pynmblookup -s p -l port -x -d 'port to ask at (137)'
complete -c pynmblookup -l netbios-scope -x -d 'scope of the names'
complete -c pynmblookup -s d -l debuglevel -x -d 'accepted'
complete -c pynmblookup -s s -l configfile -r -F -d 'accepted: no configuration is needed'
complete -c pynmblookup -l json -d 'print JSON'
complete -c pynmblookup -s V -l version -d 'show the version'
