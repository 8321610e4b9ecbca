/** LISTEN, UNLISTEN and NOTIFY. */
import { effectPart, type JudgeContext, pinPart, plainPart } from './part.ts'
import { pinOfEffects } from './pin.ts'
import type { Effect, StatementPart } from './statement-class.ts'
import { statementName } from './statement-name.ts'
import type { TokenCursor } from './token-cursor.ts'
import { T_OPERATOR } from './tokens.ts'

/** Of a server that was built as usual; the hub asks. */
const maxNameBytes = 63

export function judgeListen(cursor: TokenCursor, context: JudgeContext): StatementPart {
  const isListen = cursor.accept('listen', 'unlisten') === 'listen'
  if (!isListen && cursor.kind() === T_OPERATOR) {
    return effectPart('control', 'stops listening', [{ kind: 'unlisten', channel: null }])
  }
  const given = statementName(cursor, context)
  if (given === null || !cursor.atEnd()) {
    // The server refuses it, or understands more than we do.
    if (!isListen) return plainPart('primary', 'UNLISTEN is not understood')
    return pinPart('LISTEN is not understood', [{ kind: 'listen', channel: '?', isOdd: true }])
  }
  const channel = cut(given.name)
  const isForeign = context.asciiNamesOnly && /[^\0-\x7f]/.test(channel)
  if (!isListen) return effectPart('primary', 'stops listening', [{ kind: 'unlisten', channel }])
  return pinPart(pinOfEffects(`listens to ${channel}`), [
    isForeign || channel.includes('\ufffd')
      ? { kind: 'listen', channel, isOdd: true }
      : { kind: 'listen', channel },
  ])
}

/** Longer names are cut by the server (NAMEDATALEN), between two characters. */
function cut(name: string): string {
  const bytes = Buffer.from(name)
  if (bytes.length <= maxNameBytes) return name
  let end = maxNameBytes
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

const channelName = /\s+("(?:[^"\\]|"")+"|[a-z_][a-z0-9_]*)\s*;/iy
/**
 * The channels of a DO block that does nothing but LISTEN, as clients send it that connect again
 * (`DO $$BEGIN LISTEN "a"; LISTEN "b"; END$$`); null: it is another one. `source`: its body, in its
 * quotes.
 */
export function channelsOfBlock(source: string): Effect[] | null {
  const body = /^\$([a-z_]*)\$\s*BEGIN\b([\s\S]*?)\bEND\s*;?\s*\$\1\$$/i.exec(source)?.[2]
  if (body === undefined) return null
  const found: Effect[] = []
  let at = 0
  for (;;) {
    while (/\s/.test(body[at] ?? '')) at++
    if (at >= body.length) return found.length > 0 ? found : null
    if (body.slice(at, at + 6).toUpperCase() !== 'LISTEN') return null
    channelName.lastIndex = at + 6
    const name = channelName.exec(body)?.[1]
    if (name === undefined) return null
    const isQuoted = name.startsWith('"')
    const channel = isQuoted ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase()
    if (!/^[\x20-\x7e]+$/.test(channel) || channel.length > maxNameBytes) return null
    found.push({ kind: 'listen', channel })
    at = channelName.lastIndex
  }
}
