import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AnswerReceiver, type TextAnswer } from '../../../src/server/answer-receiver.ts'
import { dataRow, errorResponse, rowDescription } from '../../../src/wire/backend-messages.ts'
import { Framer } from '../../../src/wire/framer.ts'
import { endlessShare } from '../../support/endless-share.ts'

/** What comes of `bytes` when they come in these pieces, large frames in parts. */
function receive(bytes: Buffer, cuts: readonly number[]): Promise<TextAnswer> {
  return new Promise((resolve, reject) => {
    const receiver = new AnswerReceiver(resolve, reject)
    const framer = new Framer(
      {
        isWhole: (_type, size) => size <= 32,
        onFrame: (...frame) => receiver.onFrame(...frame),
        onPart: (...part) => receiver.onPart(...part),
      },
      1 << 20,
    )
    const ends = [...new Set([...cuts, bytes.length])].filter((at) => at <= bytes.length)
    let from = 0
    for (const end of ends.sort((a, b) => a - b)) {
      framer.push(Buffer.from(bytes.subarray(from, end)), endlessShare)
      from = end
    }
    receiver.onReady()
  })
}

const value = fc.option(fc.oneof(fc.string(), fc.string({ minLength: 30, unit: 'binary' })))
const tables = fc
  .array(
    fc.string({ minLength: 1 }).filter((name) => !name.includes('\0')),
    { maxLength: 5 },
  )
  .chain((columns) => {
    const row = fc.array(value, { minLength: columns.length, maxLength: columns.length })
    return fc.record({ columns: fc.constant(columns), rows: fc.array(row, { maxLength: 8 }) })
  })
const described = (columns: readonly string[]): Buffer =>
  rowDescription(columns.map((name) => ({ name, typeOid: 25 })))

describe('the answer to a question of our own', () => {
  it('is what the server sent, however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(tables, fc.array(fc.nat(600)), async ({ columns, rows }, cuts) => {
        const bytes = Buffer.concat([described(columns), ...rows.map((row) => dataRow(row))])
        expect(await receive(bytes, cuts)).toEqual({ columns, rows })
      }),
    )
  })

  it('is that of the last statement with rows', async () => {
    const bytes = [described(['a']), dataRow(['1']), described(['b', 'c']), dataRow([null, '2'])]
    const answer = await receive(Buffer.concat(bytes), [])
    expect(answer).toEqual({ columns: ['b', 'c'], rows: [[null, '2']] })
  })

  it('is the first error, whatever came before and comes behind', async () => {
    const error = (sqlstate: string): Buffer =>
      errorResponse({ severity: 'ERROR', sqlstate, message: `it is ${sqlstate}` })
    const bytes = [described(['a']), dataRow(['1']), error('42P01'), error('25P02')]
    await expect(receive(Buffer.concat(bytes), [40])).rejects.toMatchObject({
      sqlstate: '42P01',
      message: 'it is 42P01',
    })
  })
})
