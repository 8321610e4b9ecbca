import type { Claim } from '../../src/pool/claim.ts'
import { NodePool } from '../../src/pool/node-pool.ts'
import type { Pooled, UseMode, Waiter } from '../../src/pool/pooled.ts'
import type { ReplyReceiver } from '../../src/server/reply-queue.ts'
import { ServerConnection } from '../../src/server/server-connection.ts'
import { isCustomName, unshownName } from '../../src/server/session-state.ts'
import { Framer } from '../../src/wire/framer.ts'
import { query } from '../../src/wire/frontend-messages.ts'
import { endlessShare } from './endless-share.ts'
import { rows } from './raw-client.ts'

/**
 * One row of text: what a server's session holds, whoever made it. Settings are told in their own
 * unit and as SHOW tells them: those of the session, and the `tracked` ones.
 */
function inspection(customs: readonly string[], tracked: readonly string[]): string {
  const own = customs.map((name) => `current_setting('${name}', true)`)
  const names = tracked.map((name) => `, '${name.replaceAll("'", "''")}'`).join('')
  return `SELECT current_user, session_user,
    (SELECT json_object_agg(lower(name), json_build_array(source, setting, current_setting(name)))
      FROM pg_catalog.pg_settings WHERE source = 'session' OR lower(name) IN (''${names})),
    (SELECT string_agg(name, ', ') FROM pg_catalog.pg_prepared_statements
      WHERE name NOT LIKE 'pgsplit\\_%'),
    (SELECT string_agg(locktype || ' ' || mode, ', ') FROM pg_catalog.pg_locks
      WHERE pid = pg_catalog.pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid')),
    (SELECT string_agg(relname, ', ') FROM pg_catalog.pg_class
      WHERE relnamespace = pg_catalog.pg_my_temp_schema()),
    (SELECT string_agg(one, ', ') FROM pg_catalog.pg_listening_channels() AS one),
    (SELECT string_agg(name, ', ') FROM pg_catalog.pg_cursors WHERE is_holdable AND name <> ''),
    (SELECT CASE WHEN pg_catalog.now() < pg_catalog.statement_timestamp() THEN 'old' END)${own.map((name) => `, ${name}`).join('')}`
}

const labels = [
  'current_user',
  'session_user',
  'settings',
  'prepared statements',
  'locks',
  'temporary objects',
  'channels',
  'cursors',
  'transaction',
] as const

/**
 * Looks into every server connection before it is handed to a session and again when it has been
 * brought to the session's settings, ahead of whatever the session sends. It must hold what pgsplit
 * believes it holds, and nothing else. (What sequences gave is discarded when somebody asks for it.)
 */
export class HandOverCheck {
  readonly leaks: string[] = []
  readonly pools = new Set<NodePool<Pooled>>()
  inspected = 0
  /** The connection that was inspected last. */
  last: ServerConnection | null = null
  readonly #customs: readonly string[]
  readonly #restore: () => void
  /** Who logged in there, as it said when it was new. */
  readonly #logins = new WeakMap<ServerConnection, string>()

