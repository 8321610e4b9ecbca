import type { Credential } from '../auth/credential.ts'
import { md5Hash, md5Response } from '../auth/md5.ts'
import { pickScramMechanism, ScramClient } from '../auth/scram-client.ts'
import { ProtocolError } from '../errors.ts'
import { Cursor } from '../wire/cursor.ts'
import { passwordBytes, passwordMessage, saslInitialResponse } from '../wire/frontend-messages.ts'
import { backend } from '../wire/message-types.ts'
import { ConnectError, serverRefusal } from './connect-error.ts'
import type { LoginChannel, LoginMessage } from './login-channel.ts'

/** No message of a log-in comes near it (PostgreSQL: PG_MAX_AUTH_TOKEN_LENGTH is 65,535). */
const maxLoginMessageBytes = 65_536

export interface LoginOptions {
  readonly user: string
  readonly credential: Credential
  /** Not null: the connection is TLS; `endPointHash` null: its certificate has none to bind to. */
  readonly tls: { readonly endPointHash: Buffer | null } | null
  /** Send a password in the clear over a connection without TLS, if the server asks for it. */
  readonly allowCleartext: boolean
  /** `require`: refuse every log-in that is not bound to the TLS channel. Default `prefer`. */
  readonly channelBinding?: 'disable' | 'prefer' | 'require'
}

/** Authentication request codes (protocol, "Message Formats", AuthenticationOk and following). */
const ask = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const

/** What the server answered instead of an authentication request, before it asked for anything. */
export interface Negotiated {
  readonly minor: number | null
}

/**
 * Answers the server's authentication requests until AuthenticationOk. Resolves with the minor
 * version that the server negotiated down to (null: it took ours). Rejects with ConnectError or
 * ProtocolError.
 */
export async function logIn(channel: LoginChannel, options: LoginOptions): Promise<Negotiated> {
  let minor: number | null = null
  let scram: ScramClient | null = null
  let isBound = false
  for (;;) {
    const message = await readLoginMessage(channel)
    if (message.type === backend.negotiateProtocolVersion) {
      if (minor !== null || scram !== null) throw outOfTurn(message)
      minor = decodeNegotiation(message.body)
      continue
    }
    if (message.type !== backend.authentication) throw outOfTurn(message)
    const cursor = new Cursor(message.body, 0, message.body.length)
    const code = cursor.int32()
    switch (code) {
      case ask.ok:
        if (scram !== null && !scram.isDone) throw new ProtocolError('the server cut SCRAM short')
        if (options.channelBinding === 'require' && !isBound) {
          throw unfit('channel binding is required, but the server let us in without it')
        }
        return { minor }
      case ask.cleartext:
        channel.send(passwordMessage(cleartextPassword(options)))
        break
      case ask.md5:
        channel.send(passwordMessage(md5Answer(options, cursor.bytes(4))))
        break
      case ask.sasl: {
        if (scram !== null) throw outOfTurn(message)
        const started = startScram(options, decodeMechanisms(cursor))
        scram = started.scram
        isBound = started.isBound
        const first = Buffer.from(scram.first())
        channel.send(saslInitialResponse(started.mechanism, first))
        break
      }
      case ask.saslContinue:
        if (scram === null) throw outOfTurn(message)
        channel.send(passwordBytes(Buffer.from(await scram.respond(rest(cursor)))))
        break
      case ask.saslFinal:
        if (scram === null) throw outOfTurn(message)
        scram.verify(rest(cursor))
        break
      default:
        throw unfit(
          `the server asks for authentication method ${code}, which pgsplit does not have`,
        )
    }
  }
}

/** The next message that is no notice; an ErrorResponse rejects with its ConnectError. */
export async function readLoginMessage(channel: LoginChannel): Promise<LoginMessage> {
  for (;;) {
    const message = await channel.readMessage(maxLoginMessageBytes)
    if (message.type === backend.errorResponse) throw serverRefusal(message.body)
    if (message.type !== backend.noticeResponse) return message
  }
}

export function outOfTurn({ type }: LoginMessage): ProtocolError {
  const hex = type.toString(16).padStart(2, '0')
  return new ProtocolError(`the server sent a message of type 0x${hex} out of turn`)
}

function unfit(message: string, hint?: string): ConnectError {
  const facts = { sqlstate: '28000', message }
  return new ConnectError('credential', hint === undefined ? facts : { ...facts, hint })
}

function decodeNegotiation(body: Buffer): number {
  const cursor = new Cursor(body, 0, body.length)
  const version = cursor.int32()
  if (version >>> 16 !== 3) throw new ProtocolError('the server wants another protocol than 3')
  return version & 0xffff
}

function decodeMechanisms(cursor: Cursor): string[] {
  const mechanisms: string[] = []
  for (;;) {
    const name = cursor.string()
    if (name === '') return mechanisms
    mechanisms.push(name)
  }
}

function rest(cursor: Cursor): string {
  return cursor.bytes(cursor.left).toString('utf8')
}

function startScram(
  options: LoginOptions,
  offered: readonly string[],
): { scram: ScramClient; mechanism: string; isBound: boolean } {
  const { credential, user } = options
  const isBindable = options.channelBinding !== 'disable'
  const picked = pickScramMechanism(offered, isBindable ? options.tls : null)
  if (picked === null) {
    throw unfit(`the server offers no SASL mechanism that pgsplit has (${offered.join(', ')})`)
  }
  const isBound = picked.binding.kind === 'end-point'
  if (options.channelBinding === 'require' && !isBound) {
    throw unfit('channel binding is required, but the server does not offer it')
  }
  if (credential.kind !== 'password' && credential.kind !== 'scram-keys') {
    throw unfit(
      `the server asks user "${user}" for SCRAM, and pgsplit has no password for it`,
      credential.kind === 'md5-hash'
        ? 'The role has an md5 password; set it anew with password_encryption = scram-sha-256.'
        : 'Configure the password of this user.',
    )
  }
  const scram = new ScramClient({ credential, binding: picked.binding })
  return { scram, mechanism: picked.mechanism, isBound }
}

function cleartextPassword({ user, credential, tls, allowCleartext }: LoginOptions): string {
  if (credential.kind !== 'password') {
    throw unfit(
      `the server asks user "${user}" for a password in the clear, and pgsplit has none`,
      'Configure the password of this user, or let the server use scram-sha-256.',
    )
  }
  if (tls === null && !allowCleartext) {
    throw unfit(
      `the server asks user "${user}" for a password in the clear on a connection without TLS`,
      'Use TLS or scram-sha-256, or set allowCleartext for this node.',
    )
  }
  return credential.password
}

function md5Answer({ user, credential }: LoginOptions, salt: Buffer): string {
  if (credential.kind === 'password') return md5Response(md5Hash(user, credential.password), salt)
  if (credential.kind === 'md5-hash') return md5Response(credential.hash, salt)
  throw unfit(
    `the server asks user "${user}" for md5, and pgsplit has no password for it`,
    'Configure the password of this user, or let the server use scram-sha-256.',
  )
}
