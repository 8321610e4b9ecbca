import type { NodeHealth } from './node.ts'

export interface HealthOptions {
  /** Good probes in a row until a node that was down is used again. */
  readonly rise: number
  /** Failed probes in a row until a node is out; a refused connection is out at once. */
  readonly fall: number
  /** Failed requests in a row, within `failTimeoutMs`, that ban a replica; 0 = never. */
  readonly maxFails: number
  /** Window of `maxFails`, and length of the first ban; doubled ban by ban up to 32 times. */
  readonly failTimeoutMs: number
  /** Over this time a node that came back grows to its full weight; 0 = at once. */
  readonly slowStartMs: number
}

/** Everything that health depends on. Immutable; `nextHealth` makes the next one. */
export interface HealthState {
  readonly phase: 'unknown' | 'up' | 'down' | 'banned'
  readonly reason: string
  /** When the phase was entered. */
  readonly sinceMs: number
  /** In a row: good probes while down, failed probes while up. */
  readonly streak: number
  /** Down on a session's word only: the next good probe refutes it. */
  readonly doubted: boolean
  /** When slow start began; null = full weight. */
  readonly easeFromMs: number | null
  /** Failures that sessions reported in the window, and the time of the first and last. */
  readonly fails: number
  readonly failsFromMs: number
  readonly lastFailMs: number
  /** Bans in a row: the exponent of the next one. */
  readonly bans: number
  /** null = until somebody lifts it. Meaningful while banned. */
  readonly banUntilMs: number | null
  /** Set by an operator; independent of the phase underneath. */
  readonly draining: boolean
}

export type HealthInput =
  | { readonly kind: 'good-probe'; readonly sentAtMs: number }
  | { readonly kind: 'failed-probe'; readonly hard: boolean; readonly reason: string }
  /** A session's request failed. `hard` takes the node out until the next probe has answered. */
  | {
      readonly kind: 'failure'
      readonly hard: boolean
      readonly bannable: boolean
      readonly reason: string
    }
  | { readonly kind: 'success' }
  | { readonly kind: 'ban'; readonly forMs: number | null; readonly reason: string }
  | { readonly kind: 'unban' }
  | { readonly kind: 'drain' }
  | { readonly kind: 'undrain' }

/** A crash fails every request in flight at once: reports this close together count as one. */
const INCIDENT_MS = 100
const MAX_BAN_DOUBLINGS = 5
const MIN_SLOW_START = 0.1

export const INITIAL_HEALTH: HealthState = Object.freeze({
  phase: 'unknown',
  reason: 'not probed yet',
  sinceMs: 0,
  streak: 0,
  doubted: false,
  easeFromMs: null,
  fails: 0,
  failsFromMs: 0,
  lastFailMs: Number.NEGATIVE_INFINITY,
  bans: 0,
  banUntilMs: null,
  draining: false,
})

/** The one function that changes health. Pure; returns `state` itself when nothing changes. */
export function nextHealth(
  state: HealthState,
  input: HealthInput,
  nowMs: number,
  options: HealthOptions,
): HealthState {
  switch (input.kind) {
    case 'good-probe':
      return afterGoodProbe(state, input.sentAtMs, nowMs, options)
    case 'failed-probe':
      return afterFailedProbe(state, input, nowMs, options)
    case 'failure':
      return afterFailure(state, input, nowMs, options)
    case 'success':
      return state.fails === 0 ? state : { ...state, fails: 0 }
    case 'ban':
      return banned(state, input.forMs === null ? null : nowMs + input.forMs, input.reason, nowMs)
    case 'unban':
      if (state.phase !== 'banned') return state
      return { ...down(state, 'ban lifted, not probed since', nowMs), doubted: true, bans: 0 }
    case 'drain':
      return state.draining ? state : { ...state, draining: true }
    case 'undrain':
      return state.draining ? { ...state, draining: false } : state
    default:
      return input satisfies never
  }
}

/** The word for snapshots and people: draining hides `up`, nothing hides `down` or `banned`. */
export function healthWord(state: HealthState): NodeHealth {
  return state.draining && state.phase === 'up' ? 'draining' : state.phase
}

/** Part of its weight that the node gets now, from 0.1 up to 1. */
export function slowStartFactor(state: HealthState, nowMs: number, slowStartMs: number): number {
  if (state.easeFromMs === null || slowStartMs <= 0) return 1
  const part = (nowMs - state.easeFromMs) / slowStartMs
  return Math.min(1, Math.max(MIN_SLOW_START, part))
}

