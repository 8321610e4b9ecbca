import { duplexPair } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Link } from '../../../src/net/link.ts'
import { ask, errorOf, type OwnAnswer } from '../../../src/server/ask.ts'
import { ServerConnection } from '../../../src/server/server-connection.ts'
import { SessionState } from '../../../src/server/session-state.ts'
import {
  dataRow,
  errorResponse,
  parameterStatus,
  readyForQuery,
  rowDescription,
} from '../../../src/wire/backend-messages.ts'
import { query, sync } from '../../../src/wire/frontend-messages.ts'
import { txStatus } from '../../../src/wire/message-types.ts'
import { textRow } from '../../../src/wire/text-row.ts'

function connect(): ServerConnection {
  const [near] = duplexPair()
  return new ServerConnection(
    {
      link: Link.of(near),
      nodeIndex: 0,
      nodeId: 'n',
      processId: 1,
      secretKey: Buffer.alloc(4),
      parameters: new Map(),
    },
    { onQuiet: () => {}, onLost: () => {}, onStrayNotice: () => {} },
    0,
  )
}

/** The server says this. */
function say(connection: ServerConnection, ...messages: Buffer[]): void {
  for (const message of messages) {
    connection.onFrame(message[0] ?? 0, message, 0, message.length)
  }
}

const ready = readyForQuery(txStatus.idle)
const columns = rowDescription([{ name: 'a', typeOid: 25 }])

/** What comes of a question; `lost`: the connection was. */
function asked(connection: ServerConnection, bytes: Buffer = query('SELECT 1')) {
  const heard: { answer?: OwnAnswer; lost?: Error; parameters: number } = { parameters: 0 }
  ask(connection, bytes, {
    answered: (answer) => {
      heard.answer = answer
    },
    lost: (error) => {
      heard.lost = error
    },
    parameter: () => {
      heard.parameters++
    },
  })
  return heard
}

describe("pgsplit's own questions", () => {
  it('give the rows, what describes them, and no error', () => {
    const connection = connect()
    const heard = asked(connection)
    say(connection, columns, dataRow(['x']), dataRow([null]), parameterStatus('a', 'b'))
    expect(heard.answer).toBeUndefined()
    say(connection, ready)
    const { answer } = heard
    expect(answer?.rows.map((row) => textRow(row, 0, row.length, 'utf8'))).toEqual([['x'], [null]])
    expect(answer?.descriptions).toEqual([columns])
    expect([answer?.error, answer?.isCut, heard.parameters]).toEqual([null, false, 1])
  })

  it('give the error as it came', () => {
    const connection = connect()
    const heard = asked(connection)
    say(connection, errorResponse({ sqlstate: '25P02', message: 'aborted' }), ready)
    expect(heard.answer && errorOf(heard.answer)?.sqlstate).toBe('25P02')
    expect(heard.answer?.rows).toEqual([])
  })

  it('give a row that comes in parts as one', () => {
    const connection = connect()
    const heard = asked(connection)
    const row = dataRow(['y'.repeat(1000)])
    for (const [start, end] of [
      [0, 300],
      [300, 700],
      [700, row.length],
    ] as const) {
      connection.onPart(row[0] ?? 0, row, start, end, start === 0, end === row.length)
    }
    say(connection, ready)
    expect(heard.answer?.rows).toEqual([row])
  })

  it('tell when the answer was longer than is kept', () => {
    const connection = connect()
    const heard = asked(connection)
    const row = dataRow(['z'.repeat(600 * 1024)])
    say(connection, row, row, ready)
    expect([heard.answer?.isCut, heard.answer?.rows.length]).toEqual([true, 1])
  })

  it('tell of a connection that is lost, once', () => {
    const connection = connect()
    const heard = asked(connection)
    connection.destroy(new Error('gone'))
    say(connection, ready)
    expect(heard.lost?.message).toBe('gone')
    expect(heard.answer).toBeUndefined()
  })
})

describe('the unnamed statement of a server connection', () => {
  it('is forgotten at every Query and every change of settings, and at nothing else', () => {
    const connection = connect()
    expect([connection.hasUnnamed(7), connection.lacksUnnamed]).toEqual([false, false])
    connection.noteUnnamed(7)
    asked(connection, sync)
    expect([connection.hasUnnamed(7), connection.hasUnnamed(8)]).toEqual([true, false])
    asked(connection)
    expect([connection.hasUnnamed(7), connection.lacksUnnamed]).toEqual([false, false])
    connection.noteUnnamed(null)
    expect(connection.lacksUnnamed).toBe(true)
    connection.sync(SessionState.empty, () => {})
    expect(connection.lacksUnnamed).toBe(true)
    connection.sync(SessionState.empty.with('work_mem', '1MB'), () => {})
    expect(connection.lacksUnnamed).toBe(false)
  })
})

describe('a condemned server connection', () => {
  it('is not handed on, and keeps the first cause', () => {
    const connection = connect()
    expect([connection.isClean, connection.condemnation]).toEqual([true, null])
    connection.condemn('stumbled')
    connection.condemn('dropped')
    expect([connection.isClean, connection.condemnation]).toEqual([false, 'stumbled'])
  })

  it('is one whose settings were refused', () => {
    const connection = connect()
    let refused = ''
    connection.sync(SessionState.empty.with('work_mem', 'much'), (error) => {
      refused = error?.sqlstate ?? ''
    })
    expect(connection.isSyncing).toBe(true)
    say(connection, errorResponse({ sqlstate: '22023', message: 'no' }), ready)
    expect([refused, connection.condemnation]).toEqual(['22023', 'setting refused'])
  })
})

describe('values of sequences on a server connection', () => {
  it("are one session's, several's, or nobody's", () => {
    const connection = connect()
    expect(connection.lacksSequences).toBe(true)
    connection.noteSequences(3)
    expect([connection.hasSequencesOf(3), connection.hasSequencesOf(4)]).toEqual([true, false])
    connection.mixSequences()
    expect([connection.hasSequencesOf(3), connection.lacksSequences]).toEqual([false, false])
    connection.forgetSequences()
    expect(connection.lacksSequences).toBe(true)
  })
})
