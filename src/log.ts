/**
 * The log: lifecycle events, never statements or parameters. Every event names itself and what it
 * is about: `logger.info({ event: 'node-down', node: 'r1', reason: 'refused' }, 'r1: connection refused')`.
 * Ids are `client`, `server`, `node`, `cluster`; `reason` is one word.
 */
import pino from 'pino'
import { assertKnown } from './known-options.ts'
import { type LogTarget, standardError } from './log-target.ts'
import { redactValue } from './redact.ts'

export type { LogTarget }

export type Logger = pino.Logger

/** `level` is pino's word or `silent`. */
export interface LogOptions {
  readonly level: string
  readonly format: 'json' | 'pretty'
}

/**
 * Makes the logger. Writes to standard error by default, at once where that takes it, so that the
 * last words of a process are not lost. Every field of every line is redacted, in either format.
 */
export function createLogger(options: LogOptions, target?: LogTarget): Logger {
  assertKnown<LogOptions>(options, { level: true, format: true })
  const textOf = options.format === 'pretty' ? pretty : JSON.stringify
  const lineOf = (record: Record<string, unknown>): string => `${textOf(record)}\n`
  const to = target ?? standardError((lines, reason) => lineOf(lossRecord(lines, reason)))
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      serializers: { err: errorFacts, error: errorFacts },
    },
    { write: (line: string) => to.write(lineOf(clean(line))) },
  )
}

function clean(line: string): Record<string, unknown> {
  return redactValue(JSON.parse(line, inWholeMs)) as Record<string, unknown>
}

/** Clocks tell nanoseconds, and nobody wants to read them. */
function inWholeMs(key: string, value: unknown): unknown {
  return typeof value === 'number' && key.endsWith('Ms') ? Math.round(value) : value
}

/** What says that lines are missing, as if it had been logged. */
function lossRecord(lines: number, reason: string): Record<string, unknown> {
  const msg = `${lines} log lines were dropped: standard error could not take them (${reason})`
  const time = new Date().toISOString()
  return { level: 'warn', time, event: 'log_lines_dropped', lines, reason, msg }
}

/** What an error says, without its stack: the event and its ids say where it happened. */
function errorFacts(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const code = 'sqlstate' in error ? error.sqlstate : 'code' in error ? error.code : undefined
  return { type: error.name, message: error.message, ...(code === undefined ? {} : { code }) }
}

const shownFirst = new Set(['level', 'time', 'msg', 'event'])

/** `10:00:00.000 WARN  replica r1 is down (event=node-down node=r1)`, for people. */
function pretty(record: Record<string, unknown>): string {
  const text = String(record.msg ?? record.event ?? '')
  const rest = Object.entries(record)
    .filter(([key, value]) => !shownFirst.has(key) && !(key === 'detail' && isSaid(value, text)))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const time = String(record.time).slice(11, 23)
  const level = String(record.level).toUpperCase().padEnd(5)
  const facts = rest.length === 0 ? '' : ` (${rest.join(' ')})`
  return oneLine(`${time} ${level} ${text}${facts}`)
}

/** Once is enough for people. */
function isSaid(detail: unknown, text: string): boolean {
  return typeof detail === 'string' && text.includes(detail)
}

/** A user name with a line feed or an escape sequence must not forge a line on a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (letter) => {
    return `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
