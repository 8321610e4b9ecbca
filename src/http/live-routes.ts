import type { Hono } from 'hono'
import { admit, type Env } from './admit.ts'
import { errorBody } from './answers.ts'
import type { HttpSource } from './http-source.ts'
import { LiveStreams } from './live-streams.ts'

const hourSeconds = 3_600
const mostSessions = 1_000

/** What the dashboard asks beside the rows of SHOW: what happens now, and the last hour. */
export function addLiveRoutes(app: Hono<Env>, source: HttpSource): void {
  const streams = new LiveStreams(source)
  app.get('/api/v1/live', async (c) => {
    const refusal = await admit(c, source, 'reader')
    if (refusal !== null) return refusal
    const stream = streams.open({ who: c.get('who'), role: c.get('role') })
    if (stream === null) {
      return c.json(errorBody('too many dashboards are open', 'Close some of them.'), 503)
    }
    return c.body(stream, 200, { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' })
  })
  app.get('/api/v1/history', async (c) => {
    const refusal = await admit(c, source, 'reader')
    if (refusal !== null) return refusal
    const seconds = numberOf(c.req.query('seconds'), hourSeconds)
    const type = { 'Content-Type': 'application/octet-stream' }
    return c.body(source.recorder.encode(seconds), 200, type)
  })
  app.get('/api/v1/sessions', async (c) => {
    const refusal = await admit(c, source, 'reader')
    if (refusal !== null) return refusal
    return c.json(source.sessions(numberOf(c.req.query('limit'), mostSessions)))
  })
  app.get('/api/v1/statement_history', async (c) => {
    const refusal = await admit(c, source, 'reader')
    if (refusal !== null) return refusal
    const { cluster = '', id = '' } = c.req.query()
    const history = source.statementHistory(cluster, id)
    if (history !== null) return c.json(history)
    return c.json(errorBody('there is no such statement any more'), 404)
  })
}

/** A whole number from 1 to `most`; `most` for anything else. */
function numberOf(text: string | undefined, most: number): number {
  return /^[1-9]\d{0,5}$/.test(text ?? '') ? Math.min(Number(text), most) : most
}
