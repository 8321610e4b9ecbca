import { randomBytes, randomInt } from 'node:crypto'
import type { GrantUse } from '../client/grant-use.ts'
import type { Grants } from '../client/grants.ts'
import { keep } from '../client/leave-connection.ts'
import { applyOwnSetting, isOwnSetting } from '../client/own-settings.ts'
import { unfitAtStart } from '../client/read-access.ts'
import { ClientSession } from '../client/session.ts'
import { refreshFacts } from '../client/setting-effects.ts'
import type { SessionsByProcess } from '../client/signal-backend.ts'
import type { ClientLogin } from '../client/startup.ts'
import { PgSplitError } from '../errors.ts'
import { initialFacts } from '../routing/requirement.ts'
import type { ServerConnection, ServerConnectionEvents } from '../server/server-connection.ts'
import { SessionState } from '../server/session-state.ts'
import { isTrackableName } from '../server/state-sync.ts'
import { hashText } from '../topology/node.ts'
import { backendKeyData, parameterStatus, readyForQuery } from '../wire/backend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { firstOwnProcessId } from '../wire/process-id.ts'
import type { Cluster } from './cluster.ts'
import type { Scope } from './scope.ts'

/** Sessions by the process id and key that they were given for CancelRequest. */
export class CancelKeys implements SessionsByProcess {
  #sessions = new Map<number, { readonly key: Buffer; readonly session: ClientSession }>()

