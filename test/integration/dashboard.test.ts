import { mkdirSync } from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { axeViolations, buildDashboard, startBrowser, whyNoBrowser } from '../support/browser.ts'
import { type ServerCluster, startServers, waitFor } from '../support/cluster.ts'
import { proxySettings, startProxyWith, type TestProxy } from '../support/proxy.ts'
import { ReadLoad } from '../support/read-load.ts'

const missing = whyNoBrowser()
if (missing !== null) console.log(`=== SKIPPED: tests of the dashboard: ${missing}`)

const token = 'operator-token-0123456789'
const desktop = { width: 1440, height: 900 }
const phone = { width: 390, height: 844 }
/** Where pictures of it are put, for the documentation; undefined: nowhere. */
const pictures = process.env.PGSPLIT_SCREENSHOTS

let cluster: ServerCluster
let proxy: TestProxy
let browser: Browser
let load: ReadLoad
let port: number

/** What a page has asked for, and what its console had to say. */
interface Watched {
  readonly page: Page
  readonly asked: URL[]
  readonly said: string[]
}

async function look(
  address = `http://127.0.0.1:${port}/#token=${token}`,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext({ viewport: desktop, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const asked: URL[] = []
  const said: string[] = []
  page.on('request', (one) => asked.push(new URL(one.url())))
  page.on('console', (one) => said.push(one.text()))
  page.on('pageerror', (one) => said.push(String(one)))
  await page.goto(address)
  return { page, asked, said }
}

const nodeRow = (page: Page, name: string) =>
  page.locator('table.nodes tbody tr').filter({ has: page.getByText(name, { exact: true }) })

async function picture(page: Page, name: string): Promise<void> {
  if (pictures === undefined) return
  const directory = fileURLToPath(new URL('../../docs/public/', import.meta.url))
  mkdirSync(directory, { recursive: true })
  await page.screenshot({ path: `${directory}${name}.png` })
}

beforeAll(async () => {
  if (missing !== null) return
  buildDashboard()
  ;[cluster, browser] = await Promise.all([startServers({ database: 'shop' }), startBrowser()])
  await cluster.primary.query(
    `CREATE TABLE item AS SELECT generate_series(1, 100) AS id;
     CREATE FUNCTION price(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1 * 2; END';
     CREATE ROLE watcher LOGIN PASSWORD 'watches'`,
    undefined,
    'shop',
  )
  await cluster.catchUp()
  const settings = proxySettings(cluster, { failover: { holdWrites: '60s' } })
  proxy = await startProxyWith(cluster, {
    ...settings,
    admin: { users: ['postgres'], readers: ['watcher'] },
    http: {
      listen: '127.0.0.1:0',
      tokens: [{ name: 'deploy', token, role: 'operator' }],
    },
  })
  port = proxy.proxy.httpAddresses[0]?.port ?? 0
  load = await ReadLoad.start(proxy, 4)
  const pinned = await proxy.client()
  await pinned.query('CREATE TEMP TABLE mine (n int)')
  await proxy.with(async (client) => {
    for (let i = 0; i < 20; i++) await client.query('SELECT price(id) FROM item')
  })
}, 120_000)

afterAll(async () => {
  await load?.stop()
  await browser?.close()
  await proxy?.stop()
  await cluster?.stop()
})

describe.skipIf(missing !== null)('the dashboard (needs the package chromium)', () => {
  it('opens by a link, shows what there is, and asks nobody but pgsplit', async () => {
    const { page, asked, said } = await look()
    await nodeRow(page, 'r1').waitFor()
    expect(await page.locator('table.nodes tbody tr').allInnerTexts()).toHaveLength(3)
    expect(await nodeRow(page, 'primary').textContent()).toMatch(/primary[\s\S]*up/)
    // The token is nowhere that it could be seen, or sent.
    expect(page.url()).toBe(`http://127.0.0.1:${port}/`)
    expect(new Set(asked.map(({ origin }) => origin))).toEqual(
      new Set([`http://127.0.0.1:${port}`]),
    )
    expect(asked.map(String).join()).not.toContain(token)
    // Seconds come by themselves, and each plot has lines of them.
    const requests = page.locator('figure').filter({ hasText: 'Requests per second' })
    await waitFor('requests of the replicas', async () => {
      const text = await requests.locator('.legend').textContent()
      return Number(/r1 ([\d.]+)/.exec(text ?? '')?.[1] ?? 0) > 0
    })
    expect(await page.locator('figure canvas').count()).toBeGreaterThanOrEqual(3)
    await page
      .getByRole('link', { name: /primary changed/ })
      .first()
      .waitFor()
    // Nor does its policy keep anything from it that it wants.
    expect(said).toEqual([])
    await page.context().close()
  })

  it('is small: all that is loaded has less than 150 kB', async () => {
    let sum = 0
    for (const path of ['', 'main.js', 'main.css', 'icon.svg']) {
      const plain = await fetch(`http://127.0.0.1:${port}/${path}`)
      expect(plain.status, path).toBe(200)
      expect(plain.headers.get('content-security-policy')).not.toContain('unsafe')
      sum += gzipSync(await plain.bytes()).length
    }
    expect(sum).toBeLessThan(150_000)
  })

  it('lets who may only look sign in, with nothing to operate', async () => {
    const { page, said } = await look(`http://127.0.0.1:${port}/`)
    await page.getByLabel('Administrator').fill('watcher')
    await page.getByLabel('Password', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    expect(await axeViolations(page)).toEqual([])
    await page.getByLabel('Administrator').fill('watcher')
    await page.getByLabel('Password', { exact: true }).fill('watches')
    await page.keyboard.press('Enter')
    await nodeRow(page, 'r1').waitFor()
    expect(await page.getByRole('button', { name: 'Reload' }).count()).toBe(0)
    expect(await page.getByRole('button', { name: /^Operate/ }).count()).toBe(0)
    // A reload of the page asks for nothing again; signing out forgets it.
    await page.reload()
    await nodeRow(page, 'r1').waitFor()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    await page.reload()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    expect(said.filter((line) => !line.includes('401'))).toEqual([])
    await page.context().close()
  })

  it('tells of a statement why it runs on the primary, and what would change that', async () => {
    const { page } = await look()
    await page.getByLabel('Find').fill('price')
    const row = page.getByRole('button', { name: 'select price(id) from item' })
    await row.waitFor()
    await row.focus()
    await page.keyboard.press('Enter')
    expect(await row.getAttribute('aria-expanded')).toBe('true')
    await page.getByText('ALTER FUNCTION').waitFor()
    await page.getByText('Why it runs on the primary').waitFor()
    await page.getByText('Calls per second').waitFor()
    await page.getByLabel('Find').fill('')
    // Sorted by its columns, both ways, which is told to who can't see it.
    const header = page.getByRole('columnheader', { name: 'Calls' })
    const calls = async () => {
      const cells = await page
        .locator('table.rows tbody tr:not(.more) td:nth-child(2)')
        .allInnerTexts()
      return cells.map(Number).filter((one) => !Number.isNaN(one))
    }
    await header.getByRole('button').click()
    expect(await header.getAttribute('aria-sort')).toBe('descending')
    const down = await calls()
    expect(down).toEqual(down.toSorted((a, b) => b - a))
    await header.getByRole('button').click()
    expect(await header.getAttribute('aria-sort')).toBe('ascending')
    const up = await calls()
    expect(up).toEqual(up.toSorted((a, b) => a - b))
    await page.context().close()
  })

  it('can be used by the keyboard: tabs, sessions with their pins, moments of a plot', async () => {
    const { page } = await look()
    await page.getByRole('tab', { name: 'Statements' }).focus()
    await page.keyboard.press('ArrowRight')
    const row = page
      .getByRole('row')
      .filter({ hasText: /temporary|temp/i })
      .first()
    await row.waitFor()
    await page.keyboard.press('ArrowRight')
    await page.getByRole('columnheader', { name: 'Longest wait' }).waitFor()
    const plot = page.getByRole('application', { name: /^Requests per second/ })
    await plot.focus()
    await page.keyboard.press('ArrowLeft')
    const when = page.locator('figure').filter({ has: plot }).locator('.when')
    expect(await when.textContent()).toMatch(/^\d\d:\d\d:\d\d$/)
    await page.keyboard.press('Escape')
    expect(await when.textContent()).toBe('now')
    await page.context().close()
  })

  it('does what an operator wants when that is confirmed, and not before', async () => {
    const { page } = await look()
    const operate = page.getByRole('button', { name: 'Operate r2' })
    await operate.click()
    await page.getByRole('dialog', { name: 'Take r2 out?' }).waitFor()
    expect(await axeViolations(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    expect(proxy.proxy.nodes().map(({ state }) => state)).toEqual(['up', 'up', 'up'])
    await operate.click()
    await page.getByRole('button', { name: 'Drain', exact: true }).click()
    await nodeRow(page, 'r2').getByText('draining').waitFor()
    expect(proxy.proxy.nodes().map(({ state }) => state)).toEqual(['up', 'up', 'draining'])
    await operate.click()
    await page.getByRole('button', { name: 'Undrain' }).click()
    await nodeRow(page, 'r2').getByText('up', { exact: true }).waitFor()
    await operate.click()
    await page.getByLabel('Ban').check()
    await page.getByLabel('For how long').fill('soon')
    await page.getByRole('button', { name: 'Ban', exact: true }).click()
    await page.getByText('"soon" is no duration').waitFor()
    await page.getByLabel('For how long').fill('2s')
    await page.getByRole('button', { name: 'Ban', exact: true }).click()
    await nodeRow(page, 'r2').getByText('banned').waitFor()
    await nodeRow(page, 'r2').getByText('up', { exact: true }).waitFor()
    for (const [name, state] of [
      ['Pause', 'paused'],
      ['Resume', 'live'],
    ] as const) {
      await page.getByRole('button', { name }).click()
      await page.getByRole('dialog').getByRole('button', { name }).click()
      await page.locator('.status').getByText(state).waitFor()
    }
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('dialog').getByText('nothing has changed').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByText('deploy asked for reload').first().waitFor()
    await page.context().close()
  })

  it('works behind the prefix of another server, which knows pgsplit by another name', async () => {
    const front = await prefixed('/ops/pgsplit/')
    const at = (front.address() as AddressInfo).port
    const { page, asked, said } = await look(`http://127.0.0.1:${at}/ops/pgsplit/#token=${token}`)
    await nodeRow(page, 'r1').waitFor()
    await page.getByRole('button', { name: 'select count(*) from item' }).waitFor()
    await page.getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Reload' }).click()
    await page.getByRole('dialog').getByText('nothing has changed').waitFor()
    expect(asked.filter(({ pathname }) => !pathname.startsWith('/ops/pgsplit/'))).toEqual([])
    expect(said).toEqual([])
    await page.context().close()
    front.closeAllConnections()
    front.close()
  })

  it.each(['light', 'dark'] as const)(
    'has nothing that axe finds fault with (%s)',
    async (colorScheme) => {
      const { page } = await look(undefined, { colorScheme })
      await page.getByRole('button', { name: 'select price(id) from item' }).click()
      await page.getByText('Calls per second').waitFor()
      expect(await axeViolations(page)).toEqual([])
      for (const name of ['Sessions', 'Pools']) {
        await page.getByRole('tab', { name }).click()
        await page.getByRole('table', { name }).waitFor()
        expect(await axeViolations(page), name).toEqual([])
      }
      await page.setViewportSize(phone)
      await page.getByRole('tab', { name: 'Statements' }).click()
      await page.getByRole('table', { name: 'Statements' }).waitFor()
      expect(await axeViolations(page)).toEqual([])
      // Only tables may be wider than a phone, and they scroll by themselves.
      await waitFor('the page to be as wide as a phone', async () => {
        return (await page.evaluate('document.documentElement.scrollWidth')) === phone.width
      })
      await page.evaluate('scrollTo(0, 0)')
      await picture(page, `dashboard-phone-${colorScheme}`)
      await page.context().close()
    },
  )

  it('shows a failover as it happens, and what it was afterwards', async () => {
    const { page } = await look()
    await nodeRow(page, 'r1').waitFor()
    const marks = page.getByRole('link', { name: /primary changed/ })
    await marks.first().waitFor()
    const before = await marks.count()
    const [replica] = cluster.replicas
    if (replica === undefined) throw new Error('there is no replica')
    await cluster.primary.stop('fast')
    await nodeRow(page, 'primary').getByText('down').waitFor()
    await page.locator('.status').getByText('no primary').waitFor()
    await cluster.failover(replica)
    await nodeRow(page, 'r1').locator('.role').getByText('primary').waitFor()
    await page.locator('.status').getByText('live').waitFor()
    await waitFor('the mark of it', async () => (await marks.count()) > before)
    await page
      .getByRole('region', { name: 'What happened' })
      .getByText('takes writes now: r1')
      .waitFor()
    for (const colours of ['light', 'dark'] as const) {
      await page.getByLabel('Colours').selectOption(colours)
      expect(await axeViolations(page)).toEqual([])
      await picture(page, `dashboard-${colours}`)
    }
    // Who comes later sees the same.
    const later = await look()
    await later.page.getByRole('link', { name: /takes writes now: r1/ }).waitFor()
    await later.page.context().close()
    await page.context().close()
  })

  it('says that pgsplit is gone', async () => {
    const { page } = await look()
    await nodeRow(page, 'r1').waitFor()
    await load.stop()
    await proxy.stop()
    await page.locator('.status').getByText('trying again').waitFor()
    await page.context().close()
  })
})

/** A reverse proxy: what is asked behind `prefix` is asked of pgsplit without it. */
async function prefixed(prefix: string): Promise<Server> {
  const server = createServer((incoming, response) => {
    if (!incoming.url?.startsWith(prefix)) {
      response.writeHead(404).end()
      return
    }
    const { method, headers } = incoming
    const path = `/${incoming.url.slice(prefix.length)}`
    const host = 'pgsplit.internal:9187'
    const out = request({ port, path, method, headers: { ...headers, host } }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      response.flushHeaders()
      answer.pipe(response)
    })
    out.on('error', () => response.destroy())
    response.on('close', () => out.destroy())
    incoming.pipe(out)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}
