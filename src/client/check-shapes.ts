import { ask, type OwnAnswer, tell } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { frontend } from '../wire/message-types.ts'
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
    session.waiting.end()
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
  session.waiting.begin(request, null)
  for (const { serverName, body } of unknown) {
    writeClose(writer, 0x53, serverName)
    writer.begin(frontend.parse).string(serverName).bytes(body).end()
    writer.begin(frontend.describe).byte(0x53).string(serverName).end()
  }
  writer.begin(frontend.sync).end()
  ask(connection, writer.take(), {
    answered: (answer) => {
      request.errorInFront = answer.error
      const shapes = shapesOf(answer)
      for (const [index, statement] of unknown.entries()) {
        judgeShape(session, statement, connection, shapes[index])
      }
      goOn()
    },
    lost: (error) => {
      session.waiting.end()
      loseRequest(session, request, error)
    },
  })
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
    tell(connection, writer.take())
    return
  }
  connection.prepared.set(statement.serverName, true)
  // A replica may be behind.
  const { catalogVersion } = scope.classifier
  if (!cluster.isReplica(connection.nodeIndex)) statement.shapeVersion = catalogVersion
}

/** What the statements of one round give, in order. */
function shapesOf({ descriptions }: OwnAnswer): (Buffer | null)[] {
  return descriptions.map((frame) => resultShape(frame.subarray(5)))
}