  /**
   * Protocol 3.0 has 4-byte keys; 3.2 allows longer ones, and PostgreSQL 18 sends 32 bytes.
   * `backendId` is that of the client's own server process, if it has one for all its time.
   */
  add(
    session: ClientSession,
    minor: number,
    backendId: number | null,
  ): { processId: number; key: Buffer } {
    let processId = backendId ?? randomInt(firstOwnProcessId, 0x7fffffff)
    while (this.#sessions.has(processId)) processId = randomInt(firstOwnProcessId, 0x7fffffff)
    const key = randomBytes(minor >= 2 ? 32 : 4)
    this.#sessions.set(processId, { key, session })
    return { processId, key }
  }

  remove(processId: number): void {
    this.#sessions.delete(processId)
  }

  byProcessId(processId: number): ClientSession | null {
    return this.#sessions.get(processId)?.session ?? null
  }

  find(processId: number, key: Buffer): ClientSession | null {
    const entry = this.#sessions.get(processId)
    return entry?.key.equals(key) ? entry.session : null
  }
}

/** What the configuration says of a client, and who counts that. */
export interface Grant {
  readonly grants: Grants
  readonly use: GrantUse
}

let nextSessionId = 1

/** How long the first clients of a database wait for its catalog. */
const catalogWaitMs = 1_000

/** Parameters that say which node answers: the client is to see one read-write server. */
const hidden = new Map([['in_hot_standby', 'off']])

/** Makes the session of a client that has authenticated, and tells it that it may begin. */
export async function startSession(
  cluster: Cluster,
  scope: Scope,
  login: ClientLogin,
  grant: Grant,
  keys: CancelKeys,
  onClose: (session: ClientSession) => void,
): Promise<ClientSession> {
  const leave = scope.enter()
  try {
    return await start(cluster, scope, login, grant, keys, (session) => {
      leave()
      onClose(session)
    })
  } catch (error) {
    leave()
    throw error
  }
}

async function start(
  cluster: Cluster,
  scope: Scope,
  login: ClientLogin,
  grant: Grant,
  keys: CancelKeys,
  onClose: (session: ClientSession) => void,
): Promise<ClientSession> {
  const own = login.settings.filter(({ name }) => isOwnSetting(name))
  const { grants } = grant
  const state = stateOf(login, grants.access === 'read')
  const reported = scope.reported.get(state) ?? (await askParameters(cluster, scope, state))
  const { routing, failover } = cluster.config
  // Without it the first statement could only wait for a primary.
  const waitMs = cluster.hasPrimary ? catalogWaitMs : Math.max(catalogWaitMs, failover.holdWritesMs)
  await scope.catalogReady(waitMs)
  const facts = initialFacts({
    consistency: grants.consistency ?? routing.consistency,
    routeSetting: grants.route ?? 'auto',
    maxLagMs: grants.maxLagMs,
    transactions: routing.transactions,
    transactionReads: routing.transactionReads,
    group: scope.written,
    causalWaitMs: routing.causalWaitMs,
    clientAddressHash: hashText(login.link.remoteAddress),
  })
  const cancelKey = { processId: 0, key: Buffer.alloc(0) }
  const session = new ClientSession({
    id: nextSessionId++,
    link: login.link,
    cluster,
    scope,
    startup: state,
    facts,
    applicationName: login.applicationName,
    peers: keys,
    grant,
    onClose: (closed) => {
      scope.sessions.delete(closed)
      keys.remove(cancelKey.processId)
      onClose(closed)
    },
  })
  if (state !== SessionState.empty) session.reported = reported
  for (const { name, value } of own) applyOwnSetting(session, name, value)
  Object.assign(session.ownDefaults, {
    routeSetting: facts.routeSetting,
    consistency: facts.consistency,
    transactions: facts.transactions,
    maxLagMs: facts.maxLagMs,
    poolMode: session.poolMode,
    causalWaitMs: facts.causalWaitMs,
    visibility: session.visibility,
  })
  const backendId = session.poolMode === 'session' ? await keepPrimary(cluster, session) : null
  Object.assign(cancelKey, keys.add(session, login.protocolMinor, backendId))
  session.processId = cancelKey.processId
  refreshFacts(session)
  for (const [name, value] of reported) {
    session.noteParameter(name, value)
    session.say(parameterStatus(name, hidden.get(name) ?? value))
  }
  session.say(backendKeyData(cancelKey.processId, cancelKey.key))
  session.say(readyForQuery(txStatus.idle))
  scope.sessions.add(session)
  session.start(login.leftover)
  login.link.resume()
  return session
}

/**
 * `poolMode: session`: the client's connection to the primary, whose process is the client's own for
 * all its time. Resolves with its process id, or null when no connection can be had now.
 */
function keepPrimary(cluster: Cluster, session: ClientSession): Promise<number | null> {
  const { primary } = cluster.snapshot
  if (primary === null) return Promise.resolve(null)
  const pool = session.scope.pool(primary.index)
  return new Promise((resolve) => {
    const take = (connection: ServerConnection): void => {
      keep(session, connection)
      resolve(connection.processId)
    }
    // Where all clients keep theirs, none is kept for others.
    const claim = cluster.limits.poolMode === 'session' ? 'work' : 'hold'
    const taken = pool.take('lease', session.state, claim)
    if (taken !== null) take(taken)
    else {
      const onError = (): void => resolve(null)
      pool.wait({ mode: 'lease', stateKey: session.state, claim, onConnection: take, onError })
    }
  })
}

/** `isReading`: whoever may only read starts read-only, too: what the server has against writes is beside ours. */
function stateOf(login: ClientLogin, isReading: boolean): SessionState {
  const entries: [string, string][] = []
  for (const { name, value } of login.settings) {
    const folded = name.toLowerCase()
    if (isOwnSetting(folded)) continue
    if (!isTrackableName(folded)) {
      throw new PgSplitError({
        sqlstate: '42704',
        message: `unrecognized configuration parameter "${name.slice(0, 64)}"`,
        severity: 'FATAL',
      })
    }
    const why = isReading ? unfitAtStart(folded, value) : null
    if (why !== null) {
      throw new PgSplitError({
        sqlstate: '25006',
        message: `refused: the startup packet ${why}`,
        hint: 'The configuration of pgsplit gives this client "access: read" (auth.users or auth.rules).',
        severity: 'FATAL',
      })
    }
    entries.push([folded, Buffer.from(value).toString('latin1')])
  }
  if (isReading) entries.push(['default_transaction_read_only', 'on'])
  return SessionState.of(entries)
}

/** A key that every connection fits. */
const anyState = {}

/** What a server reports for these settings; asked once for each combination of settings. */
function askParameters(
  cluster: Cluster,
  scope: Scope,
  state: SessionState,
): Promise<ReadonlyMap<string, string>> {
  const { primary, nodes } = cluster.snapshot
  const node = primary ?? nodes.find(({ readable }) => readable)
  if (node === undefined) {
    throw new PgSplitError({
      sqlstate: '57P03',
      message: 'no node of the cluster can be reached now',
      hint: 'SHOW NODES in the admin database tells what is wrong with each node.',
      severity: 'FATAL',
    })
  }
  const pool = scope.pool(node.index)
  // Not those of a later time, when the defaults have changed.
  const known = scope.reported
  return new Promise((resolve, reject) => {
    const askOn = (connection: ServerConnection, giveBack: () => void): void => {
      connection.sync(state, (error) => {
        if (error === null) {
          const reported = new Map(connection.parameters)
          known.set(state, reported)
          resolve(reported)
        } else {
          const { sqlstate, message } = error
          reject(new PgSplitError({ sqlstate, message, severity: 'FATAL' }))
        }
        if (!connection.isClosed) giveBack()
      })
    }
    const ask = (connection: ServerConnection): void =>
      askOn(connection, () => pool.release(connection))
    const wait = (): void =>
      pool.wait({
        mode: 'lease',
        stateKey: anyState,
        claim: 'work',
        onConnection: ask,
        onError: reject,
      })
    // Whatever else a connection knows, it reports the same.
    const taken = pool.take('lease', anyState)
    if (taken !== null) ask(taken)
    else if (pool.opensFor('work')) wait()
    else {
      // Who logs in is kept out by nobody who works: the question needs a moment only.
      scope
        .open(node.index, deaf)
        .then((connection) => askOn(connection, () => connection.close()), wait)
    }
  })
}

/** Of a connection that is asked one thing and closed. */
const deaf: ServerConnectionEvents = {
  onQuiet: () => {},
  onLost: () => {},
  onStrayNotice: () => {},
}
