import { ProtocolError } from '../errors.ts'
import { decodeBase64 } from './stored-secret.ts'

/** The texts of RFC 5802, section 7, with PostgreSQL's reading of them (auth-scram.c). */

export const scramMechanism = 'SCRAM-SHA-256'
export const scramPlusMechanism = 'SCRAM-SHA-256-PLUS'

/** PostgreSQL and every driver stay far below; a message above it is an attack. */
const maxMessageChars = 8192
const maxNonceChars = 1024
const maxSaltBytes = 1024

/** `n`: client can't bind, `y`: it could but saw no offer, `p`: it does. */
type Gs2Flag = 'n' | 'y' | 'p'

export interface ClientFirst {
  readonly flag: Gs2Flag
  /** With flag `p`: name of the channel binding type. */
  readonly bindingType: string
  /** The header with both commas, as it must come back in `c=`. */
  readonly gs2Header: string
  readonly bare: string
  readonly nonce: string
}

export interface ServerFirst {
  readonly nonce: string
  readonly salt: Buffer
  readonly iterations: number
}

export interface ClientFinal {
  readonly channelBinding: string
  readonly nonce: string
  readonly proof: Buffer
  /** The message up to `,p=`: part of the AuthMessage. */
  readonly withoutProof: string
}

function malformed(detail: string): ProtocolError {
  return new ProtocolError(`malformed SCRAM message: ${detail}`)
}

function assertBounds(text: string): void {
  if (text.length > maxMessageChars) throw malformed(`longer than ${maxMessageChars} characters`)
  if (text.includes('\0')) throw malformed('it contains a zero byte')
}

/** Reads `letter=value` at the head of `parts` and takes it off. */
function take(parts: string[], letter: string): string {
  const part = parts.shift()
  if (part === undefined || part[0] !== letter || part[1] !== '=') {
    throw malformed(`attribute "${letter}" expected`)
  }
  return part.slice(2)
}

function assertExtensions(parts: readonly string[]): void {
  for (const part of parts) {
    if (!/^[A-Za-z]=/.test(part)) throw malformed('attribute expected')
    if (part.startsWith('m=')) throw malformed('it requires an extension that is not supported')
  }
}

function takeNonce(parts: string[]): string {
  const nonce = take(parts, 'r')
  if (nonce.length > maxNonceChars || !/^[!-+\x2d-~]+$/.test(nonce)) {
    throw malformed('the nonce has no or too many characters, or some that are not printable')
  }
  return nonce
}

/** Throws ProtocolError on anything that is not a client-first-message. */
export function parseClientFirst(text: string): ClientFirst {
  assertBounds(text)
  const match = /^(?:(n|y)|p=([A-Za-z0-9.-]+)),([^,]*),/.exec(text)
  if (match === null) throw malformed('no channel binding flag at its start')
  const [gs2Header, plainFlag, bindingType = '', authzid = ''] = match
  if (authzid !== '') throw malformed('authorization identities are not supported')
  const bare = text.slice(gs2Header.length)
  const parts = bare.split(',')
  if (bare.startsWith('m=')) throw malformed('it requires an extension that is not supported')
  take(parts, 'n')
  const nonce = takeNonce(parts)
  assertExtensions(parts)
  const flag = plainFlag === 'n' || plainFlag === 'y' ? plainFlag : 'p'
  return { flag, bindingType, gs2Header, bare, nonce }
}

/** Throws ProtocolError on anything that is not a server-first-message. */
export function parseServerFirst(text: string): ServerFirst {
  assertBounds(text)
  const parts = text.split(',')
  const nonce = takeNonce(parts)
  const salt = decodeBase64(take(parts, 's'))
  if (salt === null || salt.length === 0 || salt.length > maxSaltBytes) {
    throw malformed(`the salt is not base64 of 1 to ${maxSaltBytes} bytes`)
  }
  const count = take(parts, 'i')
  if (!/^[1-9]\d{0,9}$/.test(count)) throw malformed('the iteration count is no number')
  assertExtensions(parts)
  return { nonce, salt, iterations: Number(count) }
}

/** Throws ProtocolError on anything that is not a client-final-message. */
export function parseClientFinal(text: string): ClientFinal {
  assertBounds(text)
  const proofAt = text.lastIndexOf(',p=')
  if (proofAt < 0) throw malformed('it has no proof at its end')
  const withoutProof = text.slice(0, proofAt)
  const proof = decodeBase64(text.slice(proofAt + 3))
  if (proof === null || proof.length !== 32) throw malformed('the proof is not base64 of 32 bytes')
  const parts = withoutProof.split(',')
  const channelBinding = take(parts, 'c')
  const nonce = takeNonce(parts)
  assertExtensions(parts)
  return { channelBinding, nonce, proof, withoutProof }
}

/** The server's signature, or the error name that it answered with. Throws ProtocolError. */
export function parseServerFinal(text: string): { signature: Buffer } | { error: string } {
  assertBounds(text)
  const parts = text.split(',')
  if (text.startsWith('e=')) return { error: take(parts, 'e') }
  const signature = decodeBase64(take(parts, 'v'))
  assertExtensions(parts)
  if (signature === null || signature.length !== 32) {
    throw malformed('the server signature is not base64 of 32 bytes')
  }
  return { signature }
}
