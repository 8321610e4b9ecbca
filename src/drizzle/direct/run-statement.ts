import type { StatementClass } from '../../sql/statement-class.ts'
import type { Run } from '../door.ts'
import { spoils } from '../judge-text.ts'
import type { DirectContext } from './direct-context.ts'
import type { DirectDoor } from './direct-door.ts'
import { isStale, judgeRead, judgeWrite, learn } from './judge-failure.ts'
import type { Held } from './node-pools.ts'
import { noteRead, noteWritten } from './note-done.ts'
import { WRITE_SESSION } from './session-classes.ts'
import { shownCommit } from './shown-commit.ts'

/** A statement that goes nowhere is tried at most so often. */
const maxAttempts = 8

/** One statement outside of transactions. */
export interface Statement<Connection, R> {
  readonly context: DirectContext
  readonly cls: StatementClass
  /** On the best node, and again elsewhere as long as nothing of it was shown; else on the primary. */
  readonly isRead: boolean
  /** What it is routed by, where that is not its class. */
  readonly head?: StatementClass
  readonly run: Run<Connection, R>
}

/** How often it ran. */
interface Tries {
  /** Bit mask of nodes where it was in vain. */
  exclude: number
  attempts: number
}

/** Runs it where it belongs, and again where that can't do it twice. */
export function runStatement<Connection, R>(
  door: DirectDoor<Connection>,
  statement: Statement<Connection, R>,
): Promise<R> {
  const { context, isRead, run } = statement
  // The usual case, with no promise more than its result.
  return new Promise((resolve, reject) => {
    door.placement.take(context, routedAs(statement), isRead, (error, held) => {
      if (held === null) {
        reject(error)
        return
      }
      const startedMs = door.started(held, isRead)
      const fail = (failure: unknown): void => {
        resolve(runAgain(door, statement, { held, startedMs, error: failure }))
      }
      let running: Promise<R>
      try {
        running = run(held.connection)
      } catch (failure) {
        fail(failure)
        return
      }
      running.then((result) => {
        try {
          noteDone(door, statement, held, startedMs)
          resolve(shown(door, statement, result))
        } catch (problem) {
          reject(problem)
        }
      }, fail)
    })
  })
}

interface FailedTry<Connection> {
  readonly held: Held<Connection>
  readonly startedMs: number
  readonly error: unknown
}

async function runAgain<Connection, R>(
  door: DirectDoor<Connection>,
  statement: Statement<Connection, R>,
  first: FailedTry<Connection>,
): Promise<R> {
  const { context, isRead, run } = statement
  const tries: Tries = { exclude: 0, attempts: 0 }
  for (let failed = first; ; ) {
    if ((await judge(door, statement, tries, failed)) === 'refused') {
      return await readRefused(door, statement, failed)
    }
    const held = await door.placement.hold(context, routedAs(statement), tries.exclude, isRead)
    const startedMs = door.started(held, isRead)
    try {
      const result = await run(held.connection)
      noteDone(door, statement, held, startedMs)
      return await shown(door, statement, result)
    } catch (error) {
      failed = { held, startedMs, error }
    }
  }
}

/** The result of a write, once replicas show it, if that is asked for. */
function shown<Connection, R>(
  { options: { core } }: DirectDoor<Connection>,
  { context, isRead }: Statement<Connection, unknown>,
  result: R,
): R | Promise<R> {
  if (isRead || context.commitVisible === 0) return result
  return shownCommit(core, context).then(() => result)
}

function routedAs({ cls, isRead, head }: Statement<never, unknown>): StatementClass {
  return head ?? (isRead ? cls : WRITE_SESSION)
}

function noteDone<Connection>(
  door: DirectDoor<Connection>,
  { context, cls, isRead }: Statement<Connection, unknown>,
  held: Held<Connection>,
  startedMs: number,
): void {
  const { core, database } = door.options
  door.finished(held, startedMs, !isRead && spoils(cls, false))
  if (isRead || cls.verdict === 'either') {
    if (core.isReplica(held.nodeIndex)) door.catalog.classifier.replicaReads++
    noteRead(core, context, held.nodeIndex)
    return
  }
  noteWritten(core, context)
  for (const effect of cls.effects) {
    if (effect.kind === 'ddl') core.noteDdl(database, effect.touches)
  }
}

/** A replica has refused it: the primary shows whether it is a read, and whether that is a lesson. */
async function readRefused<Connection, R>(
  door: DirectDoor<Connection>,
  { context, cls, run }: Statement<Connection, R>,
  { held, error }: FailedTry<Connection>,
): Promise<R> {
  const { core } = door.options
  const refused = { core, catalog: door.catalog, cls, nodeIndex: held.nodeIndex, error }
  try {
    const result = await door.askPrimary(context, cls, run)
    learn(refused, null)
    return result
  } catch (end) {
    learn(refused, end)
    throw end
  }
}

/** Returns when the statement may run again; throws what it has come to else. */
async function judge<Connection>(
  door: DirectDoor<Connection>,
  { context, cls, isRead }: Statement<Connection, unknown>,
  tries: Tries,
  { held, startedMs, error }: FailedTry<Connection>,
): Promise<'again' | 'refused'> {
  const { core } = door.options
  const { nodeIndex } = held
  const failed = { core, catalog: door.catalog, cls, nodeIndex, error }
  const next = isRead ? judgeRead(failed) : judgeWrite(failed)
  door.failed(held, startedMs, error, next.isNodeTrouble, !isRead && spoils(cls, false))
  if (!isRead) noteWritten(core, context)
  // Of a node that went nothing was shown.
  else if (!core.isReplica(nodeIndex) && !next.isNodeTrouble) noteRead(core, context, nodeIndex)
  if (next.verdict === 'refused') return 'refused'
  tries.attempts++
  const isAgain = next.verdict === 'again' || (next.verdict === 'doubt' && (await isStale(failed)))
  const mayGoOn = isAgain && tries.attempts < maxAttempts && !door.isClosed
  if (!mayGoOn || (isRead && !core.mayRetry())) throw next.error
  tries.exclude |= next.exclude
  core.counters.retries++
  return 'again'
}
