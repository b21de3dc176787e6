# SPDX-License-Identifier: GPL-3.0-or-later
# zsh completion.zsh FOLDER LINE: what zsh, at a terminal, offers for LINE with the completions in FOLDER. All that is
# added to the candidates is printed instead of shown.
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'PS1= PROMPT= RPS1=; unsetopt zle_bracketed_paste 2>/dev/null; zle_bracketed_paste=()'
zpty -w z "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w z 'compadd() { if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi; typeset -a hits; builtin compadd -A hits "$@"; (( $#hits )) && print -rl -- "HIT "$^hits; return 1 }'
zpty -w z 'done_() { print -r -- ENDED; exit }; compprefuncs=(); comppostfuncs=(done_); bindkey "^I" complete-word'
zpty -w z 'print -r -- REA""DY'
integer n=0
while (( n++ < 500 )); do zpty -r z line || break; [[ $line == *READY* ]] && break; done
zpty -n -w z "$2"$'\t'
while (( n++ < 5000 )); do zpty -r z line || break; [[ $line == *ENDED* ]] && break;
  [[ $line == *HIT\ * ]] && print -r -- ${line#*HIT }
done
zpty -d z
