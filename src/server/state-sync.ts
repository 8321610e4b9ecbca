import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import type { StateChange } from './session-state.ts'

const writer = new Writer(1024)
const setConfig = 'SELECT pg_catalog.set_config($1, $2, false)'
/** Makes a custom parameter known; one that a library has is left as it is. */
const makeKnown =
  "SELECT pg_catalog.set_config($1, coalesce(pg_catalog.current_setting($1, true), ''), true)"

/**
 * Parameter names that may stand in a RESET, which takes no bind parameter: a plain identifier, with
 * at most one qualifying part. Names outside are never tracked (the session is pinned instead).
 */
export function isTrackableName(name: string): boolean {
  return name.length <= 127 && /^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*$/.test(name)
}

/**
 * The messages that carry out `changes`, up to and including Sync, as one batch. Values travel as
 * bind parameters; nothing of a client's is put into SQL text except a name that
 * `isTrackableName` has let through.
 */
export function stateSyncMessages(changes: readonly StateChange[]): Buffer {
  let isPrepared = false
  for (const { name, value, isNew } of changes) {
    if (isNew === true) {
      parse(makeKnown)
      isPrepared = false
      bind([name])
    } else if (value === null) {
      if (!isTrackableName(name)) throw new Error(`setting name cannot be reset: ${name}`)
      parse(resetText(name))
      isPrepared = false
      bind([])
    } else {
      if (!isPrepared) parse(setConfig)
      isPrepared = true
      bind([name, value])
    }
    writer.begin(frontend.execute).byte(0).int32(0).end()
  }
  return writer.begin(frontend.sync).end().take()
}

function resetText(name: string): string {
  if (name === 'session_authorization') return 'RESET SESSION AUTHORIZATION'
  if (name === 'role') return 'RESET ROLE'
  return `RESET ${name
    .split('.')
    .map((part) => `"${part}"`)
    .join('.')}`
}

function parse(text: string): void {
  writer.begin(frontend.parse).byte(0).string(text).int16(0).end()
}

function bind(values: readonly string[]): void {
  writer.begin(frontend.bind).byte(0).byte(0).int16(0).int16(values.length)
  for (const value of values) {
    // Byte for byte as the client sent it: tracked values are kept as latin1 strings.
    const bytes = Buffer.from(value, 'latin1')
    writer.int32(bytes.length).bytes(bytes)
  }
  writer.int16(0).end()
}
