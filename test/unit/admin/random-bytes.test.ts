import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AdminSession } from '../../../src/admin/admin-session.ts'
import { splitAdminText } from '../../../src/admin/admin-text.ts'
import { PgSplitError } from '../../../src/errors.ts'
import { decodeAnswers } from './conversation.ts'
import { sampleSource } from './sample-source.ts'

const known = [...'QPBDECSHFdcfp'].map((letter) => letter.charCodeAt(0))
const type = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...known) }, fc.nat(255))
const commandText = fc
  .array(fc.constantFrom('show', ' ', 'nodes', ';', "'", '"', '/*', '*/', '--', '\n', '\0', '1'))
  .map((parts) => Buffer.from(parts.join('')))
const body = fc.oneof(
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  commandText,
  commandText.map((text) => Buffer.concat([Buffer.from('\0'), text, Buffer.from('\0\0\0')])),
)

test('random messages are answered with whole messages, never with an exception', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(type, body), { maxLength: 20 }), (frames) => {
      const session = new AdminSession(sampleSource())
      for (const [code, bytes] of frames) {
        const wasEnded = session.ended
        const answer = session.handle(code, bytes)
        expect(answer === null).toBe(wasEnded || code === 0x58)
        if (answer !== null) decodeAnswers(answer)
      }
      if (session.ended) return
      // Whatever came before: a Sync makes the conversation whole again.
      const ready = decodeAnswers(session.handle(0x53, Buffer.alloc(0)) ?? Buffer.alloc(0))
      expect(ready.map((answer) => answer.type)).toEqual(['Z'])
    }),
  )
})

test('every simple query ends with exactly one ReadyForQuery', () => {
  fc.assert(
    fc.property(commandText, (text) => {
      const bytes = new AdminSession(sampleSource()).handle(0x51, text)
      const types = decodeAnswers(bytes ?? Buffer.alloc(0)).map((answer) => answer.type)
      expect(types.filter((letter) => letter === 'Z')).toHaveLength(1)
      expect(types.at(-1)).toBe('Z')
    }),
  )
})

test('any text is split into statements or refused as a syntax error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), commandText.map(String)), (text) => {
      try {
        for (const tokens of splitAdminText(text)) expect(tokens.length).toBeGreaterThan(0)
      } catch (error) {
        expect(error).toBeInstanceOf(PgSplitError)
      }
    }),
  )
})
