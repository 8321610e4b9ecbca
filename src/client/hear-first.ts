import { ask, tell } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { query } from '../wire/frontend-messages.ts'
import { txStatus } from '../wire/message-types.ts'
import { Listener } from './listener.ts'
import { type NotificationHub, quoted } from './notification-hub.ts'
import type { Request } from './request.ts'
import type { ClientSession } from './session.ts'

/**
 * What has to be done at the hub before a request goes to its server: the hub listens to a channel
 * before the client's LISTEN can be committed, and all that was notified before the client said
 * COMMIT, LISTEN or UNLISTEN has been heard by then. True: the request waits, and `goOn` is called.
 */
export function hearsFirst(session: ClientSession, request: Request, goOn: () => void): boolean {
  const { hub } = session.scope
  const { effects } = request
  if (hub === null || effects.length === request.heardEffects) return false
  const mayCommit = session.transaction === null || effects.some(({ kind }) => kind === 'commit')
  const channels = newChannels(session, request)
  if (channels.length === 0 && !changesChannels(session, request, mayCommit)) return false
  if (session.inFlight.some((other) => other !== request)) {
    // What they commit is no news for who listens from now on.
    session.waiting.beginUntilAlone(request, goOn)
    return true
  }
  session.listener ??= new Listener(session, hub)
  request.heardEffects = effects.length
  const takeBack = session.listener.prepare(channels, mayCommit, (error) => {
    session.waiting.end()
    // Without the hub the client gets a server connection of its own.
    request.isHeard = error === null && channels.length > 0
    if (session.isGone) return
    goOn()
    session.pump()
  })
  session.waiting.begin(request, takeBack)
  return true
}

/** What its LISTENs name, if the hub can take all of them over. */
function newChannels(session: ClientSession, { effects }: Request): string[] {
  const channels: string[] = []
  for (const effect of effects) {
    if (effect.kind !== 'listen') continue
    if (effect.isOdd || session.poolMode === 'session' || !session.isUtf8) return []
    channels.push(effect.channel)
  }
  return channels
}

function changesChannels(
  { listener }: ClientSession,
  { effects }: Request,
  mayCommit: boolean,
): boolean {
  if (listener === null) return false
  for (const { kind } of effects) {
    if (kind === 'unlisten' || kind === 'discard' || kind === 'own-channels') return true
  }
  return mayCommit && listener.pending > 0
}

/**
 * Notes who writes on the connection, and whether it will have to be told that nobody listens there.
 * Call it for what is no read, before it is sent.
 */
export function noteChannelUse(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  const { hub } = session.scope
  const { channels } = connection
  if (channels.writer !== session.processId) {
    const isClear = channels.writer === null || hub === null || hub.isPast(channels.wroteFence)
    channels.noteWriter(session.processId, isClear ? 0 : hub.fence(true))
  }
  for (const { kind } of request.effects) {
    if (kind === 'notify') channels.noteNotify(hub?.isActive === true)
    else if (kind === 'listen' && request.isHeard) channels.listen()
  }
}

/** Somebody else may have notified there: who notifies now would be taken for him. */
export function mustClear(
  { scope: { hub }, processId }: ClientSession,
  { effects }: Request,
  { channels: { writer, writerFence }, status }: ServerConnection,
): boolean {
  if (hub === null || !hub.isActive || writer === null) return false
  if (status !== txStatus.idle || !effects.some(({ kind }) => kind === 'notify')) return false
  return writer !== processId || !hub.isPast(writerFence)
}

/** Waits until all that was notified on the connection has been heard. */
export function clearWriter(hub: NotificationHub, connection: ServerConnection, done: () => void) {
  return hub.settle(() => {
    connection.channels.forgetWriter()
    done()
  })
}

/**
 * The server process must show the session's channels: in `pg_listening_channels()`, for as long as
 * it serves it. Call it in front of the first request of a transaction, or of one that asks.
 */
export function bringChannels(
  { listener, cluster }: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  if (listener === null || listener.channels.size === 0) return
  if (connection.status !== txStatus.idle || cluster.isReplica(connection.nodeIndex)) return
  const isAsked = request.effects.some(({ kind }) => kind === 'own-channels' || kind === 'begin')
  if (!isAsked && request.begin === null) return
  const bytes = query([...listener.channels].map((name) => `LISTEN ${quoted(name)}`).join('; '))
  connection.channels.listen()
  tell(connection, bytes)
}

/** The connection is given back: what was notified there will be heard before long. */
export function noteWritten(
  { scope: { hub } }: ClientSession,
  { channels }: ServerConnection,
): void {
  if (hub !== null && channels.writer !== null) channels.noteWritten(hub.fence(false))
}

const unlistenAll = query('UNLISTEN *')

/** Makes a connection that is given back as if nobody had listened or notified there. */
export function tidyChannels(
  hub: NotificationHub | null,
  connection: ServerConnection,
  done: () => void,
): void {
  const { channels } = connection
  const heard = (): void => {
    channels.noteNotify(false)
    done()
  }
  const goOn = (): void => {
    if (channels.notifies && hub !== null) clearWriter(hub, connection, heard)
    else heard()
  }
  if (!channels.listens) {
    goOn()
    return
  }
  ask(connection, unlistenAll, {
    answered: ({ error }) => {
      if (error !== null) connection.condemn('UNLISTEN refused')
      channels.unlisten()
      goOn()
    },
    lost: goOn,
  })
}
