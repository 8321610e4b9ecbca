import { ProtocolError } from '../errors.ts'
import type { Effect, StatementClass } from '../sql/statement-class.ts'
import { quoteLiteral } from '../sql/token-cursor.ts'
import type { Cursor } from '../wire/cursor.ts'

/** Types of parameters whose value is the text as the client sent it: unknown, text, varchar. */
const textTypes: ReadonlySet<number> = new Set([0, 25, 705, 1043])

type SetEffect = Extract<Effect, { kind: 'set' }>

/**
 * The class of a statement as this Bind makes it: names and values that set_config() takes from
 * parameters are put in, so that they are tracked like those of a SET. `parse` is the statement's
 * Parse behind its name; the cursor stands in front of the Bind's `count` values.
 */
export function boundClass(
  cls: StatementClass,
  parse: Buffer,
  cursor: Cursor,
  count: number,
): StatementClass {
  if (!cls.effects.some(takesParameter)) return cls
  const at = cursor.at
  try {
    const values: (Buffer | null)[] = []
    for (let i = 0; i < count; i++) {
      const size = cursor.int32()
      values.push(size < 0 ? null : cursor.bytes(size))
    }
    const value = (number: number | undefined): string | null => {
      if (number === undefined || !textTypes.has(parameterType(parse, number - 1))) return null
      const text = values[number - 1]?.toString() ?? null
      // What isn't UTF-8 can't be told here; the server is asked for it.
      return text === null || text.includes('\ufffd') ? null : text
    }
    const bind = (effect: Effect): Effect =>
      takesParameter(effect) ? bound(effect, value) : effect
    const parts = cls.parts.map((part) => ({ ...part, effects: part.effects.map(bind) }))
    return { ...cls, parts, effects: cls.effects.map(bind) }
  } catch (error) {
    // The server says what is wrong with the Bind.
    if (!(error instanceof ProtocolError)) throw error
    return cls
  } finally {
    cursor.at = at
  }
}

function takesParameter(effect: Effect): effect is SetEffect {
  if (effect.kind !== 'set') return false
  return effect.nameParameter !== undefined || effect.valueParameter !== undefined
}

function bound(effect: SetEffect, value: (number: number | undefined) => string | null): Effect {
  const { nameParameter, valueParameter, ...rest } = effect
  const name = nameParameter === undefined ? effect.name : value(nameParameter)?.toLowerCase()
  if (name === undefined || name === '') return rest
  const config = value(valueParameter)
  if (config === null) return { ...rest, name }
  return { ...rest, name, value: quoteLiteral(config), opaque: false, config }
}

/** OID that the Parse gives for a parameter, counted from 0; 0: the server finds it out. */
function parameterType(parse: Buffer, index: number): number {
  const types = parse.indexOf(0) + 1
  if (index >= parse.readUInt16BE(types)) return 0
  return parse.readUInt32BE(types + 2 + index * 4)
}
