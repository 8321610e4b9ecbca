import http from 'node:http'
import https from 'node:https'

/** How to ask, beside the address. */
export interface HttpGetOptions {
  /** For everything together: name look-up, connecting, TLS, the whole answer. */
  readonly timeoutMs: number
  /** A longer answer is refused. */
  readonly maxBytes: number
  /** Contents of the `Authorization` header. */
  readonly authorization?: string
  /** PEM texts for HTTPS; `ca` absent = the authorities that Node.js knows. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly signal?: AbortSignal
}

/**
 * GETs a text. Follows no redirects. Rejects with a short message for people: refused, timed out,
 * another status than 200, too long.
 */
export function httpGet(url: URL, options: HttpGetOptions): Promise<string> {
  const { timeoutMs, maxBytes, authorization, ca, cert, key, signal } = options
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? https.request : http.request
    const request = send(url, {
      method: 'GET',
      agent: false,
      headers: {
        accept: 'application/json',
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(signal === undefined ? {} : { signal }),
    })
    const timer = setTimeout(
      () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    timer.unref()
    request.on('close', () => {
      clearTimeout(timer)
      reject(new Error('the connection was closed before the answer was complete'))
    })
    request.on('error', (error) => reject(new Error(plain(error))))
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        request.destroy(new Error(`it answers with status ${response.statusCode}`))
        return
      }
      const chunks: Buffer[] = []
      let length = 0
      response.on('data', (chunk: Buffer) => {
        length += chunk.length
        if (length > maxBytes) {
          request.destroy(new Error(`its answer is longer than ${maxBytes} bytes`))
        } else chunks.push(chunk)
      })
      response.on('error', (error) => reject(new Error(plain(error))))
      response.on('end', () => {
        if (response.complete) resolve(Buffer.concat(chunks).toString('utf8'))
      })
    })
    request.end()
  })
}

/** Several addresses that all fail make an AggregateError without a message. */
function plain(error: Error & { readonly code?: string }): string {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) {
    return plain(error.errors[0])
  }
  return error.message || error.code || error.name
}
