import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { credential } from '../../../src/auth/credential.ts'
import { MockVerifiers } from '../../../src/auth/mock-verifier.ts'
import { pickScramMechanism, ScramClient } from '../../../src/auth/scram-client.ts'
import { deriveScramKeys, type ScramKeys } from '../../../src/auth/scram-keys.ts'
import {
  parseClientFinal,
  parseClientFirst,
  parseServerFinal,
  parseServerFirst,
} from '../../../src/auth/scram-message.ts'
import { ScramServer, scramMechanisms } from '../../../src/auth/scram-server.ts'
import { ProtocolError } from '../../../src/errors.ts'

const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
const hash = Buffer.alloc(32, 7)
const password = (text: string) => credential({ kind: 'password', password: text })

async function run(
  client: ScramClient,
  server: ScramServer,
  mechanism = 'SCRAM-SHA-256',
): Promise<ScramKeys | null> {
  const serverFirst = server.first(mechanism, client.first())
  const outcome = server.final(await client.respond(serverFirst))
  if (!outcome.ok) return null
  client.verify(outcome.serverFinal)
  return outcome.keys
}

function clientFor(text: string, binding: 'none' | 'not-offered' = 'none'): ScramClient {
  return new ScramClient({ credential: password(text), binding: { kind: binding } })
}

