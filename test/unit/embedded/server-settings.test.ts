import { describe, expect, it } from 'vitest'
import { conninfo, hbaText, settingsText } from '../../../src/embedded/server-settings.ts'

describe('the files of an embedded server', () => {
  it('quote settings', () => {
    expect(settingsText({ port: '1', search_path: `"$user", 'a\\b'` })).toBe(
      `port = '1'\nsearch_path = '"$user", ''a\\\\b'''\n`,
    )
  })

  it('quote the connection string of a replica', () => {
    expect(conninfo({ host: '/tmp/s', port: 5432, password: `it's \\ ` })).toBe(
      `host='/tmp/s' port='5432' password='it\\'s \\\\ '`,
    )
  })

  it('ask for SCRAM over TCP unless told otherwise, and always on the Unix socket', () => {
    expect(hbaText()).toBe(
      [
        'local all all scram-sha-256',
        'local replication all scram-sha-256',
        'host all all 127.0.0.1/32 scram-sha-256',
        'host replication all 127.0.0.1/32 scram-sha-256',
        '',
      ].join('\n'),
    )
    expect(hbaText(['host all all all trust']).split('\n').slice(2)).toEqual([
      'host all all all trust',
      '',
    ])
  })
})
