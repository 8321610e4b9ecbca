import type { Duplex } from 'node:stream'
import { ProtocolError } from '../../src/errors.ts'
import {
  bindComplete,
  closeComplete,
  commandComplete,
  dataRow,
  emptyQueryResponse,
  noData,
  noticeResponse,
  parameterDescription,
  parameterStatus,
  parseComplete,
  readyForQuery,
  rowDescription,
} from '../../src/wire/backend-messages.ts'
import { Cursor } from '../../src/wire/cursor.ts'
import { back, type Frame, FrameReader, frameText } from './scripted-messages.ts'

/** What one statement does on the scripted server. */
export interface Outcome {
  readonly tag?: string
  readonly rows?: readonly (readonly (string | null)[])[]
  readonly error?: {
    readonly sqlstate: string
    readonly message: string
    readonly severity?: string
    readonly routine?: string
  }
  /** Sent before the rows. */
  readonly before?: Buffer
  /** Sent between the rows and CommandComplete. */
  readonly after?: Buffer
  readonly copyIn?: boolean
  readonly copyOut?: readonly string[]
  /** Nothing more is handled until `go()`. */
  readonly hang?: boolean
  /** The connection is destroyed behind the rows. */
  readonly die?: boolean
}

type Hook = (sql: string, server: ScriptedServer) => Outcome | null

/** What the servers of one node share. */
export interface ScriptedNode {
  readonly id: string
  isReplica: boolean
  hook: Hook
}

interface Portal {
  readonly sql: string
  readonly values: readonly string[]
  outcome: Outcome | null
  at: number
}

interface CopyIn {
  readonly isExtended: boolean
  lines: number
  /** Statements behind the COPY in its Query. */
  readonly rest: string[]
}

const reported = new Set(['application_name', 'client_encoding', 'standard_conforming_strings'])

/**
 * A tiny PostgreSQL session: simple and extended protocol with skip-until-Sync, implicit
 * transactions, portals, COPY, transactional settings. Statements it does not know return one row.
 */
export class ScriptedServer {
  readonly node: ScriptedNode
  readonly processId: number
  readonly duplex: Duplex
  /** Every frame that came in, as `frameText` shows it, with the SQL of Q and P. */
  readonly log: string[] = []
  status: 'I' | 'T' | 'E' = 'I'
  settings = new Map<string, string>()
  readonly statements = new Map<string, string>()
  readonly portals = new Map<string, Portal>()
  isTerminated = false
  isClosed = false
  /** Why this server thinks that its client broke the protocol. */
  complaint: string | null = null
  isPaused = false
  #before: Map<string, string> | null = null
  #savepoints: { name: string; settings: Map<string, string> }[] = []
  #isSkipping = false
  #copy: CopyIn | null = null
  #reader = new FrameReader()
  #waiting: Frame[] = []
  #unnamedIsGone = true

  constructor(node: ScriptedNode, processId: number, duplex: Duplex) {
    this.node = node
    this.processId = processId
    this.duplex = duplex
    duplex.on('data', (chunk: Buffer) => {
      this.#waiting.push(...this.#reader.push(chunk))
      this.#work()
    })
    duplex.on('error', () => {})
    duplex.on('end', () => duplex.end())
    duplex.on('close', () => {
      this.isClosed = true
    })
  }

  say(...messages: Buffer[]): void {
    for (const bytes of messages) if (!this.isClosed) this.duplex.write(bytes)
  }

  die(): void {
    this.isClosed = true
    this.duplex.destroy()
  }

  /** Goes on after `hang`, with what the statement then does. */
  go(): void {
    this.isPaused = false
    this.#work()
  }

  /** The session's texts, without BEGIN and the replay of settings. */
  get texts(): string[] {
    return this.log.filter((line) => /^[QP] /.test(line)).map((line) => line.slice(2))
  }