describe('SCRAM-SHA-256', () => {
  it('answers the example of RFC 7677, section 3, on both sides', async () => {
    const client = new ScramClient({
      credential: password('pencil'),
      binding: { kind: 'none' },
      nonce: 'rOprNGfwEbeRWgbNEkqO',
      user: 'user',
    })
    const verifier = await deriveScramKeys('pencil', salt, 4096)
    const server = new ScramServer({
      verifier,
      isMock: false,
      endPointHash: null,
      nonce: '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    })
    const first = client.first()
    expect(first).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
    const serverFirst = server.first('SCRAM-SHA-256', first)
    expect(serverFirst).toBe(
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    )
    const final = await client.respond(serverFirst)
    expect(final).toBe(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    )
    const outcome = server.final(final)
    expect(outcome).toMatchObject({
      ok: true,
      serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    })
    if (outcome.ok) client.verify(outcome.serverFinal)
    expect(client.isDone).toBe(true)
  })

  it('recovers the client key from the proof, and the keys log in without the password', async () => {
    const verifier = await deriveScramKeys('sécret', salt, 100)
    const { clientKey: _, ...stored } = verifier
    const server = () => new ScramServer({ verifier: stored, isMock: false, endPointHash: null })
    const keys = await run(clientFor('sécret'), server())
    expect(keys?.clientKey).toEqual(verifier.clientKey)
    if (keys === null) return
    const second = new ScramClient({
      credential: credential({ kind: 'scram-keys', ...keys }),
      binding: { kind: 'none' },
    })
    expect(await run(second, server())).toEqual(keys)
  })

  it('refuses recovered keys when the server has another salt', async () => {
    const keys = await deriveScramKeys('a', salt, 100)
    const other = await deriveScramKeys('a', Buffer.alloc(16, 1), 100)
    const client = new ScramClient({
      credential: credential({ kind: 'scram-keys', ...keys }),
      binding: { kind: 'none' },
    })
    const server = new ScramServer({ verifier: other, isMock: false, endPointHash: null })
    await expect(run(client, server)).rejects.toMatchObject({ sqlstate: '28P01' })
  })

  it('accepts exactly the password that made the verifier', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), fc.string(), async (right, wrong) => {
        const verifier = await deriveScramKeys(right, salt, 2)
        const same = (await deriveScramKeys(wrong, salt, 2)).storedKey.equals(verifier.storedKey)
        const server = () => new ScramServer({ verifier, isMock: false, endPointHash: null })
        expect(await run(clientFor(right), server())).not.toBeNull()
        expect((await run(clientFor(wrong), server())) !== null).toBe(same)
      }),
      { numRuns: 60 },
    )
  })

  it('never accepts a proof against a mock verifier, whatever it is', async () => {
    const verifier = new MockVerifiers(Buffer.alloc(32)).for('nobody')
    const server = new ScramServer({ verifier, isMock: true, endPointHash: null })
    expect(await run(clientFor('x'), server)).toBeNull()
    const real = await deriveScramKeys('x', salt, 2)
    const doomed = new ScramServer({ verifier: real, isMock: true, endPointHash: null })
    expect(await run(clientFor('x'), doomed)).toBeNull()
  })

  it('binds to the TLS channel when the server offered it', async () => {
    const verifier = await deriveScramKeys('a', salt, 2)
    const picked = pickScramMechanism(scramMechanisms(hash), { endPointHash: hash })
    expect(picked?.mechanism).toBe('SCRAM-SHA-256-PLUS')
    if (picked === null) return
    const client = () => new ScramClient({ credential: password('a'), binding: picked.binding })
    const server = (endPointHash: Buffer) =>
      new ScramServer({ verifier, isMock: false, endPointHash })
    expect(await run(client(), server(hash), picked.mechanism)).not.toBeNull()
    await expect(run(client(), server(Buffer.alloc(32, 8)), picked.mechanism)).rejects.toThrow(
      'channel binding check failed',
    )
  })

  it('refuses every binding flag that does not fit the offer', async () => {
    const verifier = await deriveScramKeys('a', salt, 2)
    const first = (endPointHash: Buffer | null, mechanism: string, message: string) => () =>
      new ScramServer({ verifier, isMock: false, endPointHash }).first(mechanism, message)
    const plain = 'SCRAM-SHA-256'
    const plus = 'SCRAM-SHA-256-PLUS'
    expect(first(hash, plain, 'y,,n=,r=abc')).toThrow('believes that none was offered')
    expect(first(null, plain, 'y,,n=,r=abc')).not.toThrow()
    expect(first(hash, plain, 'n,,n=,r=abc')).not.toThrow()
    expect(first(hash, plain, 'p=tls-server-end-point,,n=,r=abc')).toThrow('has channel binding')
    expect(first(hash, plus, 'n,,n=,r=abc')).toThrow('has no channel binding')
    expect(first(hash, plus, 'y,,n=,r=abc')).toThrow('has no channel binding')
    expect(first(hash, plus, 'p=tls-unique,,n=,r=abc')).toThrow('unsupported SCRAM channel binding')
    expect(first(null, plus, 'p=tls-server-end-point,,n=,r=abc')).toThrow('invalid SASL')
    expect(first(null, 'PLAIN', 'n,,n=,r=abc')).toThrow('invalid SASL')
  })

  it('refuses a final message whose header differs from the first one', async () => {
    const verifier = await deriveScramKeys('a', salt, 2)
    const client = clientFor('a')
    const server = new ScramServer({ verifier, isMock: false, endPointHash: null })
    const final = await client.respond(server.first('SCRAM-SHA-256', client.first()))
    expect(() => server.final(final.replace('c=biws', 'c=eSws'))).toThrow('binding check failed')
  })

  it('refuses foreign nonces, replayed steps and iteration counts out of bounds', async () => {
    const respond = async (text: (nonce: string) => string) => {
      const client = clientFor('a')
      const nonce = client.first().split('r=')[1] ?? ''
      return client.respond(text(nonce))
    }
    await expect(respond(() => 'r=abc,s=YWJj,i=4096')).rejects.toThrow('did not extend our nonce')
    await expect(respond((n) => `r=${n},s=YWJj,i=4096`)).rejects.toThrow('did not extend our nonce')
    await expect(respond((n) => `r=${n}x,s=YWJj,i=1000001`)).rejects.toThrow('iterations')
    await expect(respond((n) => `r=${n}x,s=YWJj,i=0`)).rejects.toThrow('iteration')
    await expect(respond((n) => `r=${n}x,s=,i=10`)).rejects.toThrow('salt')
    const client = clientFor('a')
    client.first()
    expect(() => client.first()).toThrow('out of turn')
    expect(() => client.verify('v=YWJj')).toThrow('out of turn')
  })

  it('refuses a server that does not know the verifier', async () => {
    const client = clientFor('a')
    const nonce = client.first().split('r=')[1] ?? ''
    await client.respond(`r=${nonce}x,s=YWJj,i=2`)
    expect(() => client.verify(`v=${Buffer.alloc(32).toString('base64')}`)).toThrow(
      'server signature does not match',
    )
    expect(() => client.verify('e=other-error')).toThrow('refused')
  })

  it('throws nothing but ProtocolError on any text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc
        .array(
          fc.tuple(
            fc.constantFrom('n', 'r', 's', 'i', 'c', 'p', 'v', 'e', 'm', 'y', 'a'),
            fc.string(),
          ),
          { maxLength: 6 },
        )
        .map((parts) => parts.map(([name, value]) => `${name}=${value}`).join(',')),
    )
    fc.assert(
      fc.property(text, fc.constantFrom('', 'n,,', 'y,,', 'p=x,,'), (tail, head) => {
        for (const parse of [
          parseClientFirst,
          parseClientFinal,
          parseServerFirst,
          parseServerFinal,
        ]) {
          try {
            parse(head + tail)
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError)
          }
        }
      }),
      { numRuns: 500 },
    )
  })
})
