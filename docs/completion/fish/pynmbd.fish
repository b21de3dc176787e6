# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion of pynmbd(8), made from its parser by tests/house/regenerate

complete -c pynmbd -f
complete -c pynmbd -s h -l help -d 'show help'
complete -c pynmbd -l config -r -F -d 'configuration file (/etc/pynmbd.conf)'
complete -c pynmbd -l run-dir -x -a '(__fish_complete_directories)' -d 'runtime folder ($RUNTIME_DIRECTORY or /run/pynmbd)'
complete -c pynmbd -l state-dir -x -a '(__fish_complete_directories)' -d 'state folder ($STATE_DIRECTORY or /var/lib/pynmbd)'
complete -c pynmbd -l set -x -d 'override a setting; may be repeated'
complete -c pynmbd -s n -l check -d 'check the configuration and leave'
complete -c pynmbd -l foreground -d 'accepted; it never does anything else'
complete -c pynmbd -s V -l version -d 'show the version'
complete -c pynmbd -s s -l configfile -r -F -d 'the same as --config'
complete -c pynmbd -s F -d 'the same as --foreground'
complete -c pynmbd -s D -l daemon -d 'accepted: systemd sees to the background'
complete -c pynmbd -s i -l interactive -d 'stay in the foreground, log to stdout'
complete -c pynmbd -s S -l log-stdout -d 'log to stdout; only with -F or -i'
complete -c pynmbd -l no-process-group -d 'accepted: none is ever made'
complete -c pynmbd -s H -l hosts -r -F -d 'lmhosts file'
complete -c pynmbd -s p -l port -x -d 'UDP port of the name service (137)'
complete -c pynmbd -l cache-dir -x -a '(__fish_complete_directories)' -d 'cache folder ($CACHE_DIRECTORY or /var/cache/pynmbd)'
complete -c pynmbd -l pidfile -r -F -d 'write the process id there while running'
complete -c pynmbd -s d -l debug -l debuglevel -d 'log everything (nmbd\'s levels from 3 on)'
