import { type ErrorFacts, PgSplitError } from '../errors.ts'
import { isProvedRead, type StatementClass } from '../sql/statement-class.ts'
import {
  commandComplete,
  dataRow,
  errorResponse,
  rowDescription,
} from '../wire/backend-messages.ts'
import { backend, txStatus } from '../wire/message-types.ts'
import { settleCausalToken } from './causal-token.ts'
import { explainedClass } from './named-text.ts'
import { type OwnCommand, ownCommand } from './own-command.ts'
import { ownSettingChange, showOwnSetting } from './own-settings.ts'
import type { ClientSession } from './session.ts'
import { settingValue } from './setting-value.ts'

const routeColumns = ['node', 'class', 'reason']

/**
 * Which parts of a request's answer are pgsplit's own: by number of the message in a segment, of the
 * statement in a text. The server answers a stand-in there (`standIn`).
 */
export class OwnAnswers {
  readonly #commands = new Map<number, OwnCommand>()
  readonly #refusals = new Map<number, Buffer>()

  add(unit: number, command: OwnCommand): void {
    this.#commands.set(unit, command)
  }

  /** The first refusal. */
  error: ErrorFacts | null = null

  /** The server was given something that fails; the client hears why. */
  refuse(unit: number, error: ErrorFacts): void {
    this.error ??= error
    this.#refusals.set(unit, errorResponse({ ...error, severity: 'ERROR' }))
  }

  has(unit: number): boolean {
    return this.#commands.has(unit) || this.#refusals.has(unit)
  }

  command(unit: number): OwnCommand | null {
    return this.#commands.get(unit) ?? null
  }

  refusal(unit: number): Buffer | null {
    return this.#refusals.get(unit) ?? null
  }
}

/** The own answers to a text of this class; null: it has none. */
export function ownAnswersTo({ parts }: StatementClass): OwnAnswers | null {
  let own: OwnAnswers | null = null
  for (const [number, part] of parts.entries()) {
    const command = ownCommand(part)
    if (command === null) continue
    own ??= new OwnAnswers()
    own.add(number, command)
  }
  return own
}

/**
 * The server's message in the answer to a stand-in as the client gets it; null: as it is. What a
 * command does it does at its CommandComplete.
 */
export function inOwnWords(
  session: ClientSession,
  command: OwnCommand,
  type: number,
  frame: Buffer,
): Buffer | null {
  if (type === backend.dataRow) return dataRow(rowOf(session, command))
  if (type === backend.rowDescription) return ownColumns(command, frame)
  if (type !== backend.commandComplete) return null
  if (command.kind === 'explain-route') return commandComplete('EXPLAIN')
  if (command.kind === 'set' || command.kind === 'reset') change(session, command)
  return null
}

/** As PostgreSQL describes its columns; a portal's have the format that the Bind asks for. */
function ownColumns(command: OwnCommand, frame: Buffer): Buffer | null {
  const isOne = frame.readUInt16BE(5) === 1
  if (!isOne || (command.kind !== 'show' && command.kind !== 'explain-route')) return null
  const names = command.kind === 'show' ? [command.name] : routeColumns
  const columns = rowDescription(names.map((name) => ({ name, typeOid: 25 })))
  const format = frame.readUInt16BE(frame.length - 2)
  if (format === 0) return columns
  let at = 7
  for (const _ of names) {
    at = columns.indexOf(0, at) + 19
    columns.writeUInt16BE(format, at - 2)
  }
  return columns
}

function rowOf(session: ClientSession, command: OwnCommand): readonly string[] {
  switch (command.kind) {
    case 'show':
      return [showOwnSetting(session, command.name)]
    case 'explain-route':
      return session.explain(explained(session, command.inner))
    case 'signal':
      return [signal(session, command)]
    default:
      return []
  }
}

function explained(session: ClientSession, inner: StatementClass): StatementClass {
  try {
    return explainedClass(session, inner)
  } catch {
    // The name was given up in front of it.
    return inner
  }
}

function signal({ peers }: ClientSession, { call }: OwnCommand & { kind: 'signal' }): string {
  const target = call === undefined ? null : peers.byProcessId(call.processId)
  if (call?.does === 'terminate') target?.terminate()
  else void target?.cancel()
  if (call?.isBinary === true) return target === null ? '\0' : '\u0001'
  return target === null ? 'f' : 't'
}

function change(session: ClientSession, command: OwnCommand & { kind: 'set' | 'reset' }): void {
  try {
    ownSettingChange(session, command.name, givenValue(command))()
  } catch (error) {
    // It was right when it was sent: another cluster's token since a fail-over.
    if (!(error instanceof PgSplitError)) throw error
  }
}

function givenValue(command: OwnCommand & { kind: 'set' | 'reset' }): string | null {
  if (command.kind === 'reset' || command.value === null) return null
  return settingValue(command.name, command.value)
}

/**
 * Why the command must fail, or null. `before`: what runs in front of it in the same request.
 */
export function refusalOfOwn(
  session: ClientSession,
  command: OwnCommand,
  before: readonly Pick<StatementClass, 'verdict' | 'effects'>[],
): ErrorFacts | null {
  try {
    switch (command.kind) {
      case 'set':
      case 'reset':
        ownSettingChange(session, command.name, givenValue(command))
        return null
      case 'explain-route':
        explainedClass(session, command.inner)
        return null
      case 'signal':
        if (command.call?.does !== 'cancel' || command.call.processId !== session.processId) {
          return null
        }
        return { sqlstate: '57014', message: 'canceling statement due to user request' }
      case 'show':
        return showsToken(command) && !coversAll(session, before) ? uncovered : null
      default:
        return command satisfies never
    }
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    return error.facts('ERROR')
  }
}

const uncovered: ErrorFacts = {
  sqlstate: '25001',
  message: 'SHOW pgsplit.causal_token cannot cover what is committed only behind it',
  hint: 'Send it by itself, behind the Sync or in a text of its own.',
}

/** No position covers what commits only at the end of the request. */
function coversAll(
  session: ClientSession,
  before: readonly Pick<StatementClass, 'verdict' | 'effects'>[],
): boolean {
  if (session.transaction !== null || session.localStatus !== txStatus.idle) return true
  return before.every((part) => isProvedRead(part) || part.verdict === 'control')
}

/** Does it show a position, which may have to be waited for (`settleOwn`)? */
export function showsToken(command: OwnCommand | null): boolean {
  return command?.kind === 'show' && command.name === 'pgsplit.causal_token'
}

/** Waits for that: null: not yet. */
export function settleOwn(session: ClientSession): ErrorFacts | 'settled' | null {
  try {
    return settleCausalToken(session) ? 'settled' : null
  } catch (error) {
    if (!(error instanceof PgSplitError)) throw error
    return error.facts('ERROR')
  }
}
