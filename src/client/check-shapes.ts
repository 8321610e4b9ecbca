import type { ReplyReceiver } from '../server/reply-queue.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { backend, frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { abandon } from './leave-connection.ts'
import { loseRequest } from './lost-request.ts'
import type { PreparedStatement } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { resultShape } from './result-shape.ts'
import { refuseStale, sendOn } from './send-request.ts'
import type { ClientSession } from './session.ts'
import { mayRenew, renewIn } from './stale-statements.ts'
import { writeClose } from './write-preparation.ts'

const writer = new Writer(512)

/**
 * A statement that a client knows by an older description has to be prepared, and the catalog has
 * changed since: the server would run it without a word, with columns that the client doesn't know.
 * Prepares and describes it first; then sends the request, or says what the server would say where
 * the statement was prepared before.
 */
export function checkShapes(
  session: ClientSession,
  request: Request,
  connection: ServerConnection,
): void {
  request.isShapeChecked = true
  const used = request.needs.map(({ statement }) => statement)
  const unknown = used.filter(
    ({ serverName, shape, isStale }) =>
      (shape !== null || isStale) && !connection.prepared.has(serverName),
  )
  const goOn = (): void => {
    session.waiting = null
    if (session.isGone) {
      abandon(session)
      return
    }
    for (const statement of used) {
      if (!statement.isStale || connection.prepared.has(statement.serverName)) continue
      if (!mayRenew(session, request)) {
        refuseStale(session, request, connection)
        session.pump()
        return
      }
      renewIn(session, request, statement)
    }
    sendOn(session, request, connection)
    session.pump()
  }
  session.waiting = request
  for (const { serverName, body } of unknown) {
    writeClose(writer, 0x53, serverName)
    writer.begin(frontend.parse).string(serverName).bytes(body).end()
    writer.begin(frontend.describe).byte(0x53).string(serverName).end()
  }
  writer.begin(frontend.sync).end()
  const bytes = writer.take()
  const done = (shapes: readonly (Buffer | null)[], error: Buffer | null): void => {
    request.errorInFront = error
    for (const [index, statement] of unknown.entries()) {
      judgeShape(session, statement, connection, shapes[index])
    }
    goOn()
  }
  const lost = (error: Error): void => {
    session.waiting = null
    loseRequest(session, request, error)
  }
  connection.request(bytes, 0, bytes.length, new ShapeReceiver(done, lost))
}

function judgeShape(
  { scope, cluster }: ClientSession,
  statement: PreparedStatement,
  connection: ServerConnection,
  shape: Buffer | null | undefined,
): void {
  if (shape === undefined || shape === null) return
  if (statement.isStale || statement.shape?.equals(shape) === false) {
    statement.isStale = true
    scope.statements.retire(statement)
    writeClose(writer, 0x53, statement.serverName)
    writer.begin(frontend.sync).end()
    const bytes = writer.take()
    connection.request(bytes, 0, bytes.length, new ShapeReceiver(noShapes, noLoss))
    return
  }
  connection.prepared.set(statement.serverName, true)
  // A replica may be behind.
  const { catalogVersion } = scope.classifier
  if (!cluster.isReplica(connection.nodeIndex)) statement.shapeVersion = catalogVersion
}

const noShapes = (): void => {}
const noLoss = (): void => {}

/** Collects what the statements of one round give. */
class ShapeReceiver implements ReplyReceiver {
  readonly #done: (shapes: readonly (Buffer | null)[], error: Buffer | null) => void
  readonly #lost: (error: Error) => void
  readonly #shapes: (Buffer | null)[] = []
  #parts: Buffer[] = []
  #error: Buffer | null = null

  constructor(
    done: (shapes: readonly (Buffer | null)[], error: Buffer | null) => void,
    lost: (error: Error) => void,
  ) {
    this.#done = done
    this.#lost = lost
  }

  onFrame(type: number, buffer: Buffer, start: number, end: number): void {
    if (type === backend.errorResponse) this.#error = Buffer.from(buffer.subarray(start, end))
    else if (type === backend.rowDescription || type === backend.noData) {
      this.#shapes.push(resultShape(buffer.subarray(start + 5, end)))
    }
  }

  onPart(
    type: number,
    buffer: Buffer,
    start: number,
    end: number,
    isFirst: boolean,
    isLast: boolean,
  ): void {
    if (type !== backend.rowDescription) return
    this.#parts.push(Buffer.from(buffer.subarray(isFirst ? start + 5 : start, end)))
    if (!isLast) return
    this.#shapes.push(resultShape(Buffer.concat(this.#parts)))
    this.#parts = []
  }

  onChunkEnd(): void {}

  onReady(): void {
    this.#done(this.#shapes, this.#error)
  }

  onLost(error: Error): void {
    this.#lost(error)
  }
}
