# SPDX-License-Identifier: GPL-3.0-or-later
# fish completion of pydaemons-setup(8), made from its parser by tests/house/regenerate

complete -c pydaemons-setup -f
complete -c pydaemons-setup -n 'not __fish_seen_subcommand_from install remove list' -a install -d 'put the files into place'
complete -c pydaemons-setup -n 'not __fish_seen_subcommand_from install remove list' -a remove -d 'take them away again'
complete -c pydaemons-setup -n 'not __fish_seen_subcommand_from install remove list' -a list -d 'name the files'
complete -c pydaemons-setup -n '__fish_use_subcommand' -s h -l help -d 'show help'
complete -c pydaemons-setup -n '__fish_use_subcommand' -s V -l version -d 'show the version'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from install' -s h -l help -d 'show help'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from install' -l root -x -a '(__fish_complete_directories)' -d 'another root than / (for images)'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from install' -l bin -x -a '(__fish_complete_directories)' -d 'where the commands are (beside this one)'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from install' -l sbin -x -a '(__fish_complete_directories)' -d 'where the daemons are (likewise)'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from install' -l from -x -a '(__fish_complete_directories)' -d 'the tree that has units/ and docs/'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from remove' -s h -l help -d 'show help'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from remove' -l root -x -a '(__fish_complete_directories)' -d 'another root than / (for images)'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from remove' -l purge -d 'with configuration, state and users'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from list' -s h -l help -d 'show help'
complete -c pydaemons-setup -n '__fish_seen_subcommand_from list' -l root -x -a '(__fish_complete_directories)' -d 'another root than / (for images)'
