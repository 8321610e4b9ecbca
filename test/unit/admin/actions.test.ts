import { describe, expect, it } from 'vitest'
import type { AdminActions } from '../../../src/admin/admin-actions.ts'
import { PgSplitError } from '../../../src/errors.ts'
import { Conversation } from './conversation.ts'
import { sampleSource } from './sample-source.ts'

/** Notes what is done; `pause` waits for `finish`, or until it is given up. */
function noted() {
  const done: string[] = []
  const paused = Promise.withResolvers<void>()
  const note =
    (name: string) =>
    (...values: readonly unknown[]): void => {
      done.push([name, ...values].join(' '))
    }
  const actions: AdminActions = {
    pause: (cluster, signal) => {
      note('pause')(cluster)
      signal.addEventListener('abort', () => {
        paused.reject(new PgSplitError({ sqlstate: '57014', message: 'taken back', detail: 'why' }))
      })
      return paused.promise
    },
    resume: note('resume'),
    drain: note('drain'),
    undrain: note('undrain'),
    ban: note('ban'),
    unban: note('unban'),
    reload: async () => {
      note('reload')()
      return ['changed: pool.size', 'needs a restart: listen']
    },
    shutdown: note('shutdown'),
    kill: () => {
      throw new PgSplitError({ sqlstate: '42704', message: 'there is no client 3', hint: 'look' })
    },
  }
  const talk = new Conversation(sampleSource(), actions)
  return { talk, done, finish: () => paused.resolve() }
}

describe('commands of the admin database', () => {
  it('are answered with their own tag, over both protocols', async () => {
    const { talk, done } = noted()
    await talk.query('DRAIN r1; BAN r2 FOR 30s').settled
    expect(talk.tags()).toEqual(['DRAIN', 'BAN'])
    expect(talk.types()).toBe('CCZ')
    talk.parse('UNBAN r2').bind().describe('P').execute()
    await talk.settled
    talk.sync()
    expect(talk.tags()).toEqual(['UNBAN'])
    expect(talk.types()).toBe('12nCZ')
    expect(done).toEqual(['drain r1', 'ban r2 30s', 'unban r2'])
  })

  it('are done once, however often a portal is executed', async () => {
    const { talk, done } = noted()
    await talk.parse('RESUME').bind().execute().settled
    await talk.execute().settled
    expect(done).toEqual(['resume '])
  })

  it('are not done by being prepared or described', () => {
    const { talk, done } = noted()
    talk.parse('SHUTDOWN NOW').describe('S').bind().describe('P').sync()
    expect(talk.types()).toBe('1tn2nZ')
    expect(done).toEqual([])
  })

  it('say nothing before they are done, and can be given up', async () => {
    const waiting = noted()
    waiting.talk.query('PAUSE main')
    expect(waiting.talk.types()).toBe('')
    waiting.finish()
    await waiting.talk.settled
    expect(waiting.talk.types()).toBe('CZ')

    const given = noted()
    given.talk.query('PAUSE')
    given.talk.session.cancel()
    await given.talk.settled
    expect(given.talk.error()).toMatchObject({ sqlstate: '57014', severity: 'ERROR' })
    expect(given.talk.answers[0]?.body.toString()).toContain('Dwhy\0')
    expect(given.talk.types()).toBe('EZ')
  })

  it('tell what a reload has changed in notices', async () => {
    const { talk } = noted()
    await talk.query('RELOAD').settled
    const texts = talk.answers.map(({ body }) => body.toString())
    expect(texts[0]).toContain('Mchanged: pool.size\0')
    expect(texts[1]).toContain('Mneeds a restart: listen\0')
    expect(talk.types()).toBe('NNCZ')
  })

  it('end a multi-statement query with their error, as any error does', async () => {
    const { talk, done } = noted()
    await talk.query('DRAIN r1; KILL 3; DRAIN r2').settled
    expect(talk.error()).toMatchObject({ sqlstate: '42704', hint: 'look' })
    expect(talk.types()).toBe('CEZ')
    expect(done).toEqual(['drain r1'])
  })

  it('skip to Sync after an error over the extended protocol', async () => {
    const { talk } = noted()
    await talk.parse('KILL 3').bind().execute().settled
    talk.bind().sync()
    expect(talk.types()).toBe('12EZ')
  })

  it('are listed by SHOW HELP', () => {
    const rows = noted().talk.query('SHOW HELP').table().rows
    expect(rows.map(([command]) => command)).toContain('BAN node [FOR duration]')
  })
})
