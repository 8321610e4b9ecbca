import { randomBytes } from 'node:crypto'
import { ProtocolError } from '../errors.ts'
import { hmac, isSame, type ScramKeys, type ScramVerifier, sha256, xor } from './scram-keys.ts'
import {
  type ClientFirst,
  parseClientFinal,
  parseClientFirst,
  scramMechanism,
  scramPlusMechanism,
} from './scram-message.ts'

export interface ScramServerOptions {
  readonly verifier: ScramVerifier
  /** The verifier belongs to nobody: goes through all steps and refuses at the end. */
  readonly isMock: boolean
  /** tls-server-end-point hash of our own certificate; null: no TLS, so no -PLUS was offered. */
  readonly endPointHash: Buffer | null
  /** For tests with the vectors of an RFC: our part of the nonce. */
  readonly nonce?: string
}

/** `ok: false` is a wrong password or an unknown user; which of both, nobody can see. */
export type ScramOutcome =
  | { readonly ok: true; readonly serverFinal: string; readonly keys: ScramKeys }
  | { readonly ok: false }

type State =
  | { readonly kind: 'start' }
  | {
      readonly kind: 'first-sent'
      readonly client: ClientFirst
      readonly serverFirst: string
      readonly nonce: string
    }
  | { readonly kind: 'done' }

/** Mechanisms to offer, best first. */
export function scramMechanisms(endPointHash: Buffer | null): readonly string[] {
  return endPointHash === null ? [scramMechanism] : [scramPlusMechanism, scramMechanism]
}

/**
 * The server's side of SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677) as a state machine over texts:
 * `first(mechanism, client-first)`, then `final(client-final)`.
 */
export class ScramServer {
  #options: ScramServerOptions
  #state: State = { kind: 'start' }

  constructor(options: ScramServerOptions) {
    this.#options = options
  }

  /**
   * The server-first-message. Throws ProtocolError when the mechanism wasn't offered, and when the
   * binding flag doesn't fit what was: a client that could bind but saw no offer (`y`) while we
   * made one has a stripped offer in between (RFC 5802, section 6).
   */
  first(mechanism: string, clientFirst: string): string {
    if (this.#state.kind !== 'start') throw new ProtocolError('SCRAM message came out of turn')
    if (!scramMechanisms(this.#options.endPointHash).includes(mechanism)) {
      throw new ProtocolError('client selected an invalid SASL authentication mechanism')
    }
    const client = parseClientFirst(clientFirst)
    this.#assertBindingFlag(mechanism, client)
    const { verifier } = this.#options
    const nonce = client.nonce + (this.#options.nonce ?? randomBytes(18).toString('base64'))
    const serverFirst = `r=${nonce},s=${verifier.salt.toString('base64')},i=${verifier.iterations}`
    this.#state = { kind: 'first-sent', client, serverFirst, nonce }
    return serverFirst
  }

  /**
   * Judges the client's proof. Throws ProtocolError when nonce or channel binding don't match:
   * that is tampering, not a wrong password.
   */
  final(clientFinal: string): ScramOutcome {
    const state = this.#state
    if (state.kind !== 'first-sent') throw new ProtocolError('SCRAM message came out of turn')
    this.#state = { kind: 'done' }
    const final = parseClientFinal(clientFinal)
    if (!isSame(Buffer.from(final.nonce), Buffer.from(state.nonce))) {
      throw new ProtocolError('invalid SCRAM response: the nonce does not match')
    }
    if (!isSame(Buffer.from(final.channelBinding), this.#expectedBinding(state.client))) {
      throw new ProtocolError('SCRAM channel binding check failed')
    }
    const { verifier, isMock } = this.#options
    const message = `${state.client.bare},${state.serverFirst},${final.withoutProof}`
    const clientKey = xor(final.proof, hmac(verifier.storedKey, message))
    const isProved = isSame(sha256(clientKey), verifier.storedKey)
    const signature = hmac(verifier.serverKey, message)
    if (!isProved || isMock) return { ok: false }
    return {
      ok: true,
      serverFinal: `v=${signature.toString('base64')}`,
      keys: { ...verifier, clientKey },
    }
  }

  #assertBindingFlag(mechanism: string, client: ClientFirst): void {
    const isPlus = mechanism === scramPlusMechanism
    if (isPlus !== (client.flag === 'p')) {
      throw new ProtocolError(
        isPlus
          ? 'client selected SCRAM-SHA-256-PLUS, but its message has no channel binding'
          : 'client selected SCRAM-SHA-256, but its message has channel binding',
      )
    }
    if (client.flag === 'p' && client.bindingType !== 'tls-server-end-point') {
      throw new ProtocolError('unsupported SCRAM channel binding type')
    }
    if (client.flag === 'y' && this.#options.endPointHash !== null) {
      throw new ProtocolError(
        'SCRAM channel binding negotiation error: the client believes that none was offered',
        'Something between client and pgsplit removed the offer of SCRAM-SHA-256-PLUS.',
      )
    }
  }

  #expectedBinding(client: ClientFirst): Buffer {
    const header = Buffer.from(client.gs2Header)
    const hash = this.#options.endPointHash
    const bytes = client.flag === 'p' && hash !== null ? Buffer.concat([header, hash]) : header
    return Buffer.from(bytes.toString('base64'))
  }
}