  /** `customs`: names of the custom parameters that the test's sessions set. */
  constructor(customs: readonly string[]) {
    this.#customs = customs
    const { take, wait } = NodePool.prototype
    const { sync } = ServerConnection.prototype
    this.#restore = () => {
      Object.assign(NodePool.prototype, { take, wait })
      ServerConnection.prototype.sync = sync
    }
    const check = this
    NodePool.prototype.take = function (mode: UseMode, stateKey: object, claim?: Claim) {
      check.pools.add(this)
      const taken = take.call(this, mode, stateKey, claim)
      if (taken instanceof ServerConnection) check.inspect(taken, 'handed out')
      return taken
    }
    NodePool.prototype.wait = function (waiter: Waiter<Pooled>) {
      const { onConnection } = waiter
      waiter.onConnection = (given) => {
        if (given instanceof ServerConnection) check.inspect(given, 'handed out late')
        onConnection(given)
      }
      wait.call(this, waiter)
    }
    ServerConnection.prototype.sync = function (target, done) {
      sync.call(this, target, (error) => {
        if (error === null && !this.isClosed) check.inspect(this, 'after its settings')
        done(error)
      })
    }
  }

  stop(): void {
    this.#restore()
  }

  /** Asks the server; whatever the session sends now is answered behind it. */
  inspect(connection: ServerConnection, when: string): void {
    // Behind others' reads, which leave nothing, the answer would only come later.
    if (connection.queue.size > 0 || connection.isClosed) return
    const { state } = connection
    this.last = connection
    if (!this.#logins.has(connection)) {
      this.#logins.set(connection, connection.parameters.get('session_authorization') ?? '')
    }
    const answer = new Answer((row) => {
      this.inspected++
      const wrong =
        row === null ? ['it answers with an error'] : this.#judge(row, connection, state)
      for (const one of wrong) {
        this.leaks.push(`${connection.nodeId} #${connection.id}, ${when}: ${one} (${state.key})`)
      }
    })
    const text = query(
      inspection(
        this.#customs,
        settingsOf(state).map(([name]) => name),
      ),
    )
    connection.request(text, 0, text.length, answer)
  }

  #judge(
    row: readonly (string | null)[],
    connection: ServerConnection,
    state: ServerConnection['state'],
  ): string[] {
    const wrong: string[] = []
    const held = Object.fromEntries(labels.map((label, i) => [label, row[i] ?? null]))
    const login = state.get('session_authorization') ?? this.#logins.get(connection)
    if (held.session_user !== login) wrong.push(`session_user is ${held.session_user}`)
    const role = state.get('role') ?? 'none'
    if (held.current_user !== (role === 'none' ? login : role)) {
      wrong.push(`current_user is ${held.current_user}`)
    }
    // A value that the server was asked for may be the one that holds without the session, too.
    const found: Record<string, [source: string, ...values: string[]]> = JSON.parse(
      held.settings ?? '{}',
    )
    const wanted = new Map(settingsOf(state))
    const isHeld = ([name, [, ...values]]: [string, [string, ...string[]]]): boolean => {
      const value = wanted.get(name)
      return typeof value === 'string' && values.includes(value)
    }
    const isWhole = [...wanted.keys()].every((name) => name in found)
    if (!isWhole || !Object.entries(found).every(isHeld)) {
      wrong.push(`settings are ${JSON.stringify(found)}`)
    }
    for (const [i, name] of this.#customs.entries()) {
      const value = row[labels.length + i] ?? null
      const known = state.entries.get(name)
      const expected = known === undefined ? null : (known ?? '')
      // A name that no statement showed may be any.
      if (value !== expected && !state.entries.has(unshownName)) wrong.push(`${name} is ${value}`)
    }
    for (const label of labels.slice(3)) {
      if (held[label] !== null) wrong.push(`${label}: ${held[label]}`)
    }
    return wrong
  }
}

/** What pgsplit tracks of PostgreSQL's own parameters. */
function settingsOf(state: ServerConnection['state']): [string, string | null][] {
  return [...state.entries].filter(
    ([name]) => !isCustomName(name) && name !== 'role' && name !== 'session_authorization',
  )
}

/** Keeps the one row of an answer. */
class Answer implements ReplyReceiver {
  #messages: { type: string; body: Buffer }[] = []
  readonly #done: (row: readonly (string | null)[] | null) => void
  readonly #framer: Framer

  constructor(done: (row: readonly (string | null)[] | null) => void) {
    this.#done = done
    const hear = (type: number, buffer: Buffer, start: number, end: number): void => {
      const body = Buffer.from(buffer.subarray(start + 5, end))
      this.#messages.push({ type: String.fromCharCode(type), body })
    }
    this.#framer = new Framer({ isWhole: () => true, onFrame: hear, onPart: hear }, 1 << 24)
  }

  onFrame(_type: number, buffer: Buffer, start: number, end: number): void {
    this.#framer.push(buffer.subarray(start, end), endlessShare)
  }

  onPart(_type: number, buffer: Buffer, start: number, end: number): void {
    this.#framer.push(buffer.subarray(start, end), endlessShare)
  }

  onChunkEnd(): void {}

  onReady(): void {
    this.#done(rows(this.#messages)[0] ?? null)
  }

  onLost(): void {}
}
