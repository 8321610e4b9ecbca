import { describe, expect, test } from 'vitest'
import { Conversation } from './conversation.ts'
import { primary, sampleSource } from './sample-source.ts'

describe('what the admin database refuses', () => {
  test.each([
    ['SHOW nothing', '42601'],
    ['SHOW', '42601'],
    ['SHOW NODES please', '42601'],
    ['hello', '42601'],
    ["'unfinished", '42601'],
    ['/* unfinished', '42601'],
    ['SHOW FDS', '0A000'],
    ['RELOAD', '42501'],
    ['SELECT * FROM pg_class', '0A000'],
    ['CREATE TABLE t (a int)', '0A000'],
  ])('%j is refused with %s and a way out', (text, sqlstate) => {
    const talk = new Conversation().query(text)
    expect(talk.error()).toMatchObject({ sqlstate, severity: 'ERROR' })
    expect(talk.error()?.hint).not.toBe('')
    expect(talk.types()).toBe('EZ')
  })

  test('the hint of an unknown command is SHOW HELP', () => {
    expect(new Conversation().query('SHOW nothing').error()?.hint).toMatch(/SHOW HELP/)
  })

  test('the words of the client are cut in the error', () => {
    const message = new Conversation().query(`SHOW ${'x'.repeat(5000)}`).error()?.message ?? ''
    expect(message.length).toBeLessThan(150)
  })

  test('a message of more than 16 kB is refused, whatever it says', () => {
    const talk = new Conversation().query(`SHOW NODES ${' '.repeat(20_000)}`)
    expect(talk.error()?.sqlstate).toBe('54000')
    expect(talk.types()).toBe('EZ')
  })

  test('rows that cannot be collected are an XX000 in place of a table', () => {
    const nodes = () => {
      throw new TypeError('no snapshot')
    }
    const talk = new Conversation(sampleSource({ nodes })).query('SHOW NODES')
    expect(talk.error()?.sqlstate).toBe('XX000')
    expect(talk.types()).toBe('EZ')
  })

  test('a message type that the protocol does not have is fatal and ends the session', () => {
    const talk = new Conversation().send('!')
    expect(talk.error()).toMatchObject({ sqlstate: '08P01', severity: 'FATAL' })
    expect(talk.session.ended).toBe(true)
    expect(talk.session.handle(0x51, Buffer.from('SHOW NODES\0'))).toBeNull()
  })

  test('a function call is refused and ready again', () => {
    expect(new Conversation().send('F').types()).toBe('EZ')
  })
})

describe('what drivers ask while they connect', () => {
  test.each([
    ['SELECT 1', '1'],
    ['select pg_catalog.version()', 'PostgreSQL 16.0 (pgsplit 0.1.0 admin database)'],
    ['SELECT pg_catalog.pg_is_in_recovery()', 'f'],
    ['SELECT current_database()', 'pgsplit'],
    ['SHOW transaction_read_only', 'off'],
    ['SHOW TRANSACTION ISOLATION LEVEL', 'read committed'],
    ['SHOW server_version', '16.0'],
  ])('%s is answered with %s', (text, value) => {
    expect(new Conversation().query(text).table().rows).toEqual([[value]])
  })

  test.each([
    ["SET application_name = 'psql'", 'SET'],
    ['SET extra_float_digits = 3', 'SET'],
    ['RESET ALL', 'RESET'],
    ['DISCARD ALL', 'DISCARD ALL'],
    ['UNLISTEN *', 'UNLISTEN'],
  ])('%s is acknowledged with %s', (text, tag) => {
    const talk = new Conversation().query(text)
    expect(talk.tags()).toEqual([tag])
    expect(talk.types()).toBe('CZ')
  })

  test('an empty text and a comment are empty queries', () => {
    expect(new Conversation().query('').types()).toBe('IZ')
    expect(new Conversation().query('-- ping').types()).toBe('IZ')
  })

  test('a transaction block is reported, fails as a whole, and ends with ROLLBACK', () => {
    const talk = new Conversation().query('BEGIN')
    expect(talk.status()).toBe('T')
    expect(talk.query('SHOW nothing').status()).toBe('E')
    talk.types()
    expect(talk.query('SHOW NODES').error()?.sqlstate).toBe('25P02')
    expect(talk.query('ROLLBACK').status()).toBe('I')
  })
})

