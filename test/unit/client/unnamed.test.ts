import { describe, expect, it } from 'vitest'
import { functionCallClass } from '../../../src/client/fixed-class.ts'
import { Portals } from '../../../src/client/portals.ts'
import { Unnamed } from '../../../src/client/unnamed.ts'

const cls = functionCallClass

function parse(unnamed: Unnamed, text: string, mayReuse = false) {
  const body = Buffer.from(`?${text}\0\0\0`)
  return unnamed.parse(body, 1, body.length, mayReuse, cls)
}

function textOf({ statement }: Unnamed): string | null {
  return statement?.body.toString('latin1', 0, statement.bodyBytes) ?? null
}

describe('the unnamed statement of a session', () => {
  it('keeps the bytes of its Parse, and is another one each time', () => {
    const unnamed = new Unnamed()
    expect([unnamed.statement, unnamed.cls]).toEqual([null, null])
    const first = parse(unnamed, 'SELECT 1')
    expect([textOf(unnamed), unnamed.cls]).toEqual(['SELECT 1\0\0\0', cls])
    const second = parse(unnamed, 'SELECT 1')
    expect(second.serial).not.toBe(first.serial)
    expect(first.body.toString('latin1', 0, first.bodyBytes)).toBe('SELECT 1\0\0\0')
  })

  it('reuses only the bytes of the one before the one that it replaces', () => {
    const unnamed = new Unnamed()
    const first = parse(unnamed, 'SELECT 1', true)
    const second = parse(unnamed, 'SELECT 2', true)
    const third = parse(unnamed, 'SELECT 3', true)
    expect([second.body === first.body, third.body === first.body]).toEqual([false, true])
    expect(parse(unnamed, 'SELECT 4', false).body).not.toBe(second.body)
    // What comes back must not be overwritten.
    unnamed.restore(third, cls, null)
    expect(parse(unnamed, 'SELECT 5', true).body).not.toBe(third.body)
  })

  it('goes with everything that it was', () => {
    const unnamed = new Unnamed()
    parse(unnamed, 'SELECT 1')
    unnamed.drop()
    expect([unnamed.statement, unnamed.cls, unnamed.names]).toEqual([null, null, null])
    unnamed.rewrite(Buffer.from('SELECT 2'))
    expect(unnamed.statement).toBeNull()
  })

  it('is another one when its text names others', () => {
    const unnamed = new Unnamed()
    const before = parse(unnamed, 'EXECUTE a')
    unnamed.rewrite(Buffer.from('EXECUTE abc'))
    expect(textOf(unnamed)).toBe('EXECUTE abc\0\0\0')
    expect(unnamed.statement?.serial).not.toBe(before.serial)
  })
})

describe('the portals of a session', () => {
  it('run what they were bound to last, until they are closed', () => {
    const portals = new Portals()
    expect([portals.classOf(''), portals.hasNamed]).toEqual([null, false])
    portals.bind('', cls, null)
    portals.bind('a', cls, null)
    portals.bind('b', cls, null)
    portals.close('b')
    expect(['', 'a', 'b'].map((name) => portals.classOf(name))).toEqual([cls, cls, null])
    expect([portals.namesOf('a'), portals.hasNamed]).toEqual([null, true])
    portals.closeNamed()
    expect(['', 'a'].map((name) => portals.classOf(name))).toEqual([cls, null])
    portals.closeAll()
    expect([portals.classOf(''), portals.hasNamed]).toEqual([null, false])
  })
})
