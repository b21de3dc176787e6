# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion of pylockd(8), made from its parser by tests/house/regenerate

complete -c pylockd -f
complete -c pylockd -s h -l help -d 'show help'
complete -c pylockd -l config -r -F -d 'configuration file (/etc/pylockd.conf)'
complete -c pylockd -l run-dir -x -a '(__fish_complete_directories)' -d 'runtime folder ($RUNTIME_DIRECTORY or /run/pylockd)'
complete -c pylockd -l state-dir -x -a '(__fish_complete_directories)' -d 'state folder ($STATE_DIRECTORY or /var/lib/pylockd)'
complete -c pylockd -l set -x -d 'override a setting; may be repeated'
complete -c pylockd -s n -l check -d 'check the configuration and leave'
complete -c pylockd -s d -l debug -d 'log everything'
complete -c pylockd -l foreground -d 'accepted; it never does anything else'
complete -c pylockd -s V -l version -d 'show the version'
complete -c pylockd -l instance -x -d 'be one of several: files and folders are called pylockd@NAME, tunables fs.nfs@NAME'