describe('the extended protocol', () => {
  test('a SHOW is parsed, described, bound and executed', () => {
    const talk = new Conversation().parse('SHOW NODES').describe('S').bind().describe('P')
    expect(talk.execute().sync().types()).toBe('1tT2TDDCZ')
  })

  test('a command without rows is described as NoData', () => {
    const talk = new Conversation().parse('SET a = 1').bind().describe('P').execute().sync()
    expect(talk.types()).toBe('12nCZ')
  })

  test('an empty statement is an empty query', () => {
    expect(new Conversation().parse(' ; ').bind().execute().sync().types()).toBe('12IZ')
  })

  test('a prepared SHOW gives the state at its execution', () => {
    let nodes = [primary]
    const talk = new Conversation(sampleSource({ nodes: () => nodes })).parse('SHOW NODES', 's')
    expect(talk.bind([], '', 's').execute().sync().types()).toBe('12DCZ')
    nodes = [primary, primary, primary]
    expect(talk.bind([], '', 's').execute().sync().types()).toBe('2DDDCZ')
  })

  test('binary results are given where they are asked for', () => {
    const talk = new Conversation().parse('SHOW NODES').bind([1]).execute(1)
    const row = talk.rawRow()
    expect(row[5]).toEqual(Buffer.from([0, 0, 0, 0, 0, 0, 0x15, 0x38]))
    expect(row[7]?.readDoubleBE()).toBe(1)
    expect(row[0]?.toString()).toBe('p1')
    expect(row[8]).toBeNull()
  })

  test('Execute with a row limit suspends the portal until the rows are read', () => {
    const talk = new Conversation().parse('SHOW NODES').bind([], 'c')
    expect(talk.execute(1, 'c').execute(1, 'c').types()).toBe('12DsDC')
    expect(talk.execute(1, 'c').sync().types()).toBe('CZ')
  })

  test('portals end at Sync outside a transaction block and live on inside', () => {
    const talk = new Conversation().parse('SHOW NODES').bind([], 'c').sync().execute(0, 'c').sync()
    expect(talk.error()?.sqlstate).toBe('34000')
    talk.types()
    talk.query('BEGIN').parse('SHOW NODES').bind([], 'c').sync().execute(0, 'c').sync()
    expect(talk.error()).toBeNull()
  })

  test('after an error everything is skipped up to Sync, a Query too', () => {
    const talk = new Conversation().parse('SHOW nothing').bind().execute().query('SHOW NODES')
    expect(talk.sync().types()).toBe('EZ')
    expect(talk.query('SHOW VERSION').types()).toBe('TDCZ')
  })

  test.each([
    ['an unknown statement', '26000', (talk: Conversation) => talk.bind([], '', 'none')],
    ['an unknown portal', '34000', (talk: Conversation) => talk.execute(0, 'none')],
    [
      'a statement name in use',
      '42P05',
      (talk: Conversation) => talk.parse('SHOW NODES', 's').parse('SHOW NODES', 's'),
    ],
    [
      'several commands in one Parse',
      '42601',
      (talk: Conversation) => talk.parse('SHOW NODES; SHOW POOLS'),
    ],
    [
      'too many result formats',
      '08P01',
      (talk: Conversation) => talk.parse('SHOW VERSION').bind([0, 0]),
    ],
    [
      'parameters',
      '08P01',
      (talk: Conversation) => {
        return talk.parse('SHOW VERSION').send('B', (body) => {
          body.string('').string('').int16(0).int16(1).int32(-1).int16(0)
        })
      },
    ],
  ])('%s is an error with %s', (_what, sqlstate, act) => {
    const talk = act(new Conversation())
    expect(talk.error()?.sqlstate).toBe(sqlstate)
    expect(talk.sync().status()).toBe('I')
  })

  test('closing what does not exist succeeds', () => {
    const talk = new Conversation().send('C', (body) => body.byte(0x53).string('none'))
    expect(talk.types()).toBe('3')
  })

  test('DISCARD ALL forgets prepared statements', () => {
    const talk = new Conversation().parse('SHOW NODES', 's').sync().query('DISCARD ALL')
    expect(talk.bind([], '', 's').error()?.sqlstate).toBe('26000')
  })

  test('prepared statements are limited, and closing one makes room', () => {
    const talk = new Conversation()
    for (let index = 0; index < 64; index++) talk.parse('SHOW NODES', `s${index}`)
    expect(talk.error()).toBeNull()
    expect(talk.parse('SHOW NODES', 'more').error()?.sqlstate).toBe('54000')
    talk.sync().types()
    talk.send('C', (body) => body.byte(0x53).string('s0')).parse('SHOW NODES', 'more')
    expect(talk.types()).toBe('31')
  })

  test('Flush is answered with nothing and Terminate with the end', () => {
    const talk = new Conversation().send('H')
    expect(talk.types()).toBe('')
    expect(talk.session.handle(0x58, Buffer.alloc(0))).toBeNull()
    expect(talk.session.ended).toBe(true)
  })
})
