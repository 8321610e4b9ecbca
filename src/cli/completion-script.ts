import type { CommandShape, FlagShape } from './command-shape.ts'

/** The shells that can be completed in. */
export const shells = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof shells)[number]

/** What a shell has to read to complete `pgsplit`'s commands, flags and their values. */
export function completionScript(shell: Shell, commands: readonly CommandShape[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return zsh(commands)
    case 'fish':
      return fish(commands)
    default:
      return shell satisfies never
  }
}

const takesFile = ({ value }: FlagShape): boolean => value === 'file' || value === 'directory'

const namesOf = ({ long, short }: FlagShape): readonly string[] =>
  short === null ? [long] : [short, long]

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

/** Every flag means the same in each command that has it. */
function allFlags(commands: readonly CommandShape[]): FlagShape[] {
  return [...new Map(commands.flatMap(({ flags }) => flags).map((one) => [one.long, one])).values()]
}

function bash(commands: readonly CommandShape[]): string {
  const flags = allFlags(commands)
  const files = flags.filter(takesFile).flatMap(namesOf)
  const listed = flags.filter(({ words }) => words.length > 0)
  const free = flags.filter((flag) => {
    return flag.value !== null && !takesFile(flag) && flag.words.length === 0
  })
  const reply = (words: readonly string[]): string =>
    `COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$cur"))`
  return `# bash completion of pgsplit: eval "$(pgsplit completion bash)"
_pgsplit() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD - 1]}" command='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${commands.map(({ name }) => name).join('|')}) command="\${COMP_WORDS[i]}"; break ;;
    esac
  done
  COMPREPLY=()
  case "$prev" in
    ${files.join('|')}) COMPREPLY=($(compgen -f -- "$cur")); return ;;
${listed.map((flag) => `    ${namesOf(flag).join('|')}) ${reply(flag.words)}; return ;;`).join('\n')}
    ${free.flatMap(namesOf).join('|')}) return ;;
  esac
  case "$command" in
    '') ${reply([...commands.map(({ name }) => name), '--help', '--version'])} ;;
${commands
  .map(({ name, flags, words }) => {
    return `    ${name}) ${reply([...words, ...flags.map(({ long }) => long)])} ;;`
  })
  .join('\n')}
  esac
}
complete -o filenames -F _pgsplit pgsplit
`
}

function zsh(commands: readonly CommandShape[]): string {
  const plain = (text: string): string => text.replace(/[[\]:\\]/g, '\\$&')
  const action = (flag: FlagShape): string => {
    if (flag.value === null) return ''
    const what = takesFile(flag)
      ? '_files'
      : flag.words.length > 0
        ? `(${flag.words.join(' ')})`
        : ' '
    return `:${plain(flag.value)}:${what}`
  }
  const flag = (one: FlagShape): string[] =>
    namesOf(one).map((name) => quoted(`*${name}[${plain(one.help)}]${action(one)}`))
  const specs = ({ flags, words }: CommandShape): string =>
    [
      ...flags.flatMap(flag),
      ...(words.length > 0 ? [quoted(`1:what:(${words.join(' ')})`)] : []),
    ].join(' \\\n      ')
  return `#compdef pgsplit
# zsh completion of pgsplit: eval "$(pgsplit completion zsh)", or a file _pgsplit in $fpath
_pgsplit() {
  local -a commands
  commands=(
${commands.map(({ name, help }) => `    ${quoted(`${name}:${plain(help)}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case "$words[1]" in
${commands.map((one) => `    ${one.name}) _arguments ${specs(one)} ;;`).join('\n')}
  esac
}
if [ "$funcstack[1]" = _pgsplit ]; then _pgsplit "$@"; else compdef _pgsplit pgsplit; fi
`
}

function fish(commands: readonly CommandShape[]): string {
  const lines = commands.flatMap(({ name, help, flags, words }) => {
    const seen = `-n '__fish_seen_subcommand_from ${name}'`
    return [
      `complete -c pgsplit -n __fish_use_subcommand -a ${name} -d ${quoted(help)}`,
      ...(words.length > 0 ? [`complete -c pgsplit ${seen} -a ${quoted(words.join(' '))}`] : []),
      ...flags.map((flag) => {
        const short = flag.short === null ? '' : ` -s ${flag.short.slice(1)}`
        const value = flag.value === null ? '' : takesFile(flag) ? ' -r -F' : ' -x'
        const list = flag.words.length > 0 ? ` -a ${quoted(flag.words.join(' '))}` : ''
        const names = `-l ${flag.long.slice(2)}${short}`
        return `complete -c pgsplit ${seen} ${names}${value}${list} -d ${quoted(flag.help)}`
      }),
    ]
  })
  return `# fish completion of pgsplit: pgsplit completion fish | source
complete -c pgsplit -f
${lines.join('\n')}
`
}
