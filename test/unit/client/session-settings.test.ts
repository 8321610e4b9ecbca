import { describe, expect, it } from 'vitest'
import { SessionSettings } from '../../../src/client/session-settings.ts'
import { SessionState } from '../../../src/server/session-state.ts'

const startup = SessionState.empty.with('datestyle', 'german')

describe('the settings of a session', () => {
  it('go back to the startup packet for the client, and to the defaults on the server', () => {
    const settings = new SessionSettings(startup)
    settings.set('work_mem', '1MB')
    expect([settings.state.get('work_mem'), settings.actual]).toEqual(['1MB', null])
    settings.reset('work_mem')
    expect([settings.state, settings.onServer]).toEqual([startup, startup])
    settings.set('datestyle', 'iso')
    settings.reset('datestyle')
    expect(settings.state).toBe(startup)
    expect(settings.onServer).toBe(SessionState.empty)
    settings.set('datestyle', 'iso')
    expect(settings.onServer).toBe(settings.state)
    settings.reset('datestyle')
    settings.leaveLease()
    expect(settings.onServer).toBe(startup)
  })

  it('lose the role with the session user, and keep both at RESET ALL', () => {
    const settings = new SessionSettings(startup)
    settings.set('role', 'a')
    settings.set('session_authorization', 'b')
    expect(settings.state.get('role')).toBeUndefined()
    settings.set('role', 'c')
    settings.set('work_mem', '1MB')
    const after = settings.afterResetAll()
    settings.resetAll()
    expect(settings.state).toBe(after)
    const names = ['work_mem', 'role', 'session_authorization', 'datestyle']
    expect(names.map((name) => settings.state.get(name))).toEqual([undefined, 'c', 'b', 'german'])
    expect(names.map((name) => settings.actual?.get(name))).toEqual([
      undefined,
      'c',
      'b',
      undefined,
    ])
  })

  it('are those of the log-in behind DISCARD ALL, but for what has become known', () => {
    const settings = new SessionSettings(startup)
    settings.set('work_mem', '1MB')
    settings.know(['app.tenant'])
    settings.discard(false)
    expect([settings.state, settings.actual]).toEqual([startup.knowing(['app.tenant']), null])
    settings.discard(true)
    expect(settings.actual).toBe(SessionState.empty)
    expect(settings.onServer).toBe(SessionState.empty.knowing(['app.tenant']))
  })

  it('are what they were when a transaction is rolled back, but for what has become known', () => {
    const settings = new SessionSettings(startup)
    const { state, actual } = settings
    settings.set('work_mem', '1MB')
    settings.know(['app.tenant'])
    settings.rollBack(state, actual)
    expect(settings.state).toBe(startup.knowing(['app.tenant']))
    settings.goOnWith(startup)
    expect(settings.state).toBe(startup)
  })
})
