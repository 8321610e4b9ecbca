import { randomBytes } from 'node:crypto'
import { PgSplitError, ProtocolError } from '../errors.ts'
import type { Credential } from './credential.ts'
import { deriveScramKeys, hmac, isSame, type ScramKeys, xor } from './scram-keys.ts'
import {
  parseServerFinal,
  parseServerFirst,
  scramMechanism,
  scramPlusMechanism,
} from './scram-message.ts'

/** How a SCRAM log-in binds to the TLS channel below it. */
export type ChannelBinding =
  /** No TLS, or a certificate without a hash to bind to. */
  | { readonly kind: 'none' }
  /** TLS, but the server offered no -PLUS mechanism: says so, which exposes a stripped offer. */
  | { readonly kind: 'not-offered' }
  /** `hash`: tls-server-end-point of the server's certificate (RFC 5929). */
  | { readonly kind: 'end-point'; readonly hash: Buffer }

export interface ScramClientOptions {
  readonly credential: Extract<Credential, { kind: 'password' | 'scram-keys' }>
  readonly binding: ChannelBinding
  /** Iterations that a server may ask for; what it asks for costs our processor, not its. */
  readonly minIterations?: number
  readonly maxIterations?: number
  /** For tests with the vectors of an RFC. */
  readonly nonce?: string
  /** Sent, though PostgreSQL ignores it: the StartupMessage named the user. */
  readonly user?: string
}

type State =
  | { readonly kind: 'start' }
  | { readonly kind: 'first-sent' }
  | { readonly kind: 'final-sent'; readonly signature: Buffer }
  | { readonly kind: 'done' }

/** Mechanism and binding out of what the server offered; null: no SCRAM among it. */
export function pickScramMechanism(
  offered: readonly string[],
  tls: { readonly endPointHash: Buffer | null } | null,
): { mechanism: string; binding: ChannelBinding } | null {
  const hash = tls?.endPointHash ?? null
  if (hash !== null && offered.includes(scramPlusMechanism)) {
    return { mechanism: scramPlusMechanism, binding: { kind: 'end-point', hash } }
  }
  if (!offered.includes(scramMechanism)) return null
  // Flag `y` is for those that could bind: without a hash we can't (RFC 5802, section 6).
  const kind = hash === null ? 'none' : 'not-offered'
  return { mechanism: scramMechanism, binding: { kind } }
}

/**
 * The client's side of SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) as a state machine over texts:
 * `first()`, `respond(server-first)`, `verify(server-final)`, in this order.
 */
export class ScramClient {
  #options: ScramClientOptions
  #state: State = { kind: 'start' }
  #nonce: string
  #bare: string
  #header: string

  constructor(options: ScramClientOptions) {
    this.#options = options
    this.#nonce = options.nonce ?? randomBytes(18).toString('base64')
    const name = (options.user ?? '').replaceAll('=', '=3D').replaceAll(',', '=2C')
    this.#bare = `n=${name},r=${this.#nonce}`
    const { kind } = options.binding
    this.#header =
      kind === 'end-point' ? 'p=tls-server-end-point,,' : kind === 'not-offered' ? 'y,,' : 'n,,'
  }

  /** True once the server has proved that it knows the verifier. */
  get isDone(): boolean {
    return this.#state.kind === 'done'
  }

  /** The client-first-message. */
  first(): string {
    this.#assertState('start')
    this.#state = { kind: 'first-sent' }
    return this.#header + this.#bare
  }

  /**
   * The client-final-message. Rejects with ProtocolError on a malformed text, a foreign nonce or
   * an iteration count out of bounds; with PgSplitError 28P01 when the credential's keys belong to
   * another salt.
   */
  async respond(serverFirst: string): Promise<string> {
    this.#assertState('first-sent')
    const { nonce, salt, iterations } = parseServerFirst(serverFirst)
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new ProtocolError('SCRAM server did not extend our nonce')
    }
    const { minIterations = 1, maxIterations = 1_000_000 } = this.#options
    if (iterations < minIterations || iterations > maxIterations) {
      throw new ProtocolError(
        `SCRAM server asks for ${iterations} iterations (allowed: ${minIterations} to ${maxIterations})`,
        "Set the password anew with a lower scram_iterations, or raise the limit's option.",
      )
    }
    const keys = await this.#keys(salt, iterations)
    const withoutProof = `c=${this.#channelBinding()},r=${nonce}`
    const message = `${this.#bare},${serverFirst},${withoutProof}`
    const proof = xor(keys.clientKey, hmac(keys.storedKey, message))
    this.#state = { kind: 'final-sent', signature: hmac(keys.serverKey, message) }
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Throws ProtocolError unless the server-final-message proves that it knows the verifier. */
  verify(serverFinal: string): void {
    const state = this.#state
    if (state.kind !== 'final-sent') {
      throw new ProtocolError('SCRAM server-final-message came out of turn')
    }
    const answer = parseServerFinal(serverFinal)
    if ('error' in answer) throw new ProtocolError('SCRAM server refused the exchange')
    if (!isSame(answer.signature, state.signature)) {
      throw new ProtocolError(
        'SCRAM server signature does not match: this is not the server that stores our password',
      )
    }
    this.#state = { kind: 'done' }
  }

  #channelBinding(): string {
    const { binding } = this.#options
    const header = Buffer.from(this.#header)
    const bytes = binding.kind === 'end-point' ? Buffer.concat([header, binding.hash]) : header
    return bytes.toString('base64')
  }

  async #keys(salt: Buffer, iterations: number): Promise<ScramKeys> {
    const { credential } = this.#options
    if (credential.kind === 'password') {
      return deriveScramKeys(credential.password, salt, iterations)
    }
    if (credential.iterations !== iterations || !isSame(credential.salt, salt)) {
      throw new PgSplitError({
        sqlstate: '28P01',
        message: 'the server has another password verifier than the one this client proved',
        hint: 'The password was changed since; connect again.',
        severity: 'FATAL',
      })
    }
    return credential
  }

  #assertState(kind: State['kind']): void {
    if (this.#state.kind !== kind) throw new ProtocolError('SCRAM message came out of turn')
  }
}
