import type { CommandShape, FlagShape } from './command-shape.ts'

/** The manual page pgsplit(1), as roff, of what the commands' help says. */
export function manPage(
  description: string,
  version: string,
  commands: readonly CommandShape[],
): string {
  const flag = ({ long, short, value, help }: FlagShape): string => {
    const names = [...(short === null ? [] : [short]), long].map((name) => `\\fB${roff(name)}\\fR`)
    return `.TP\n${names.join(', ')}${value === null ? '' : ` \\fI${roff(value)}\\fR`}\n${roff(help)}`
  }
  const command = ({ usage, help, flags }: CommandShape): string =>
    `.SS ${roff(usage)}\n${roff(help)}\n${flags.map(flag).join('\n')}`
  return `.TH PGSPLIT 1 "" "pgsplit ${version}"
.SH NAME
pgsplit \\- ${roff(description)}
.SH SYNOPSIS
\\fBpgsplit\\fR \\fIcommand\\fR [\\fIoptions\\fR]
.SH COMMANDS
${commands.map(command).join('\n')}
.SH SIGNALS
.TP
SIGTERM, SIGINT
\\fBserve\\fR lets requests end and stops; a second one stops it at once.
.TP
SIGHUP
\\fBserve\\fR reads its configuration again.
.SH EXIT STATUS
0, 1 for what went wrong, 2 for a command line that is none.
`
}

/** Text of one line: nothing of it is taken for a request or an escape. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replace(/^[.']/, '\\&$&')
}
