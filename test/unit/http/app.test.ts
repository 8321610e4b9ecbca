import { beforeEach, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { showCommands } from '../../../src/admin/show-commands.ts'
import { PgSplitError } from '../../../src/errors.ts'
import { actionRequests } from '../../../src/http/action-requests.ts'
import { createApp } from '../../../src/http/app.ts'
import { openApiDocument } from '../../../src/http/openapi.ts'
import {
  ask,
  basic,
  bearer,
  operatorToken,
  post,
  readerToken,
  SampleHttpSource,
} from './sample-http-source.ts'

interface PathItem {
  readonly get?: {
    readonly responses: Readonly<
      Record<number, { readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>
    >
  }
}

let source: SampleHttpSource

beforeEach(() => {
  source = new SampleHttpSource()
})

describe('health', () => {
  it('says that the process answers, and whether it is ready and why not', async () => {
    expect((await ask(source, '/healthz')).status).toBe(200)
    expect((await ask(source, '/readyz')).status).toBe(200)
    source.reasons = ['pgsplit is draining']
    const answer = await ask(source, '/readyz')
    expect(answer.status).toBe(503)
    expect(await answer.json()).toEqual({ ready: false, reasons: ['pgsplit is draining'] })
    expect((await ask(source, '/healthz')).status).toBe(200)
  })
})

describe('/metrics', () => {
  const text = async (headers: Record<string, string> = {}) => {
    const answer = await ask(source, '/metrics', { headers })
    return { type: answer.headers.get('content-type') ?? '', text: await answer.text() }
  }

  it("is Prometheus' text, with labels in quotes and what quotes escape", async () => {
    const page = await text()
    expect(page.type).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(page.text).toContain('# TYPE pgsplit_requests_total counter')
    expect(page.text).toContain('pgsplit_requests_total{cluster="main",node="primary"} 3\n')
    expect(page.text).toContain('node="a \\"b\\"\\\\c\\n"} 4\n')
    expect(page.text).toContain('pgsplit_wait_seconds_bucket{le="+Inf"} 2')
    expect(page.text).toContain('pgsplit_wait_seconds_sum 0.75')
    expect(page.text).toMatch(/^process_cpu_seconds_total \d/m)
    expect(page.text).toMatch(/^nodejs_eventloop_lag_seconds /m)
    expect(page.text).not.toMatch(/^nodejs_active_/m)
  })

  it('is OpenMetrics for who asks for it, and then Prometheus text again for who does not', async () => {
    const accept =
      'application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
    const page = await text({ accept })
    expect(page.type).toContain('application/openmetrics-text')
    expect(page.text).toContain('# TYPE pgsplit_requests counter')
    expect(page.text).toContain('pgsplit_requests_total{cluster="main",node="primary"} 3\n')
    expect(page.text.endsWith('# EOF\n')).toBe(true)
    for (const other of ['text/plain', '*/*', 'application/openmetrics-text;q=0,text/plain']) {
      const plain = await text({ accept: other })
      expect(plain.type, other).toContain('text/plain')
      expect(plain.text).toContain('# TYPE process_cpu_seconds_total counter')
    }
  })

  it('is for readers only where the configuration says so', async () => {
    source.isMetricsOpen = false
    expect((await ask(source, '/metrics')).status).toBe(401)
    const answer = await ask(source, '/metrics', { headers: bearer(readerToken) })
    expect(answer.status).toBe(200)
  })
})

describe('who may ask', () => {
  const statusOf = async (headers: Record<string, string>, path = '/api/v1/nodes') =>
    (await ask(source, path, { headers })).status

  it('is who has a token or is an administrator with the right password', async () => {
    const none = await ask(source, '/api/v1/nodes')
    expect(none.status).toBe(401)
    expect(none.headers.get('www-authenticate')).toContain('Basic')
    expect(await statusOf(bearer(readerToken))).toBe(200)
    expect(await statusOf(basic('admin', 'pä:ss'))).toBe(200)
    expect(await statusOf(basic('watcher', 'pä:ss'))).toBe(200)
    expect(await statusOf(basic('admin', 'wrong'))).toBe(401)
    expect(await statusOf(basic('admin', ''))).toBe(401)
    // A client of the cluster, and nobody at all.
    expect(await statusOf(basic('app', 'pä:ss'))).toBe(401)
    expect(await statusOf(basic('', ''))).toBe(401)
    expect(await statusOf(bearer('wrong-token-0123456789'))).toBe(401)
    expect(await statusOf({ authorization: 'Digest x' })).toBe(401)
    expect(await statusOf({ authorization: 'Bearer' })).toBe(401)
  })

  it('is told to wait after many failures', async () => {
    for (let i = 0; i < 30; i++) await statusOf(basic('admin', `guess ${i}`))
    const answer = await ask(source, '/api/v1/nodes', { headers: basic('admin', 'pä:ss') })
    expect(answer.status).toBe(429)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await statusOf({}, '/healthz')).toBe(200)
  })

  it('is the name of a verified certificate, where certificates are trusted', async () => {
    const getPeerCertificate = () => ({ subject: { CN: 'admin' } })
    const socket = { encrypted: true, authorized: true, getPeerCertificate }
    expect((await ask(source, '/api/v1/nodes', {}, socket)).status).toBe(401)
    Object.assign(source.people, { trustsCertificates: true })
    expect((await ask(source, '/api/v1/nodes', {}, socket)).status).toBe(200)
    const unverified = { ...socket, authorized: false }
    expect((await ask(source, '/api/v1/nodes', {}, unverified)).status).toBe(401)
    const stranger = { ...socket, getPeerCertificate: () => ({ subject: { CN: 'app' } }) }
    expect((await ask(source, '/api/v1/nodes', {}, stranger)).status).toBe(401)
  })

  it('hears no secret: not in an answer, not in an error', async () => {
    const answers = await Promise.all([
      ask(source, '/api/v1/config', { headers: bearer(operatorToken) }),
      ask(source, '/api/v1/nodes', { headers: basic('admin', 'not-my-password') }),
      ask(source, '/api/v1/nodes', { headers: bearer('not-my-token-0123456789') }),
    ])
    for (const answer of answers) {
      expect(await answer.text()).not.toMatch(/not-my|token-0123|pä:ss/)
    }
  })
})

describe('/api/v1', () => {
  it('has the rows of each SHOW', async () => {
    for (const [name, { run }] of showCommands) {
      if (name === 'help') continue
      const answer = await ask(source, `/api/v1/${name}`, { headers: bearer(readerToken) })
      expect(answer.status, name).toBe(200)
      const { rows } = (await answer.json()) as { rows: Record<string, unknown>[] }
      const result = run(source.admin)
      const wanted = result.rows().map((row) => row.map((cell) => String(cell ?? null)))
      expect(rows.map((row) => Object.keys(row))).toEqual(
        wanted.map(() => result.columns?.map((column) => column.name)),
      )
      expect(rows.map((row) => Object.values(row).map(String))).toEqual(wanted)
    }
  })

  it('is described: every answer fits its schema, and every path is in it', async () => {
    const document = openApiDocument(source.admin)
    const shown = [...showCommands.keys()].filter((name) => name !== 'help')
    const live = ['live', 'history', 'sessions', 'statement_history']
    const paths = [...shown, ...live, ...actionRequests.keys()].map((name) => `/api/v1/${name}`)
    expect(Object.keys(document.paths).sort()).toEqual([...paths, '/healthz', '/readyz'].sort())
    const served = await ask(source, '/api/v1/openapi.json', { headers: bearer(readerToken) })
    expect(await served.json()).toEqual(JSON.parse(JSON.stringify(document)))
    for (const [path, item] of Object.entries(document.paths as Record<string, PathItem>)) {
      const media = item.get?.responses[200]?.content?.['application/json']
      if (media === undefined) continue
      const asked = path.endsWith('statement_history') ? `${path}?cluster=main&id=known` : path
      const answer = await ask(source, asked, { headers: bearer(readerToken) })
      const parsed = z.fromJSONSchema(media.schema as never).safeParse(await answer.json())
      expect(parsed.error?.issues, path).toBeUndefined()
    }
  })

  it('gives 404 with what there is for anything else', async () => {
    for (const path of [
      '/api/v1/help',
      '/api/v1/',
      '/api/v2/nodes',
      '/metrics/x',
      '/..%2f..%2fetc',
    ]) {
      const answer = await ask(source, path, { headers: bearer(operatorToken) })
      expect(answer.status, path).toBe(404)
      expect(JSON.stringify(await answer.json())).toContain('/readyz')
    }
  })

  it('sends headers that keep browsers from doing anything with it', async () => {
    for (const path of ['/', '/metrics', '/api/v1/nodes', '/nothing']) {
      const { headers } = await ask(source, path)
      expect(headers.get('content-security-policy'), path).toContain("default-src 'none'")
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })
})

describe('what happens now', () => {
  const streamOf = async (headers = bearer(readerToken)) => {
    const answer = await ask(source, '/api/v1/live', { headers })
    expect(answer.headers.get('content-type')).toContain('text/event-stream')
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    return {
      next: async () => {
        const { value } = await reader.read()
        const [, event, data] =
          /^event: (.*)\ndata: (.*)\n\n$/.exec(Buffer.from(value ?? []).toString()) ?? []
        return { event, data: JSON.parse(data ?? 'null') }
      },
      end: () => reader.cancel(),
    }
  }

  it('comes as a stream: first who looks, then each second', async () => {
    source.recorder.tick()
    const stream = await streamOf()
    const hello = { who: 'prometheus', role: 'reader', version: '0.1.0', state: 'active' }
    expect(await stream.next()).toMatchObject({
      event: 'hello',
      data: { ...hello, now: { atMs: 1000 } },
    })
    source.recorder.events.note('main', 'warn', { event: 'node-down', node: 'r1' }, 'r1: refused')
    source.recorder.tick()
    expect(await stream.next()).toMatchObject({
      event: 'tick',
      data: { atMs: 2000, state: 'active', events: [{ event: 'node-down', node: 'r1' }] },
    })
    await stream.end()
  })

  it('is not kept for who does not take it, and not given to too many', async () => {
    const app = createApp(source, false)
    const incoming = { socket: { remoteAddress: '192.0.2.1' } }
    const open = async () =>
      app.request('/api/v1/live', { headers: bearer(readerToken) }, { incoming })
    const answers = await Promise.all(Array.from({ length: 32 }, open))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    expect((await open()).status).toBe(503)
    await answers[0]?.body?.cancel()
    const again = await open()
    expect(again.status).toBe(200)
    // Nobody reads: all of them end, with the few ticks that they could hold.
    for (let i = 0; i < 40; i++) source.recorder.tick()
    expect((await again.text()).match(/^event: tick$/gm)).toHaveLength(3)
    expect((await open()).status).toBe(200)
  })

  it('is for readers', async () => {
    for (const path of ['live', 'history', 'sessions', 'statement_history?cluster=main&id=known']) {
      const answer = await ask(source, `/api/v1/${path}`)
      expect(answer.status, path).toBe(401)
      const page = await ask(source, `/api/v1/${path}`, { headers: { 'sec-fetch-dest': 'empty' } })
      // A page has a form of its own for it.
      expect(page.headers.get('www-authenticate')).not.toContain('Basic')
    }
  })

  it('has bounds for what is asked, and 404 for a statement that is gone', async () => {
    const headers = bearer(readerToken)
    const { rows, total } = (await (
      await ask(source, '/api/v1/sessions?limit=1', { headers })
    ).json()) as {
      rows: unknown[]
      total: number
    }
    expect([rows.length, total]).toEqual([1, 2])
    for (const seconds of ['0', '-1', 'x', '99999999', '1e3']) {
      const answer = await ask(source, `/api/v1/history?seconds=${seconds}`, { headers })
      expect(answer.status, seconds).toBe(200)
    }
    const gone = await ask(source, '/api/v1/statement_history?cluster=main&id=x', { headers })
    expect(gone.status).toBe(404)
  })
})

describe("an operator's requests", () => {
  const doIt = (name: string, body: unknown, headers?: Record<string, string>) =>
    ask(source, `/api/v1/${name}`, post(body, headers))

  it('do what the admin database does, and are noted with who asked', async () => {
    expect((await doIt('drain', { node: 'r1' })).status).toBe(200)
    expect((await doIt('undrain', { node: 'r1' })).status).toBe(200)
    expect((await doIt('ban', { node: 'r1', duration: '30s' })).status).toBe(200)
    expect((await doIt('unban', { node: 'r1' })).status).toBe(200)
    expect((await doIt('pause', {})).status).toBe(200)
    expect((await doIt('resume', { cluster: 'main' })).status).toBe(200)
    expect((await doIt('kill', { client: 7 })).status).toBe(200)
    expect((await doIt('shutdown', {}, basic('admin', 'pä:ss'))).status).toBe(200)
    const reload = await doIt('reload', {})
    expect(await reload.json()).toEqual({ notices: ['nothing has changed'] })
    expect(source.done).toEqual([
      'drain r1',
      'undrain r1',
      'ban r1 30s',
      'unban r1',
      'pause null',
      'resume main',
      'kill 7',
      'shutdown wait',
      'reload',
    ])
    expect(source.noted[0]).toBe('deploy@192.0.2.1: drain')
    expect(source.noted[7]).toBe('admin@192.0.2.1: shutdown')
  })

  it('are refused to readers, and to who is not known', async () => {
    for (const headers of [bearer(readerToken), basic('watcher', 'pä:ss')]) {
      expect((await doIt('drain', { node: 'r1' }, headers)).status).toBe(403)
    }
    expect((await doIt('drain', { node: 'r1' }, {})).status).toBe(401)
    expect(source.done).toEqual([])
  })

  it('are refused to pages of others, and never done by GET', async () => {
    const asks = [
      doIt('drain', { node: 'r1' }, { ...basic('admin', 'pä:ss'), origin: 'https://evil.test' }),
      doIt('drain', { node: 'r1' }, { ...basic('admin', 'pä:ss'), origin: 'null' }),
      doIt('drain', { node: 'r1' }, { ...basic('admin', 'pä:ss'), 'sec-fetch-site': 'cross-site' }),
      doIt('drain', { node: 'r1' }, { ...basic('admin', 'pä:ss'), 'sec-fetch-site': 'same-site' }),
    ]
    for (const answer of await Promise.all(asks)) expect(answer.status).toBe(403)
    const form = 'application/x-www-form-urlencoded'
    for (const type of [form, 'text/plain', 'multipart/form-data', 'application/jsonp']) {
      const headers = { ...basic('admin', 'pä:ss'), 'content-type': type }
      expect((await doIt('drain', { node: 'r1' }, headers)).status, type).toBe(415)
    }
    const got = await ask(source, '/api/v1/drain?node=r1', { headers: bearer(operatorToken) })
    expect(got.status).toBe(404)
    expect(source.done).toEqual([])
    const own = { ...basic('admin', 'pä:ss'), host: 'x.test', origin: 'http://x.test' }
    const fromOwn = await doIt('drain', { node: 'r1' }, { ...own, 'sec-fetch-site': 'same-origin' })
    expect(fromOwn.status).toBe(200)
    // Behind a proxy that calls pgsplit by another name: the browser says that the page is its own.
    const proxied = { ...own, host: 'pgsplit:9187', 'sec-fetch-site': 'same-origin' }
    expect((await doIt('drain', { node: 'r1' }, proxied)).status).toBe(200)
    expect((await doIt('drain', { node: 'r1' }, { ...own, host: 'pgsplit:9187' })).status).toBe(403)
  })

  it('take only what they need', async () => {
    for (const [name, body] of [
      ['drain', {}],
      ['drain', { node: 1 }],
      ['drain', { node: 'r1', force: true }],
      ['kill', { client: '7' }],
      ['kill', { client: -1 }],
      ['shutdown', { mode: 'quick' }],
      ['reload', { all: true }],
      ['pause', 'main'],
      ['pause', null],
    ] as const) {
      const answer = await doIt(name, body)
      expect(answer.status, `${name} ${JSON.stringify(body)}`).toBe(400)
    }
    const broken = { ...post({}), body: '{' }
    expect((await ask(source, '/api/v1/pause', broken)).status).toBe(400)
    const long = await doIt('drain', { node: 'x'.repeat(20_000) })
    expect(long.status).toBe(413)
    expect(source.done).toEqual([])
  })

  it('that fail say so as the admin database does', async () => {
    const hint = 'There is primary, r1.'
    source.failure = new PgSplitError({ sqlstate: '42704', message: 'there is no node "x"', hint })
    const answer = await doIt('drain', { node: 'x' })
    expect(answer.status).toBe(404)
    const error = { message: 'there is no node "x"', sqlstate: '42704', hint }
    expect(await answer.json()).toEqual({ error })
    source.failure = new Error('a secret cause')
    const broken = await doIt('drain', { node: 'x' })
    expect(broken.status).toBe(500)
    expect(await broken.text()).not.toContain('secret')
  })
})