  #work(): void {
    while (!this.isPaused && !this.isClosed) {
      const frame = this.#waiting.shift()
      if (frame === undefined) return
      try {
        this.#handle(frame)
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error
        // As PostgreSQL does: an error like any other, and everything up to Sync is skipped.
        this.#skip({ sqlstate: '08P01', message: 'invalid message format' })
      }
    }
  }

  #handle(frame: Frame): void {
    const cursor = new Cursor(frame.body, 0, frame.body.length)
    const { type } = frame
    if (type === 'Q') this.log.push(`Q ${frame.body.toString('utf8', 0, frame.body.length - 1)}`)
    else if (type === 'P') {
      const zero = frame.body.indexOf(0) + 1
      this.log.push(`P ${frame.body.toString('utf8', zero, frame.body.indexOf(0, zero))}`)
    } else this.log.push('dcf'.includes(type) ? frameText(frame).slice(0, 40) : type)
    if (type === 'X') {
      this.isTerminated = true
      this.duplex.end()
      return
    }
    if (this.#copy !== null) {
      this.#handleCopy(frame)
      return
    }
    if (type === 'S') {
      this.#isSkipping = false
      this.#sync()
      return
    }
    if (this.#isSkipping || 'dcfH'.includes(type)) return
    switch (type) {
      case 'Q':
        this.#query(cursor.string())
        return
      case 'F':
        this.say(back.functionCallResponse)
        this.#ready()
        return
      case 'P':
        this.#parse(cursor.string(), cursor.string())
        return
      case 'B':
        this.#bind(cursor)
        return
      case 'D':
        this.#describe(String.fromCharCode(cursor.byte()), cursor.string())
        return
      case 'E':
        this.#execute(cursor.string(), cursor.int32())
        return
      case 'C':
        if (cursor.byte() === 0x53) this.statements.delete(cursor.string())
        else this.portals.delete(cursor.string())
        this.say(closeComplete)
        return
      default:
        this.complaint = `message of type ${type}`
        this.die()
    }
  }

  // ---- simple protocol

  #query(text: string): void {
    this.#unnamedIsGone = true
    const parts = text.split(';').filter((part) => part.trim() !== '')
    if (parts.length === 0) this.say(emptyQueryResponse)
    this.#startImplicit()
    this.#runParts(parts)
  }

  #runParts(parts: string[]): void {
    for (let i = 0; i < parts.length; i++) {
      const outcome = this.#run((parts[i] as string).trim())
      if (outcome.copyIn === true) {
        this.say(back.copyInResponse)
        this.#copy = { isExtended: false, lines: 0, rest: parts.slice(i + 1) }
        return
      }
      if (outcome.hang === true) {
        // What the statement then does is asked again.
        this.isPaused = true
        const rest = parts.slice(i)
        this.go = () => {
          delete (this as { go?: unknown }).go
          this.isPaused = false
          this.#runParts(rest)
          this.#work()
        }
        return
      }
      if (!this.#sayOutcome(outcome, true)) break
    }
    if (!this.isClosed) this.#ready()
  }

  /** False after an error or a death. */
  #sayOutcome(outcome: Outcome, withDescription: boolean): boolean {
    if (outcome.before !== undefined) this.say(outcome.before)
    if (outcome.copyOut !== undefined) {
      this.say(back.copyOutResponse)
      for (const line of outcome.copyOut) this.say(back.copyData(line))
      if (outcome.error === undefined) this.say(back.copyDone)
    }
    if (outcome.rows !== undefined) {
      if (withDescription) this.say(columnsOf(outcome))
      for (const row of outcome.rows) this.say(dataRow(row))
    }
    if (outcome.after !== undefined) this.say(outcome.after)
    if (outcome.die === true) {
      // In order: what was said arrives before the connection breaks.
      this.isClosed = true
      this.duplex.end()
      return false
    }
    if (outcome.error !== undefined) {
      this.#fail(outcome.error)
      return false
    }
    this.say(commandComplete(outcome.tag ?? 'OK'))
    return true
  }

  #fail(error: NonNullable<Outcome['error']>): void {
    this.say(back.error(error))
    if (error.severity === 'FATAL') {
      this.isClosed = true
      this.duplex.end()
      return
    }
    if (this.status === 'T') this.status = 'E'
    else if (this.status === 'I' && this.#before !== null) {
      this.settings = this.#before
      this.#before = null
    }
  }

  #startImplicit(): void {
    if (this.status === 'I') this.#before ??= new Map(this.settings)
  }

  #ready(): void {
    if (this.status === 'I') {
      this.#before = null
      this.portals.clear()
    }
    this.say(readyForQuery(this.status.charCodeAt(0)))
  }

  #sync(): void {
    this.#ready()
  }

  // ---- extended protocol

  #skip(error: NonNullable<Outcome['error']>): void {
    this.#fail(error)
    this.#isSkipping = true
  }

  #parse(name: string, text: string): void {
    this.#startImplicit()
    if (this.status === 'E' && !/^(commit|rollback|end)/i.test(text)) {
      this.#skip({ sqlstate: '25P02', message: 'current transaction is aborted' })
    } else if (/^(syntax|pgsplit_r)/.test(text)) {
      this.#skip({ sqlstate: '42601', message: `syntax error at or near "${text}"` })
    } else if (name !== '' && this.statements.has(name)) {
      this.#skip({ sqlstate: '42P05', message: `prepared statement "${name}" already exists` })
    } else {
      this.statements.set(name, text)
      if (name === '') this.#unnamedIsGone = false
      this.say(parseComplete)
    }
  }

  #statement(name: string): string | null {
    if (name === '' && this.#unnamedIsGone) return null
    return this.statements.get(name) ?? null
  }

  #bind(cursor: Cursor): void {
    const portal = cursor.string()
    const name = cursor.string()
    cursor.bytes(cursor.uint16() * 2)
    const values: string[] = []
    for (let i = cursor.uint16(); i > 0; i--) {
      const size = cursor.int32()
      values.push(size < 0 ? '' : cursor.bytes(size).toString())
    }
    this.#startImplicit()
    const sql = this.#statement(name)
    if (sql === null) {
      this.#skip({ sqlstate: '26000', message: `prepared statement "${name}" does not exist` })
      return
    }
    this.portals.set(portal, { sql, values, outcome: null, at: 0 })
    this.say(bindComplete)
  }

  #describe(kind: string, name: string): void {
    const sql = kind === 'S' ? this.#statement(name) : (this.portals.get(name)?.sql ?? null)
    if (sql === null) {
      this.#skip({ sqlstate: kind === 'S' ? '26000' : '34000', message: `no such ${kind}` })
      return
    }
    if (kind === 'S') this.say(parameterDescription([]))
    this.say(/^(select|show|explain|fetch|values)/i.test(sql) ? columnsOf({}) : noData)
  }

  #execute(name: string, maxRows: number): void {
    const portal = this.portals.get(name)
    if (portal === undefined) {
      this.#skip({ sqlstate: '34000', message: `portal "${name}" does not exist` })
      return
    }
    if (portal.sql.trim() === '') {
      this.say(emptyQueryResponse)
      return
    }
    const outcome = portal.outcome ?? this.#runPortal(portal)
    if (outcome.hang === true) {
      this.isPaused = true
      this.go = () => {
        delete (this as { go?: unknown }).go
        this.isPaused = false
        this.#execute(name, maxRows)
        this.#work()
      }
      return
    }
    portal.outcome = outcome
    if (outcome.copyIn === true) {
      this.say(back.copyInResponse)
      this.#copy = { isExtended: true, lines: 0, rest: [] }
      return
    }
    const rows = outcome.rows ?? []
    if (maxRows > 0 && rows.length - portal.at > maxRows) {
      for (const row of rows.slice(portal.at, portal.at + maxRows)) this.say(dataRow(row))
      portal.at += maxRows
      this.say(back.portalSuspended)
      return
    }
    const left = rows.length === 0 ? outcome : { ...outcome, rows: rows.slice(portal.at) }
    if (!this.#sayOutcome(left, false) && outcome.error !== undefined) this.#isSkipping = true
  }

  #runPortal({ sql, values }: Portal): Outcome {
    const [name, value] = values
    const isReplay = sql.startsWith('SELECT pg_catalog.set_config(')
    if (!isReplay || name === undefined || value === undefined || this.status === 'E') {
      return this.#run(sql)
    }
    return this.node.hook(`replay ${name}=${value}`, this) ?? this.#replay(name, value)
  }

  // ---- COPY IN

  #handleCopy({ type, body }: Frame): void {
    const copy = this.#copy as CopyIn
    if (type === 'd') {
      copy.lines++
      if (body.toString('latin1').startsWith('bad')) {
        this.#copy = null
        this.#fail({ sqlstate: '22P02', message: 'invalid input syntax' })
        if (copy.isExtended) this.#isSkipping = true
        else this.#ready()
      }
    } else if (type === 'c') {
      this.#copy = null
      this.say(commandComplete(`COPY ${copy.lines}`))
      if (!copy.isExtended) this.#runParts(copy.rest)
    } else if (type === 'f') {
      this.#copy = null
      const why = body.toString('utf8', 0, body.length - 1)
      this.#fail({ sqlstate: '57014', message: `COPY from stdin failed: ${why}` })
      if (copy.isExtended) this.#isSkipping = true
      else this.#ready()
    } else if (type !== 'S' && type !== 'H') {
      this.complaint = `message of type ${type} during COPY`
      this.#fail({ sqlstate: '08P01', message: this.complaint, severity: 'FATAL' })
    }
  }

  // ---- statements

  #run(sql: string): Outcome {
    const text = sql.replace(/\/\*.*?\*\//g, '').trim()
    const lower = text.toLowerCase()
    if (this.status === 'E' && !/^(commit|rollback|end\b|abort)/.test(lower)) {
      return { error: { sqlstate: '25P02', message: 'current transaction is aborted' } }
    }
    const given = this.node.hook(text, this)
    if (given !== null) return given
    return this.#control(text, lower) ?? this.#statementOutcome(text, lower)
  }

  #control(text: string, lower: string): Outcome | null {
    if (/^(begin|start transaction)/.test(lower)) {
      if (this.status === 'T') {
        return { tag: 'BEGIN', before: noticeResponse('WARNING', inProgress) }
      }
      this.status = 'T'
      this.#before = new Map(this.settings)
      return { tag: 'BEGIN' }
    }
    if (/^rollback to/.test(lower)) {
      const name = lower.split(/\s+/).at(-1)
      const found = this.#savepoints.findLast((point) => point.name === name)
      if (found === undefined) {
        return { error: { sqlstate: '3B001', message: `savepoint "${name}" does not exist` } }
      }
      this.settings = new Map(found.settings)
      this.status = 'T'
      return { tag: 'ROLLBACK' }
    }
    if (/^(commit|end\b|rollback|abort)/.test(lower)) {
      const chains = / and chain$/.test(lower)
      const wasFailed = this.status === 'E'
      const isCommit = /^(commit|end)/.test(lower) && !wasFailed
      if (this.status === 'I') {
        const tag = isCommit ? 'COMMIT' : 'ROLLBACK'
        return { tag, before: noticeResponse('WARNING', notInProgress) }
      }
      if (!isCommit && this.#before !== null) this.settings = this.#before
      this.#before = null
      this.#savepoints = []
      this.status = chains ? 'T' : 'I'
      if (chains) this.#before = new Map(this.settings)
      this.portals.clear()
      return { tag: isCommit ? 'COMMIT' : 'ROLLBACK' }
    }
    if (lower.startsWith('savepoint')) {
      const name = lower.split(/\s+/)[1] ?? ''
      this.#savepoints.push({ name, settings: new Map(this.settings) })
      return { tag: 'SAVEPOINT' }
    }
    return this.#setting(text, lower)
  }

  #setting(text: string, lower: string): Outcome | null {
    const set = /^set (?:session )?(\S+)\s*(?:=|to)\s*(.*)$/i.exec(text)
    if (set !== null && !lower.startsWith('set local')) {
      const name = (set[1] as string).toLowerCase()
      return { tag: 'SET', after: this.#put(name, (set[2] as string).replace(/^'(.*)'$/, '$1')) }
    }
    if (lower.startsWith('reset ')) {
      if (lower === 'reset all') this.settings.clear()
      else this.settings.delete(lower.slice(6).replaceAll('"', ''))
      return { tag: 'RESET' }
    }
    if (lower === 'discard all') {
      this.settings.clear()
      this.statements.clear()
      return { tag: 'DISCARD ALL' }
    }
    if (lower === 'deallocate all') {
      this.statements.clear()
      return { tag: 'DEALLOCATE ALL' }
    }
    const show = /^show (\S+)$/.exec(lower)
    if (show !== null) {
      return { rows: [[this.settings.get(show[1] as string) ?? 'default']], tag: 'SHOW' }
    }
    return null
  }

  #put(name: string, value: string): Buffer {
    this.settings.set(name, value)
    return reported.has(name) ? parameterStatus(name, value) : Buffer.alloc(0)
  }

  #statementOutcome(text: string, lower: string): Outcome {
    if (/^(insert|update|delete|create|drop|truncate|listen|notify)/.test(lower)) {
      if (this.node.isReplica) {
        const error = { sqlstate: '25006', message: `cannot execute ${text} in a read-only …` }
        return { error }
      }
      return {
        tag: lower.startsWith('insert') ? 'INSERT 0 1' : (text.split(' ')[0] ?? '').toUpperCase(),
      }
    }
    if (/^copy .* from stdin/.test(lower)) return { copyIn: true }
    if (/^copy .* to stdout/.test(lower)) return { copyOut: ['a\n', 'b\n'], tag: 'COPY 2' }
    const error = /fail\('(\w{5})'\)/.exec(text)?.[1]
    if (error !== undefined)
      return { error: { sqlstate: error, message: `told to fail: ${error}` } }
    const rows = /rows\((\d+)\)/.exec(lower)?.[1]
    if (rows !== undefined) {
      return {
        rows: Array.from({ length: Number(rows) }, (_, i) => [String(i)]),
        tag: `SELECT ${rows}`,
      }
    }
    if (lower.includes('pid()')) return one(String(this.processId))
    if (lower.startsWith('select') || lower.startsWith('values')) return one(this.node.id)
    return { tag: (text.split(' ')[0] ?? '').toUpperCase() }
  }

  #replay(name: string, value: string): Outcome {
    return { ...one(value), after: this.#put(name, value) }
  }
}

const inProgress = { sqlstate: '25001', message: 'there is already a transaction in progress' }
const notInProgress = { sqlstate: '25P01', message: 'there is no transaction in progress' }

function one(value: string): Outcome {
  return { rows: [[value]], tag: 'SELECT 1' }
}

function columnsOf(outcome: Outcome): Buffer {
  const count = outcome.rows?.[0]?.length ?? 1
  return rowDescription(Array.from({ length: count }, (_, i) => ({ name: `c${i}`, typeOid: 25 })))
}
