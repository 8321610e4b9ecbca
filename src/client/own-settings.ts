import {
  commitVisibleWord,
  consistencyLevels,
  parseCommitVisible,
  transactionStarts,
} from '../consistency.ts'
import { durationExample, parseDuration } from '../duration.ts'
import { PgSplitError } from '../errors.ts'
import { causalToken, causalTokenChange } from './causal-token.ts'
import { limitsText } from './grants.ts'
import { giveBackKept } from './leave-connection.ts'
import type { ClientSession } from './session.ts'

const routes = ['auto', 'primary', 'replica'] as const
const poolModes = ['transaction', 'session'] as const

/** A session must not hang on a value: no read waits longer than this, ms. */
const maxCausalWaitMs = 60_000

export function isOwnSetting(name: string): boolean {
  return name.startsWith('pgsplit.')
}

const shown: ReadonlySet<string> = new Set([
  'pgsplit.route',
  'pgsplit.consistency',
  'pgsplit.transactions',
  'pgsplit.max_lag',
  'pgsplit.pool_mode',
  'pgsplit.causal_token',
  'pgsplit.causal_wait',
  'pgsplit.commit_visible',
  'pgsplit.commit_visible_wait',
  'pgsplit.last_route',
  'pgsplit.pin',
  'pgsplit.cluster',
  'pgsplit.access',
  'pgsplit.limits',
])

/** Is there such a setting of pgsplit's to be shown? */
export function isShownSetting(name: string): boolean {
  return shown.has(name)
}

/**
 * What sets one `pgsplit.*` setting of the session; null resets it. Throws PgSplitError 22023 for a
 * value and 42704 for a name that does not exist; nothing is set before the change is called.
 */
export function ownSettingChange(
  session: ClientSession,
  name: string,
  value: string | null,
): () => void {
  const { facts, ownDefaults } = session
  switch (name) {
    case 'pgsplit.route': {
      const route = value === null ? ownDefaults.routeSetting : oneOf(name, value, routes)
      return () => {
        facts.routeSetting = route
      }
    }
    case 'pgsplit.consistency': {
      const level = value === null ? ownDefaults.consistency : oneOf(name, value, consistencyLevels)
      return () => {
        facts.consistency = level
      }
    }
    case 'pgsplit.transactions': {
      const start =
        value === null ? ownDefaults.transactions : oneOf(name, value, transactionStarts)
      return () => {
        facts.transactions = start
      }
    }
    case 'pgsplit.max_lag': {
      const lag = value === null ? ownDefaults.maxLagMs : parseDuration(value)
      if (lag === undefined) throw invalid(name, value ?? '', durationExample)
      return () => {
        facts.maxLagMs = lag
      }
    }
    case 'pgsplit.pool_mode': {
      const mode = value === null ? ownDefaults.poolMode : oneOf(name, value, poolModes)
      return () => {
        session.poolMode = mode
        if (mode === 'transaction') giveBackKept(session)
      }
    }
    case 'pgsplit.causal_wait': {
      const wait = value === null ? ownDefaults.causalWaitMs : parseDuration(value)
      if (wait === undefined) {
        throw invalid(name, value ?? '', `${durationExample}; 0 = do not wait`)
      }
      return () => {
        facts.causalWaitMs = Math.min(wait, maxCausalWaitMs)
      }
    }
    case 'pgsplit.commit_visible': {
      const { visibility } = ownDefaults
      const replicas = value === null ? visibility.replicas : parseCommitVisible(value)
      if (replicas === null) throw invalid(name, value ?? '', 'off, all, or how many replicas')
      return () => session.gate.set({ replicas })
    }
    case 'pgsplit.commit_visible_wait': {
      const wait = value === null ? ownDefaults.visibility.waitMs : parseDuration(value)
      if (wait === undefined) throw invalid(name, value ?? '', durationExample)
      return () => session.gate.set({ waitMs: Math.min(wait, maxCausalWaitMs) })
    }
    case 'pgsplit.causal_token':
      // What was seen can't be unseen: RESET changes nothing.
      return value === null ? () => {} : causalTokenChange(session, value)
    default:
      throw unknownSetting(name)
  }
}

/** Sets one; throws as `ownSettingChange` does. */
export function applyOwnSetting(session: ClientSession, name: string, value: string | null): void {
  ownSettingChange(session, name, value)()
}

/** What SHOW answers. Throws PgSplitError 42704 for an unknown name. */
export function showOwnSetting(session: ClientSession, name: string): string {
  const { facts } = session
  switch (name) {
    case 'pgsplit.route':
      return facts.routeSetting
    case 'pgsplit.consistency':
      return facts.consistency
    case 'pgsplit.transactions':
      return facts.transactions
    case 'pgsplit.max_lag':
      return facts.maxLagMs === null ? 'default' : `${facts.maxLagMs}ms`
    case 'pgsplit.pool_mode':
      return session.poolMode
    case 'pgsplit.causal_token':
      return causalToken(session)
    case 'pgsplit.commit_visible':
      return commitVisibleWord(session.visibility.replicas)
    case 'pgsplit.commit_visible_wait':
      return `${session.visibility.waitMs}ms`
    case 'pgsplit.causal_wait':
      return `${facts.causalWaitMs}ms`
    case 'pgsplit.last_route':
      return session.route.text
    case 'pgsplit.pin':
      return session.pinReason ?? ''
    case 'pgsplit.cluster':
      return session.cluster.name
    case 'pgsplit.access':
      return session.grants.access ?? 'all'
    case 'pgsplit.limits':
      return limitsText(session.grants)
    default:
      throw unknownSetting(name)
  }
}

function oneOf<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((word) => word === value.toLowerCase())
  if (found === undefined) throw invalid(name, value, `one of ${allowed.join(', ')}`)
  return found
}

function invalid(name: string, value: string, expected: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '22023',
    message: `invalid value for parameter "${name}": "${value.slice(0, 64)}"`,
    hint: `It takes ${expected}.`,
  })
}

function unknownSetting(name: string): PgSplitError {
  return new PgSplitError({
    sqlstate: '42704',
    message: `unrecognized pgsplit parameter "${name.slice(0, 64)}"`,
    hint: 'There are pgsplit.route, pgsplit.consistency, pgsplit.transactions, pgsplit.max_lag, pgsplit.pool_mode, pgsplit.causal_wait, pgsplit.causal_token, pgsplit.commit_visible, pgsplit.commit_visible_wait, and to SHOW only: pgsplit.last_route, pgsplit.pin, pgsplit.cluster, pgsplit.access, pgsplit.limits.',
  })
}
