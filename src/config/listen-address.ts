import type { ListenAddress } from './config.ts'

/**
 * Parses `host:port`, `[::1]:port`, `:port`, `*:port` (every interface) or a bare port.
 * Gives undefined when it is none of these or the port is beyond 65535.
 */
export function parseListenAddress(value: string | number): ListenAddress | undefined {
  const text = String(value).trim()
  const match = /^(?:(?:\[([0-9a-fA-F:.%\w]+)\]|([^\s:[\]/@]*)):)?(\d{1,5})$/.exec(text)
  if (match === null) return undefined
  const port = Number(match[3])
  if (port > 65_535) return undefined
  const host = match[1] ?? match[2]
  if (host === undefined) return { host: '127.0.0.1', port }
  return { host: host === '' || host === '*' ? '::' : host, port }
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatListenAddress(address: ListenAddress): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}`
}
