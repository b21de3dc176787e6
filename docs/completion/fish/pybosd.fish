# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion of pybosd(8), made from its parser by tests/house/regenerate

complete -c pybosd -f
complete -c pybosd -s h -l help -d 'show help'
complete -c pybosd -l config -r -F -d 'configuration file (/etc/pybosd.conf)'
complete -c pybosd -l run-dir -x -a '(__fish_complete_directories)' -d 'runtime folder ($RUNTIME_DIRECTORY or /run/pybosd)'
complete -c pybosd -l state-dir -x -a '(__fish_complete_directories)' -d 'state folder ($STATE_DIRECTORY or /var/lib/pybosd)'
complete -c pybosd -l set -x -d 'override a setting; may be repeated'
complete -c pybosd -s n -l check -d 'check the configuration and leave'
complete -c pybosd -s d -l debug -d 'log everything'
complete -c pybosd -l foreground -d 'accepted; it never does anything else'
complete -c pybosd -s V -l version -d 'show the version'
complete -c pybosd -l user -d 'use the service manager of the calling user'
complete -c pybosd -l noauth -o noauth -d 'everybody is an administrator'
complete -c pybosd -l restricted -o restricted -d 'start in restricted mode'
complete -c pybosd -l pidfiles -o pidfiles -d 'keep local/INSTANCE.pid'
