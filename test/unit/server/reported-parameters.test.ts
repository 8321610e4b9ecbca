import { describe, expect, it } from 'vitest'
import { ReportedParameters } from '../../../src/server/reported-parameters.ts'
import { SessionState } from '../../../src/server/session-state.ts'

const { empty } = SessionState

/** A connection's parameters, and what was reported of them. */
function server(atLogin: Readonly<Record<string, string>>): {
  reported: ReportedParameters
  say(name: string, value: string, sets?: SessionState): void
} {
  const now = new Map(Object.entries(atLogin))
  const reported = new ReportedParameters(now)
  return {
    reported,
    say(name, value, sets) {
      reported.note(name, value, sets ?? null)
      now.set(name, value)
    },
  }
}

describe('what a server reports', () => {
  it('is explained by nothing but the state, and is over when it is as at log-in', () => {
    const { reported, say } = server({ DateStyle: 'ISO, MDY', TimeZone: 'UTC' })
    expect(reported.unexplained(empty)).toBeNull()
    say('DateStyle', 'German, DMY')
    expect(reported.unexplained(empty)).toBe('DateStyle')
    expect(reported.unexplained(SessionState.of([['datestyle', 'ISO, MDY']]))).toBe('DateStyle')
    say('DateStyle', 'ISO, MDY')
    expect(reported.unexplained(empty)).toBeNull()
  })

  it.each([
    ['standard_conforming_strings', 'on', 'off', '0'],
    ['default_transaction_read_only', 'off', 'on', 'TRUE'],
    ['client_encoding', 'UTF8', 'LATIN1', 'latin-1'],
    ['DateStyle', 'ISO, MDY', 'German, DMY', 'german,dmy'],
    ['application_name', '', 'ö', Buffer.from('ö').toString('latin1')],
  ])('of %s is explained by another spelling', (name, before, value, tracked) => {
    const { reported, say } = server({ [name]: before })
    say(name, value)
    expect(reported.unexplained(SessionState.of([[name.toLowerCase(), tracked]]))).toBeNull()
  })

  it('while pgsplit sets it is what that value looks like, and no other', () => {
    const state = SessionState.of([['timezone', '5']])
    const { reported, say } = server({ TimeZone: 'UTC' })
    say('TimeZone', '<+05>-05', state)
    expect(reported.unexplained(state)).toBeNull()
    say('TimeZone', 'Europe/Berlin')
    expect(reported.unexplained(state)).toBe('TimeZone')
    say('TimeZone', '<+05>-05')
    expect(reported.unexplained(state)).toBeNull()
    say('TimeZone', '<+05>-05')
    expect(reported.unexplained(empty)).toBe('TimeZone')
  })

  it('is what the server starts with, when it says so', () => {
    const { reported, say } = server({ TimeZone: 'UTC' })
    say('TimeZone', 'Europe/Berlin')
    reported.explain(empty)
    expect(reported.unexplained(empty)).toBeNull()
    say('TimeZone', 'Europe/Berlin')
    expect(reported.unexplained(empty)).toBeNull()
    say('TimeZone', 'UTC')
    expect(reported.unexplained(empty)).toBe('TimeZone')
  })

  it('of is_superuser goes by the role, and of the node by nobody', () => {
    const { reported, say } = server({ is_superuser: 'on', in_hot_standby: 'on' })
    say('in_hot_standby', 'off')
    say('is_superuser', 'off')
    expect(reported.unexplained(SessionState.of([['role', 'web']]))).toBeNull()
    say('is_superuser', 'off')
    expect(reported.unexplained(empty)).toBe('is_superuser')
  })
})
