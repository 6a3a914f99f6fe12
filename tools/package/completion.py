"""Writes the bash completion of `agentdesk` from what its --help says.

    python3 tools/package/completion.py PROGRAM > agentdesk
"""

import re
import subprocess
import sys


def help_of(program: str, *words: str) -> str:
    return subprocess.run([program, *words, "--help"], capture_output=True, text=True,
                          check=True).stdout


def flags_in(text: str) -> list[str]:
    return [f"--{name}{'=' if value else ''}"
            for name, value in re.findall(r"^  --(\w+)(=\S+)?", text, re.MULTILINE)]


def main(program: str) -> None:
    text = help_of(program)
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0]
    commands = [match.group(1) for match in
                re.finditer(r"^  ([a-z]+(?: [a-z]+)?)", listed, re.MULTILINE)]
    firsts = sorted({command.split()[0] for command in commands})
    of_all = flags_in(text)
    print("# Completion of agentdesk for bash. Made from its --help.")
    print("_agentdesk() {")
    print('  local word=${COMP_WORDS[COMP_CWORD]} words="" first="" second="" i')
    print("  for ((i = 1; i < COMP_CWORD; i++)); do")
    print('    [[ ${COMP_WORDS[i]} == -* ]] && continue')
    print('    if [[ -z $first ]]; then first=${COMP_WORDS[i]}')
    print('    elif [[ -z $second ]]; then second=${COMP_WORDS[i]}; fi')
    print("  done")
    print('  case "$first $second" in')
    print(f'    " ") words="{" ".join(firsts)}" ;;')
    for first in firsts:
        seconds = [command.split()[1] for command in commands if command.startswith(first + " ")]
        if seconds:
            print(f'    "{first} ") words="{" ".join(seconds)}" ;;')
    for command in commands:
        own = flags_in(help_of(program, *command.split()).partition("\nFlags of every")[0])
        pattern = f'"{command}"' if " " in command else f'"{command} "*'
        print(f'    {pattern}) words="{" ".join(own)}" ;;')
    print("  esac")
    print(f'  [[ $word == -* ]] && words+=" {" ".join(of_all)}"')
    print('  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")')
    print('  [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace')
    print("  return 0")
    print("}")
    print("complete -o default -F _agentdesk agentdesk")


if __name__ == "__main__":
    main(*sys.argv[1:])