/** Half-way between two verdicts: the monitor probes such a node again soon. */
export function isInTransition(state: HealthState): boolean {
  if (state.phase === 'up') return state.streak > 0
  return state.phase === 'down' && (state.streak > 0 || state.doubted)
}

function afterGoodProbe(
  state: HealthState,
  sentAtMs: number,
  nowMs: number,
  options: HealthOptions,
): HealthState {
  switch (state.phase) {
    case 'unknown':
      return up(state, nowMs, null)
    case 'up': {
      const calmMs = 2 * banMs(state.bans, options)
      const bans = state.bans > 0 && nowMs - state.sinceMs > calmMs ? 0 : state.bans
      return state.streak === 0 && bans === state.bans ? state : { ...state, streak: 0, bans }
    }
    case 'down': {
      // An answer to a question from before the failure says nothing about now.
      if (sentAtMs < state.sinceMs) return state
      if (state.doubted) return up(state, nowMs, state.easeFromMs)
      if (state.streak + 1 >= options.rise) return up(state, nowMs, nowMs)
      return { ...state, streak: state.streak + 1 }
    }
    case 'banned':
      if (state.banUntilMs === null || nowMs < state.banUntilMs) return state
      return up(state, nowMs, nowMs)
    default:
      return state.phase satisfies never
  }
}

function afterFailedProbe(
  state: HealthState,
  input: { readonly hard: boolean; readonly reason: string },
  nowMs: number,
  options: HealthOptions,
): HealthState {
  switch (state.phase) {
    case 'unknown':
      return down(state, input.reason, nowMs)
    case 'up':
      if (input.hard || state.streak + 1 >= options.fall) return down(state, input.reason, nowMs)
      return { ...state, streak: state.streak + 1 }
    case 'down':
      return { ...state, streak: 0, doubted: false, reason: input.reason }
    case 'banned':
      if (state.banUntilMs === null || nowMs < state.banUntilMs) return state
      return down(state, input.reason, nowMs)
    default:
      return state.phase satisfies never
  }
}

function afterFailure(
  state: HealthState,
  input: { readonly hard: boolean; readonly bannable: boolean; readonly reason: string },
  nowMs: number,
  options: HealthOptions,
): HealthState {
  if (state.phase !== 'up' || nowMs - state.lastFailMs < INCIDENT_MS) {
    return input.hard && state.phase === 'up' ? doubt(state, input.reason, nowMs) : state
  }
  const inWindow = state.fails > 0 && nowMs - state.failsFromMs <= options.failTimeoutMs
  const counted: HealthState = {
    ...state,
    fails: inWindow ? state.fails + 1 : 1,
    failsFromMs: inWindow ? state.failsFromMs : nowMs,
    lastFailMs: nowMs,
  }
  if (input.bannable && options.maxFails > 0 && counted.fails >= options.maxFails) {
    const forMs = banMs(counted.bans + 1, options)
    const reason = `${counted.fails} failures in a row (${input.reason}), banned for ${forMs} ms`
    return { ...banned(counted, nowMs + forMs, reason, nowMs), bans: counted.bans + 1, fails: 0 }
  }
  return input.hard ? doubt(counted, input.reason, nowMs) : counted
}

/** Length of the `nth` ban in a row, counted from 1. */
function banMs(nth: number, options: HealthOptions): number {
  return options.failTimeoutMs * 2 ** Math.min(Math.max(0, nth - 1), MAX_BAN_DOUBLINGS)
}

function up(state: HealthState, nowMs: number, easeFromMs: number | null): HealthState {
  const fresh = { phase: 'up', reason: 'answers probes', sinceMs: nowMs } as const
  return { ...state, ...fresh, streak: 0, doubted: false, easeFromMs, banUntilMs: null }
}

function down(state: HealthState, reason: string, nowMs: number): HealthState {
  const out = { phase: 'down', reason, sinceMs: nowMs, streak: 0 } as const
  return { ...state, ...out, doubted: false, banUntilMs: null }
}

function doubt(state: HealthState, reason: string, nowMs: number): HealthState {
  return { ...down(state, reason, nowMs), doubted: true }
}

function banned(
  state: HealthState,
  untilMs: number | null,
  reason: string,
  nowMs: number,
): HealthState {
  const out = { phase: 'banned', reason, sinceMs: nowMs, streak: 0 } as const
  return { ...state, ...out, doubted: false, banUntilMs: untilMs }
}
