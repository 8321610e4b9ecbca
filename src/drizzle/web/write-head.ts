import { type OutgoingHttpHeader, type ServerResponse, validateHeaderValue } from 'node:http'

/**
 * Does what writeHead() does to status and headers, with setHeader() for all of them, so that more
 * can be added before the head is made. false: node:http would refuse these arguments; nothing was
 * done, and the call is to be made for its error. Throws for single headers as writeHead() does.
 */
export function applyHead(res: ServerResponse, args: readonly unknown[]): boolean {
  const status = Number(args[0]) | 0
  const reason = typeof args[1] === 'string' ? args[1] : undefined
  const headers = (reason === undefined ? (args[2] ?? args[1]) : args[2]) as unknown
  if (status < 100 || status > 999 || !isReason(reason)) return false
  const list = Array.isArray(headers) ? flat(headers) : null
  if (list !== null && list.length % 2 !== 0) return false
  res.statusCode = status
  if (reason !== undefined) res.statusMessage = reason
  if (list !== null) applyList(res, list)
  else if (typeof headers === 'object' && headers !== null) {
    for (const [name, value] of Object.entries(headers)) if (name !== '') res.setHeader(name, value)
  }
  return true
}

function isReason(reason: string | undefined): boolean {
  try {
    if (reason !== undefined) validateHeaderValue('reason', reason)
    return true
  } catch {
    return false
  }
}

/** `[name, value, name, value]`, also of `[[name, value], [name, value]]`. */
function flat(headers: readonly unknown[]): readonly unknown[] {
  return Array.isArray(headers[0]) ? headers.flat(1) : headers
}

/** A name may occur several times, and replaces what setHeader() has put under it before. */
function applyList(res: ServerResponse, list: readonly unknown[]): void {
  const values = new Map<string, { readonly name: string; readonly values: unknown[] }>()
  for (let index = 0; index < list.length; index += 2) {
    const name = String(list[index])
    const entry = values.get(name.toLowerCase())
    if (entry === undefined) values.set(name.toLowerCase(), { name, values: [list[index + 1]] })
    else entry.values.push(list[index + 1])
  }
  for (const { name, values: all } of values.values()) {
    const value = all.length === 1 ? all[0] : all.flat(1)
    if (name !== '') res.setHeader(name, value as OutgoingHttpHeader)
  }
}
