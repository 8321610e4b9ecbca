import { type LookupAddress, type LookupOptions, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'

/** Looks all addresses of a name up, as `dns.lookup` with `all`. */
export type Lookup = (
  host: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void

/** How long a look-up may take while addresses of an earlier one are known, ms. */
const patienceMs = 500
/** Names whose addresses are kept; nodes and their members are far fewer. */
const maxNames = 1_000

interface Known {
  addresses: readonly LookupAddress[]
  /** Those who wait for the look-up under way; null: none is. */
  waiting: Set<(error: NodeJS.ErrnoException | null) => void> | null
}

/**
 * The addresses of hosts. Every dial looks its name up, together with those that do so at the same
 * time; a name server that is silent or broken leaves those found last in use.
 */
export class Addresses {
  readonly #lookup: Lookup
  readonly #known = new Map<string, Known>()

  constructor(lookup: Lookup = ofSystem) {
    this.#lookup = lookup
  }

  /** For `net.connect`. */
  readonly forDial: LookupFunction = (host, options, callback) => {
    this.find(host, (error, addresses) => {
      const family = familyOf(options.family)
      const fit = family === 0 ? addresses : addresses.filter((one) => one.family === family)
      const first = fit[0]
      if (error !== null || first === undefined) {
        callback(error ?? failed(host, 'ENOTFOUND'), options.all === true ? [] : '')
      } else if (options.all === true) callback(null, [...fit])
      else callback(null, first.address, first.family)
    })
  }

  /** Calls back once: with addresses, or the error of a look-up that no earlier one can stand in for. */
  find(
    host: string,
    done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
  ): void {
    const family = isIP(host)
    if (family !== 0) {
      done(null, [{ address: host, family }])
      return
    }
    const known = this.#of(host)
    let timer: NodeJS.Timeout | undefined
    const answer = (error: NodeJS.ErrnoException | null): void => {
      clearTimeout(timer)
      known.waiting?.delete(answer)
      if (known.addresses.length > 0) done(null, known.addresses)
      else done(error ?? failed(host, 'ENOTFOUND'), [])
    }
    if (known.addresses.length > 0) timer = setTimeout(() => answer(null), patienceMs)
    const isUnderWay = known.waiting !== null
    known.waiting ??= new Set()
    known.waiting.add(answer)
    if (!isUnderWay) this.#ask(host, known)
  }

  #ask(host: string, known: Known): void {
    this.#lookup(host, (error, addresses) => {
      const waiting = known.waiting ?? new Set()
      known.waiting = null
      if (error === null && addresses.length > 0) known.addresses = addresses
      for (const answer of [...waiting]) answer(error)
    })
  }

  #of(host: string): Known {
    let known = this.#known.get(host)
    if (known !== undefined) return known
    if (this.#known.size >= maxNames) {
      // The first of those that nobody waits for.
      for (const [name, { waiting }] of this.#known) {
        if (waiting !== null) continue
        this.#known.delete(name)
        break
      }
    }
    known = { addresses: [], waiting: null }
    this.#known.set(host, known)
    return known
  }
}

/** 4 or 6; 0: either. */
function familyOf(wanted: LookupOptions['family']): number {
  if (wanted === 'IPv4') return 4
  return wanted === 'IPv6' ? 6 : (wanted ?? 0)
}

function ofSystem(host: string, done: Parameters<Lookup>[1]): void {
  systemLookup(host, { all: true }, (error, addresses) => done(error, error ? [] : addresses))
}

function failed(host: string, code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: no address of ${host} is known`), { code })
}

/** Those of the process. */
export const addresses = new Addresses()
