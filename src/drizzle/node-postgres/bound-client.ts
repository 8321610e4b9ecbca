import type { Duplex } from 'node:stream'
import pg from 'pg'

/** What `pg.Client` keeps to itself. */
interface Inner {
  readonly connection: {
    readonly stream: Duplex
    emit(event: 'error', error: Error): void
    on(event: string, listener: (message: { readonly mechanisms?: string[] }) => void): void
  }
  readonly saslSession: { readonly mechanism: string } | null
}

const bound = 'SCRAM-SHA-256-PLUS'

/**
 * A client that logs in by nothing but SCRAM that is bound to the TLS below it (libpq's
 * `channel_binding=require`): any other request of the server ends the connection before it is
 * answered, so that a proxy in between that has a certificate of its own learns nothing.
 */
export class BoundClient extends pg.Client {
  /** `config` has `enableChannelBinding`; a copy of it would lose what pg.Pool hides in it. */
  constructor(config?: pg.ClientConfig) {
    super(config)
    const inner = this as unknown as Inner
    const { connection } = inner
    let isBound = false
    const refuse = (what: string): void => {
      const error = new Error(`channel binding is required, but the server ${what}`)
      // The client hears of it before what the server has sent behind.
      connection.emit('error', Object.assign(error, { code: '28000' }))
      connection.stream.destroy()
    }
    // These come before the client's own listeners, which connect() adds.
    connection.on('authenticationCleartextPassword', () =>
      refuse('asks for a password in the clear'),
    )
    connection.on('authenticationMD5Password', () => refuse('asks for md5'))
    connection.on('authenticationSASL', ({ mechanisms = [] }) => {
      if (!mechanisms.includes(bound)) refuse('does not offer it')
    })
    connection.on('authenticationSASLContinue', () => {
      isBound = inner.saslSession?.mechanism === bound
      if (!isBound) refuse('was not asked for it: this version of pg can not bind')
    })
    connection.on('authenticationOk', () => {
      if (!isBound) refuse('let us in without it')
    })
  }
}
