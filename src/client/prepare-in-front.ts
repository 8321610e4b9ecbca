import { ask, errorOf, type OwnAnswer, tell } from '../server/ask.ts'
import type { ServerConnection } from '../server/server-connection.ts'
import { frontend } from '../wire/message-types.ts'
import { Writer } from '../wire/writer.ts'
import { expectSteps } from './name-steps.ts'
import type { NamedText } from './named-text.ts'
import { takenName } from './prepared-statement.ts'
import type { Request } from './request.ts'
import { writeClose, writePreparation } from './write-preparation.ts'

const writer = new Writer(1024)

/**
 * Brings to the connection what a Query with names of prepared statements finds there, in a round
 * of its own whose answer nobody gets; an error of it is the Query's. `limit`: most named
 * statements on one server connection.
 */
export function prepareInFront(
  request: Request,
  names: NamedText,
  connection: ServerConnection,
  limit: number,
): void {
  const { prepared } = connection
  const prepares: string[] = []
  for (const { serverName } of names.absent) {
    if (prepared.delete(serverName)) writeClose(writer, 0x53, serverName)
  }
  const isTaken = names.takenName !== null && !prepared.has(takenName)
  if (isTaken) {
    writer.begin(frontend.parse).string(takenName).byte(0).int16(0).end()
    prepares.push(takenName)
  }
  for (const statement of names.needs) {
    if (prepared.has(statement.serverName)) continue
    writePreparation(writer, statement)
    prepares.push(statement.serverName)
  }
  for (const name of prepares) prepared.set(name, true)
  evict(names, connection, limit)
  if (writer.length > 0) {
    writer.begin(frontend.sync).end()
    ask(connection, writer.take(), {
      answered: (answer) => noteFailure(request, connection, prepares, answer),
      lost: () => {},
    })
  }
  if (request.steps !== null) expectSteps(connection, request)
}

/** Closes the least recently prepared statements beyond `limit`, but none that the text uses. */
function evict(names: NamedText, connection: ServerConnection, limit: number): void {
  const { prepared, queue } = connection
  if (prepared.size < limit || queue.size > 0) return
  for (const name of prepared.keys()) {
    if (prepared.size < limit) return
    if (name === takenName || names.needs.some(({ serverName }) => serverName === name)) continue
    prepared.delete(name)
    writeClose(writer, 0x53, name)
  }
}

/** After an error nothing of the round is thought to exist, and is closed to be sure. */
function noteFailure(
  request: Request,
  connection: ServerConnection,
  prepares: readonly string[],
  answer: OwnAnswer,
): void {
  if (answer.error === null) return
  if (request.connection === connection) {
    request.unprepared = prepares
    // What a failed transaction says to everything the request hears itself.
    if (errorOf(answer)?.sqlstate !== '25P02') request.errorInFront = answer.error
  }
  for (const name of prepares) {
    connection.prepared.delete(name)
    writeClose(writer, 0x53, name)
  }
  writer.begin(frontend.sync).end()
  tell(connection, writer.take())
}
