import { describe, expect, it } from 'vitest'
import { complaints } from '../../../src/embedded/postmaster.ts'

describe('what a server complained of', () => {
  it('is in one line, without time stamps and chatter', () => {
    const log = [
      '2026-11-22 17:23:02.910 UTC [10843] LOG:  starting PostgreSQL 18.4 on x86_64',
      '2026-11-22 17:23:02.920 UTC [10843] LOG:  could not bind IPv4 address "127.0.0.1"',
      '2026-11-22 17:23:02.920 UTC [10843] HINT:  Is another postmaster running?',
      '2026-11-22 17:23:02.927 UTC [10843] FATAL:  could not create any TCP/IP sockets',
      '2026-11-22 17:23:02.928 UTC [10843] LOG:  database system is shut down',
      '',
    ].join('\n')
    expect(complaints(log)).toBe(
      'LOG:  could not bind IPv4 address "127.0.0.1"; HINT:  Is another postmaster running?; FATAL:  could not create any TCP/IP sockets',
    )
  })

  it('says so when there is nothing', () => {
    expect(complaints('\n')).toBe('its log says nothing')
  })
})
