import { readFileSync } from 'node:fs'
import { type HttpGetOptions, httpGet } from './http-get.ts'
import type { MemberSource } from './member.ts'
import { type PatroniCluster, parsePatroniCluster } from './patroni-cluster.ts'

/** Where Patroni's REST API is, and how to speak to it. */
export interface PatroniOptions {
  readonly kind: 'patroni'
  /** `http://10.0.0.1:8008` …: at least one; the others are learnt from its answer. */
  readonly urls: readonly string[]
  /** Name of the cluster; an answer that tells another one is refused. Absent = any. */
  readonly scope?: string
  readonly user?: string
  readonly password?: { reveal(): string }
  /** PEM files, absolute. */
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  /** For one member's answer, ms. */
  readonly timeoutMs: number
}

/** A cluster of 31 members is some 10 kB. */
const maxBytes = 1024 * 1024
/** Most addresses that are tried in one look. */
const maxTries = 12

type Get = (url: URL, options: HttpGetOptions) => Promise<string>

/**
 * The members as any Patroni of the cluster tells them. Each look begins with another one, so that
 * none that is cut off from the others is believed for long; who is slow is overtaken by the next.
 */
export class PatroniSource implements MemberSource {
  readonly kind = 'patroni'
  readonly #options: PatroniOptions
  readonly #get: Get
  readonly #request: HttpGetOptions
  readonly #seeds: readonly string[]
  #learnt: readonly string[] = []
  #turn = 0
  readonly #closed = new AbortController()

  /** Throws when a PEM file can't be read. */
  constructor(options: PatroniOptions, get: Get = httpGet) {
    this.#options = options
    this.#get = get
    const { user, password, caFile, certFile, keyFile, timeoutMs } = options
    this.#seeds = options.urls.map((url) => new URL(url).origin)
    const login = `${user ?? ''}:${password?.reveal() ?? ''}`
    this.#request = {
      timeoutMs,
      maxBytes,
      ...(user === undefined
        ? {}
        : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }),
      ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
      ...(certFile === undefined ? {} : { cert: readFileSync(certFile, 'utf8') }),
      ...(keyFile === undefined ? {} : { key: readFileSync(keyFile, 'utf8') }),
    }
  }

  async read(): Promise<PatroniCluster> {
    const all = [...new Set([...this.#seeds, ...this.#learnt])]
    const first = this.#turn++ % all.length
    const order = [...all.slice(first), ...all.slice(0, first)].slice(0, maxTries)
    const cluster = await this.#firstAnswer(order)
    this.#learnt = cluster.apiUrls.flatMap((url) => this.#usable(url))
    return cluster
  }

  close(): void {
    this.#closed.abort()
  }

  /** Asks one after the other; the next one also when this one has not answered for a while. */
  #firstAnswer(order: readonly string[]): Promise<PatroniCluster> {
    const patienceMs = this.#options.timeoutMs / 4
    const stop = new AbortController()
    return new Promise((resolve, reject) => {
      const complaints: string[] = []
      let asked = 0
      let timer: NodeJS.Timeout | undefined
      const next = (): void => {
        clearTimeout(timer)
        const origin = order[asked]
        if (origin === undefined || stop.signal.aborted) return
        asked += 1
        if (asked < order.length) timer = setTimeout(next, patienceMs).unref()
        const signal = AbortSignal.any([stop.signal, this.#closed.signal])
        this.#ask(origin, signal).then(
          (cluster) => {
            clearTimeout(timer)
            stop.abort()
            resolve(cluster)
          },
          (error: Error) => {
            if (stop.signal.aborted) return
            complaints.push(`${origin}: ${error.message}`)
            if (complaints.length === order.length) {
              reject(new Error(`no Patroni answers (${complaints.slice(0, 3).join('; ')})`))
            } else next()
          },
        )
      }
      next()
    })
  }

  async #ask(origin: string, signal: AbortSignal): Promise<PatroniCluster> {
    signal.throwIfAborted()
    const text = await this.#get(new URL('/cluster', origin), { ...this.#request, signal })
    const cluster = parsePatroniCluster(text)
    const { scope } = this.#options
    if (scope !== undefined && cluster.scope !== null && cluster.scope !== scope) {
      throw new Error(`it belongs to the cluster ${cluster.scope.slice(0, 64)}, not ${scope}`)
    }
    // A Patroni that has just lost its view of the cluster: nobody is gone for that.
    if (cluster.members.length === 0) throw new Error('it lists no member with an address')
    return cluster
  }

  /** What a member says of its own API may not lead us from HTTPS, or a password, into the clear. */
  #usable(url: string): string[] {
    if (!URL.canParse(url)) return []
    const { origin, protocol } = new URL(url)
    return this.#seeds.some((seed) => new URL(seed).protocol === protocol) ? [origin] : []
  }
}
