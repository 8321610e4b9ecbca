import { describe, expect, it } from 'vitest'
import { Block } from '../../../src/client/block.ts'
import type { DeferredBegin } from '../../../src/client/transaction.ts'
import { SessionState } from '../../../src/server/session-state.ts'

const settings = { state: SessionState.empty, actual: null, pending: 0 }
const begin: DeferredBegin = {
  messages: [Buffer.from('BEGIN')],
  modes: { isolation: null, readOnly: null, deferrable: null },
  marks: [],
  start: 'primary',
  wantsReplica: false,
  saysReadWrite: false,
}
const loss = { sqlstate: '08006', message: 'lost' }

describe('the transaction block of a session', () => {
  it('is deferred until its BEGIN is sent, and open until its end', () => {
    const block = new Block()
    expect(block.stage).toBe('none')
    block.defer(begin, settings)
    expect([block.stage, block.deferred]).toEqual(['deferred', begin])
    expect(block.takeDeferred(false)).toBe(begin)
    expect([block.stage, block.transaction?.begin]).toEqual(['open', begin])
    expect(block.open(settings)).toBe(block.transaction)
    block.end()
    expect([block.stage, block.transaction, block.takeDeferred(false)]).toEqual([
      'none',
      null,
      null,
    ])
  })

  it('may never be sent, or be sent again', () => {
    const block = new Block()
    block.defer(begin, settings)
    block.cancel()
    expect([block.stage, block.transaction]).toEqual(['none', null])
    block.open(settings)
    block.deferAgain(null)
    expect(block.stage).toBe('open')
    block.deferAgain(begin)
    block.deferAgain(null)
    expect([block.stage, block.deferred]).toEqual(['deferred', begin])
  })

  it('is another one behind AND CHAIN', () => {
    const block = new Block()
    const first = block.open(settings)
    block.end()
    block.chain(settings, null)
    expect(block.stage).toBe('open')
    expect(block.transaction).not.toBe(first)
  })

  it('is lost until its client ends it, who is told of the loss once', () => {
    const block = new Block()
    block.open(settings)
    block.lose(false)
    block.noteTrouble(loss)
    expect([block.stage, block.isInTrouble, block.hasNews]).toEqual(['lost', true, true])
    expect(block.takeTrouble()).toBe(loss)
    expect(block.takeTrouble().sqlstate).toBe('25P02')
    expect([block.isInTrouble, block.hasNews, block.takeNews()]).toEqual([true, false, null])
    block.leaveLost()
    expect([block.stage, block.isInTrouble]).toEqual(['none', false])
  })

  it('is not lost to who has asked for its end', () => {
    const block = new Block()
    block.open(settings)
    block.lose(true)
    expect([block.stage, block.isInTrouble]).toEqual(['none', false])
  })

  it('knows what of the catalog it may have changed', () => {
    const block = new Block()
    block.open(settings)
    expect(block.end()).toBeUndefined()
    block.noteDdl(['a'])
    block.noteDdl(['b'])
    expect(block.end()).toEqual(['a', 'b'])
    expect(block.takeDdl()).toBeUndefined()
    block.noteDdl(['a'])
    block.noteDdl(null)
    expect(block.takeDdl()).toBeNull()
  })
})
